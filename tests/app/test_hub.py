"""`tame export --hub`: a folder that the Hub takes: a card it can read, the model, and nothing of data or machine."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import pytest

from command_line import tame_here
from tame.app.hub import base_model, described
from tame.core.config import StudyConfig
from tame.study.state import State, read_state

OLD = Path(__file__).parents[1] / "data" / "old_studies"
hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")


@pytest.fixture
def study(tmp_path):
    with zipfile.ZipFile(OLD / "table.zip") as archive:
        archive.extractall(tmp_path)
    return next(path.parent for path in tmp_path.rglob("study.db"))


def test_the_folder_holds_model_and_card_and_the_hub_reads_these(study, tmp_path):
    done = tame_here("export", study, "--hub", tmp_path / "up", "--dataset", "me/houses", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "up")
    again = tame_here("export", study, "--hub", tmp_path / "again", "--json", cache=tmp_path)
    assert json.loads(again.stdout) == {"schema": "tame/1", "study": str(study), "written": str(tmp_path / "again")}
    names = sorted(path.name for path in (tmp_path / "up").iterdir())
    assert names == ["README.md", "SHA256SUMS", "model.json", "model.safetensors"]
    _, state = read_state(study)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = hub.ModelCard.load(tmp_path / "up" / "README.md")
        paths = [tmp_path / "up" / name for name in names]
        additions = [hub.CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path) for path in paths]
    assert [each.path_in_repo for each in additions] == names
    about, [first, *others] = card.data, card.data.eval_results
    assert (about.pipeline_tag, about.datasets, about.library_name) == ("tabular-regression", ["me/houses"], "tame")
    score = state.result["score"]
    assert first.metric_value == pytest.approx(score["value"], rel=1e-5)
    assert first.metric_args["interval"] == pytest.approx([score["low"], score["high"]], rel=1e-5)
    assert (first.metric_args["level"], first.metric_args["n"]) == (0.95, score["n"])
    assert "95 % interval" in first.metric_name
    assert {first.dataset_type, *(each.dataset_type for each in others)} == {"me/houses"}
    assert {each.metric_type: each.metric_value for each in others}["mae"] > 0


def test_nothing_in_the_folder_names_a_place_on_this_machine(study, tmp_path):
    assert tame_here("export", study, "--hub", tmp_path / "up", cache=tmp_path).returncode == 0
    config = json.loads((study / "config.json").read_text(encoding="utf-8"))
    places = [str(tmp_path), str(Path.home()) + "/", config["data"]]
    for path in (tmp_path / "up").iterdir():
        assert not [place for place in places if place.encode() in path.read_bytes()], path.name
        assert path.stat().st_mode & 0o077 == 0
    assert described({"recipe": {"loss.costs": "/data/me/costs.csv"}})["recipe"] == {"loss.costs": "costs.csv"}


def test_the_folder_predicts_as_the_study_does(study, tmp_path):
    assert tame_here("export", study, "--hub", tmp_path / "up", cache=tmp_path).returncode == 0
    table = study.parent / "rows.csv"
    answers = [tame_here("predict", each, table, "--csv", cache=tmp_path).stdout for each in (study, tmp_path / "up")]
    assert answers[0]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--hub", "up", "--dataset", "houses"), 2, "is no name on the Hub: write OWNER/NAME"),
        (("--dataset", "me/houses", "--optuna", "x"), 2, "--dataset goes with --hub"),
        (("--hub", "."), 2, "holds something already"),
        (("--hub", "no/way"), 2, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(study, tmp_path, words, code, said):
    done = tame_here("export", study, *words, cache=tmp_path, cwd=tmp_path)
    assert done.returncode == code
    assert said in " ".join(done.stderr.split())


def test_a_model_that_is_damaged_or_unfinished_goes_nowhere(study, tmp_path):
    weights = study / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    done = tame_here("export", study, "--hub", tmp_path / "up", cache=tmp_path)
    assert done.returncode == 6
    assert "model.safetensors is missing or not what was delivered" in " ".join(done.stderr.split())
    assert not (tmp_path / "up").exists()
    with zipfile.ZipFile(OLD / "stopped.zip") as archive:
        archive.extractall(tmp_path / "other")
    other = next(path.parent for path in (tmp_path / "other").rglob("study.db"))
    done = tame_here("export", other, "--hub", tmp_path / "up", cache=tmp_path)
    assert done.returncode == 2
    assert "is not finished" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("backbone", "encoder", "wanted"),
    [
        pytest.param("mobilenetv2_100", None, "timm/mobilenetv2_100.ra_in1k", marks=pytest.mark.slow),
        ("lite0", None, ""),
        ("/data/me/net", None, ""),
        ("minilm", "minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("none", "none", ""),
    ],
)
def test_the_base_model_is_named_only_where_it_is_known(backbone, encoder, wanted):
    state = State(data={"encoder": encoder}, result={"backbone": None if encoder else {"name": "x"}})
    assert base_model(StudyConfig(data="photos", backbone=backbone), state) == wanted
