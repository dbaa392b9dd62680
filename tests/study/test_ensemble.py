"""Several networks in place of one: only where they are better by more than chance, delivered as they were scored."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from command_line import tame_here
from tame.core.recipe import Recipe
from tame.core.records import Trial
from tame.core.rng import stream
from tame.data.split import Sealed, Split
from tame.evaluate.score import judged_from, mean_of, measure
from tame.kinds.kind import Data
from tame.study.ensemble import MOST, chosen
from tame.study.finalist import Finalist, at_temperature

NUM = 600


def study_like(ensemble=None):
    return SimpleNamespace(config=SimpleNamespace(ensemble=ensemble, seed=0, objective=None, limit={}))


def data_like(kind="table", task="binary", metric="accuracy"):
    split = Split(("val",) * NUM, (0,) * NUM, 1, "")
    classes = () if task == "regression" else ("a", "b")
    targets = np.zeros(NUM) if task == "regression" else np.zeros(NUM, dtype=int)
    return Data(kind, task, metric, classes, tuple(map(str, range(NUM))), targets, split, Sealed((), ()))


def finalist(number, *, noise, seeds=3, task="binary", common=0.0):
    """A recipe whose networks know the truth up to noise of their own; common: the share of it that all have."""
    rng = stream(0, "truth")
    logit = rng.normal(0, 2, NUM)
    shared = stream(1, "shared").normal(size=NUM)
    target = (rng.random(NUM) < 1 / (1 + np.exp(-logit))).astype(int)
    each = []
    for seed in range(seeds):
        own = stream(seed, "noise", number).normal(size=NUM)
        said = logit + noise * (common * shared + np.sqrt(1 - common**2) * own)
        truth, outputs = (target, np.stack([0 * said, said], 1)) if task == "binary" else (logit, said[:, None])
        each.append(judged_from(task, list(map(str, range(NUM))), truth, outputs))
    metric = "accuracy" if task == "binary" else "rmse"
    trials = tuple(Trial(100 * number + seed, Recipe(), "finalist", "") for seed in range(seeds))
    values = tuple(measure(metric, own) for own in each)
    return Finalist(Recipe(), number, trials, tuple(each), mean_of(each), values)


def decided(plain, *, asked=None, loss="log_loss", data=None):
    data = data or data_like()
    own = [at_temperature(data, each, seed=0) for each in plain]
    return chosen(study_like(asked), data, plain, own[0], loss=loss)


@pytest.mark.parametrize(
    ("task", "loss", "metric"), [("binary", "log_loss", "accuracy"), ("regression", "rmse", "rmse")]
)
def test_networks_with_errors_of_their_own_are_delivered_together(task, loss, metric):
    plain = [finalist(number, noise=1.5, task=task) for number in range(3)]
    found = decided(plain, loss=loss, data=data_like(task=task, metric=metric))
    assert found.is_ensemble
    assert 6 <= len(found.trials) <= MOST
    assert found.trials[0] == plain[0].trials[0]
    assert len({trial.number // 100 for trial in found.trials}) >= 2
    assert found.ensemble.difference.high < 0
    one = np.mean([measure(loss, each) for each in found.winner.each])
    assert measure(loss, found.judged) < one
    members = [plain[trial.number // 100].each[trial.number % 100] for trial in found.trials]
    assert measure(loss, found.judged) == pytest.approx(
        measure(loss, mean_of(members)) + found.ensemble.optimism, rel=0.05
    )
    assert found.value == pytest.approx(measure(metric, found.judged), rel=1e-12)


def test_where_few_of_many_are_good_these_are_picked_and_judged_fairly():
    """Nine networks too noisy for their own good, of recipes that are not shown to be worse, and two that know more."""
    plain = [finalist(0, noise=3.0, seeds=1), *(finalist(n, noise=3.2, seeds=1) for n in range(2, 10))]
    good = [finalist(n, noise=1.2, seeds=1) for n in (20, 21)]
    found = decided([*plain, *good], loss="log_loss")
    assert found.ensemble.optimism > 0
    numbers = [trial.number for trial in found.trials]
    assert numbers[0] == 0, "the winner's first network is a member of any"
    assert {2000, 2100} <= set(numbers)
    assert len(numbers) < 8


def test_of_few_examples_none_is_picked_by_how_well_it_does():
    rows = np.arange(NUM) < 40
    plain = [finalist(number, noise=1.5, seeds=2) for number in range(3)]
    few = [
        replace(each, each=tuple(own.only(rows) for own in each.each), judged=each.judged.only(rows)) for each in plain
    ]
    found = chosen(study_like(), data_like(), few, few[0], loss="log_loss")
    assert found.ensemble.optimism == 0
    firsts = [trial.number % 100 for trial in found.ensemble.trials]
    assert firsts == sorted(firsts), "the first networks of all recipes come before their second ones"


def test_networks_that_all_err_alike_are_not():
    found = decided([finalist(number, noise=1.5, common=1.0) for number in range(3)])
    assert not found.is_ensemble
    assert found.trials == found.winner.trials[:1]
    assert found.judged is found.winner.each[0]
    assert found.value == found.winner.value
    assert found.ensemble.why == "its loss is not shown to be lower"


def test_a_recipe_that_is_shown_to_be_worse_is_no_member():
    found = decided([finalist(0, noise=1.0), finalist(1, noise=6.0)])
    assert {trial.number for trial in found.ensemble.trials} == {0, 1, 2}


def test_the_winner_is_the_first_member_even_where_another_has_a_lower_loss():
    plain = [finalist(0, noise=2.5), finalist(1, noise=0.5)]
    found = decided(plain)
    assert found.ensemble.trials[0] == plain[0].trials[0]


def test_what_was_fine_tuned_judges_alone():
    """A model holds one backbone or encoder."""
    plain = [finalist(number, noise=1.5) for number in range(3)]
    tuned = replace(plain[0], recipe=Recipe().but({"model.unfrozen": 1}))
    assert decided([tuned, *plain[1:]]).ensemble is None
    found = decided([plain[1], tuned, plain[2]])
    assert {trial.number // 100 for trial in found.ensemble.trials} == {1, 2}


def test_one_network_alone_is_no_ensemble():
    assert decided([finalist(0, noise=1.0, seeds=1)]).ensemble is None


@pytest.mark.parametrize(("asked", "kind", "tried"), [
    (None, "table", True), (False, "table", False), (None, "images", False), (True, "images", True),
])  # fmt: skip
def test_it_is_tried_where_it_is_asked_for_or_usual(asked, kind, tried):
    plain = [finalist(number, noise=1.5) for number in range(2)]
    assert (decided(plain, asked=asked, data=data_like(kind)).ensemble is not None) is tried


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of few rows, of which large networks each learn other noise."""
    folder = tmp_path_factory.mktemp("together")
    rng = stream(0, "rows")
    x = rng.normal(size=(420, 6))
    label = np.where(x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=420) > 0, "yes", "no")
    lines = [",".join([*(f"{value:.4f}" for value in row), own]) for row, own in zip(x, label, strict=True)]
    (folder / "few.csv").write_text("\n".join(["a,b,c,d,e,f,label", *lines]) + "\n")
    fixed = [f"--set={each}" for each in ("model.width=64", "optimizer.lr=0.01", "model.dropout=0")]
    words = ("--trials", "2", "--epochs", "12", "--folds", "2", "--json", "--quiet", *fixed, "--more-data")
    done = tame_here(
        "fit", folder / "few.csv", "--target", "label", *words, "--out", folder / "study", cache=folder / "cache"
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_all_members_are_in_the_model_and_predict_as_they_were_scored(study):
    folder, result = study
    own = result["ensemble"]
    assert own["kept"]
    assert own["difference"]["high"] < 0
    about = json.loads((folder / "study" / "model" / "model.json").read_text())
    assert len(about["others"]) == len(own["members"]) - 1 > 0
    assert about["temperature"] == result["temperature"]["value"]
    assert result["delivered"]["largest_difference"] < 1e-4
    assert "networks together" in result["validation"]["how"]
    said = tame_here("predict", folder / "study", folder / "few.csv", "--json", cache=folder / "cache")
    found = {each["input"]: each for each in json.loads(said.stdout)["predictions"]}
    with (folder / "study" / "split.csv").open() as file:
        sealed = [row["id"] for row in csv.DictReader(file) if row["part"] == "test"]
    lines = (folder / "few.csv").read_text().splitlines()
    right, flagged = [], 0
    for name in sealed:
        line = int(name.rpartition(":")[2])
        right.append(found[f"few.csv:{line}"]["label"] == lines[line - 1].rpartition(",")[2])
        flagged += found[f"few.csv:{line}"]["unlike"]
    assert np.mean(right) == pytest.approx(result["score"]["value"], abs=1e-9)
    assert (flagged, len(sealed)) == (result["unlike"]["flagged"], result["unlike"]["n"])


@pytest.mark.slow
def test_a_lost_model_of_several_networks_is_delivered_again_as_it_was(study):
    folder, _ = study
    model, words = folder / "study" / "model", (folder / "study", folder / "few.csv", "--json")
    before = json.loads(tame_here("predict", *words, cache=folder / "cache").stdout)["predictions"]
    about = json.loads((model / "model.json").read_text())
    (model / "model.safetensors").unlink()
    done = tame_here("resume", folder / "study", "--json", "--quiet", cache=folder / "cache")
    assert done.returncode == 0, done.stderr
    again = json.loads((model / "model.json").read_text())
    assert {**again, "weights": None} == {**about, "weights": None}
    after = json.loads(tame_here("predict", *words, cache=folder / "cache").stdout)["predictions"]
    apart = [abs(one["probability"] - other["probability"]) for one, other in zip(before, after, strict=True)]
    assert max(apart) < 0.05  # trained again alone, which rounds otherwise


def test_what_more_rows_would_be_worth_is_measured_and_told(study):
    folder, result = study
    about = result["more_data"]
    assert [each["share"] for each in about["points"]] == [0.25, 0.5, 1.0]
    assert about["points"][0]["examples"] == pytest.approx(about["points"][2]["examples"] / 4, abs=2)
    assert about["gain"]["low"] <= about["gain"]["value"] <= about["gain"]["high"]
    assert {each["name"] for each in about["classes"]} == {"yes", "no"}
    page = (folder / "study" / "report.html").read_text()
    assert "Would more data help?" in page
    assert "What is delivered" in page


def test_an_ensemble_of_pictures_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    done = tame_here("fit", tmp_path, "--ensemble", "--out", tmp_path / "study", cache=tmp_path / "cache")
    assert done.returncode == 2
    assert "an ensemble is of networks for tables; leave out --ensemble" in " ".join(done.stderr.split())
