"""Studies that an earlier version made open, show, report, predict and resume as they did then.

`data/old_studies` keeps four small ones: a table, pictures and a module of one's own, all finished, and arrays that
were stopped in the second of three rungs. Beside each lies what that version said of it.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import tame
from command_line import tame_here
from tame.core.result import Result
from tame.study.earlier import best_recipes

DATA = Path(__file__).parents[1] / "data" / "old_studies"
FINISHED = {"table": "table", "pictures": "pictures-study", "own": "own"}  # the study in each archive
STUDIES = {**FINISHED, "stopped": "stopped"}


def build(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def unpacked(name, folder, monkeypatch):
    """The study as it was, in the folder that is the current one from here on."""
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        archive.extractall(folder)
    monkeypatch.chdir(folder)
    return folder / STUDIES[name]


def said(*words):
    """What `tame` prints."""
    done = tame_here(*words, cache="cache")
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?", text)


ROW = re.compile(r"^ *(\d+) .* (\d+/\d+) .* (\S+) +(\S+) *$", re.MULTILINE)  # of a trial: number, epochs, loss, metric


class Page(HTMLParser):
    """What a page shows, without its words: anchors of sections, numbers in tables and anywhere, and how many shapes
    its charts have, those for a telephone aside."""

    def __init__(self, html):
        super().__init__()
        self.parts, self.cells, self.numbers, self.shapes = set(), set(), set(), Counter()
        self._inside = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        if tag == "section":
            self.parts.add(own.get("id"))
        if tag in ("td", "div"):
            self._inside.append(own.get("class") if tag == "div" else "td")
        if "slim" not in self._inside:
            self.shapes[tag] += tag in ("path", "circle", "polyline")

    def handle_endtag(self, tag):
        if tag in ("td", "div"):
            self._inside.pop()

    def handle_data(self, data):
        self.numbers |= set(numbers(data))
        if "td" in self._inside:
            self.cells |= set(numbers(data))


def without_the_new(findings):
    """Findings as those versions told them: without number, confidence, reason and how to leave them out."""
    for finding in findings:
        assert [finding.pop(key) for key in ("id", "confidence", "why", "mute")][:2] != ["", ""]


SINCE = {  # fields that those versions had not, with what they did
    "model.pooled": 0, "input.length": 256, "table.texts": "tfidf", "adapter.name": "lora", "adapter.rank": 8,
    "adapter.alpha": 16.0, "adapter.matrices": "all", "model.stage_rate": 1.0, "model.thaw": 0.0,
}  # fmt: skip


def without_the_new_fields(*recipes):
    """Recipes as those versions told them."""
    for recipe in recipes:
        assert {name: recipe.pop(name) for name in SINCE} == SINCE


@pytest.mark.parametrize("name", STUDIES)
def test_an_old_study_is_shown_as_it_was(name, tmp_path, monkeypatch):
    study = unpacked(name, tmp_path, monkeypatch)
    now = json.loads(said("show", study.name, "--json"))
    assert isinstance(now.pop("next"), list)  # which those versions did not work out
    before = json.loads((tmp_path / "show.json").read_text(encoding="utf-8"))
    for shown in (now, before):
        shown["mattered"].pop("how")  # a sentence, whose words may change
    without_the_new(now["findings"])
    without_the_new_fields(*(trial["recipe"] for trial in now["trials"]))
    assert now == before
    text, before = said("show", study.name, "--details"), (tmp_path / "show.txt").read_text(encoding="utf-8")
    assert ROW.findall(text) == ROW.findall(before)
    assert len(ROW.findall(text)) > 1
    told = "\n".join(line for line in before.splitlines() if not ROW.match(line))
    assert set(numbers(told)) <= set(numbers(text))


@pytest.mark.parametrize("name", FINISHED)
def test_the_report_of_an_old_study_has_all_its_parts_and_numbers_and_as_many_shapes(name, tmp_path, monkeypatch):
    study = unpacked(name, tmp_path, monkeypatch)
    page = study / "report.html"
    before = Page(page.read_text(encoding="utf-8"))
    page.unlink()
    assert said("report", study.name).strip() == f"{study.name}/report.html"
    after = Page(page.read_text(encoding="utf-8"))
    assert len(before.parts) > 5
    assert before.parts - {None, "findings"} <= after.parts, "a few findings are all on the first screen"
    assert len(before.cells) > 20
    assert before.cells <= after.numbers
    assert before.shapes.total() > 20
    assert after.shapes == before.shapes


def assert_same_predictions(found, kept):
    for own, other in zip(found, kept, strict=True):
        told_since = {"distance", "unlike"}  # of a model that is delivered again
        assert (own.keys() - told_since, own.get("label")) == (other.keys(), other.get("label"))
        for name in own.keys() & {"value", "probability", "probabilities"}:
            assert own[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6)  # float32


@pytest.mark.parametrize(("name", "inputs"), [("table", "rows.csv"), ("pictures", "new")])
def test_the_network_of_an_old_study_predicts_what_it_did(name, inputs, tmp_path, monkeypatch):
    study = unpacked(name, tmp_path, monkeypatch)
    found = json.loads(said("predict", study.name, inputs, "--json"))
    kept = json.loads((tmp_path / "predict.json").read_text(encoding="utf-8"))
    assert (found["task"], found["labels"]) == (kept["task"], kept["labels"])
    assert_same_predictions(found["predictions"], kept["predictions"])


def test_an_old_study_is_verified_exported_and_started_from(tmp_path, monkeypatch):
    study = unpacked("table", tmp_path, monkeypatch)
    *lines, last = said("verify", study.name).splitlines()
    assert len(lines) > 5
    assert last == "not checked: report.html, split.csv, engines.json; no result comes from these"
    assert [line for line in lines if not line.startswith("sound")] == []
    again = json.loads(said("resume", study.name, "--json", "--quiet"))
    del again["next"]  # what to do is worked out each time
    without_the_new(again["findings"])
    assert again == json.loads((study / "report.json").read_text(encoding="utf-8"))
    said("export", study.name, "--optuna", "old.db")
    assert (tmp_path / "old.db").stat().st_size > 0
    first, *_ = best_recipes(study, "table")
    winner = again["winner"]["recipe"]
    assert first.changes
    assert {name: (SINCE | winner)[name] for name in first.changes} == first.changes


def test_an_old_network_that_was_lost_is_delivered_again(tmp_path, monkeypatch):
    study = unpacked("own", tmp_path, monkeypatch)
    shutil.rmtree(study / "model")
    tame.resume(study, model=build)
    found = tame.load(study, model=build).predict(np.load(tmp_path / "new.npy"))
    assert_same_predictions(found, json.loads((tmp_path / "predict.json").read_text(encoding="utf-8")))


def test_an_old_module_of_ones_own_predicts_what_it_did(tmp_path, monkeypatch):
    study = unpacked("own", tmp_path, monkeypatch)
    found = tame.load(study, model=build).predict(np.load(tmp_path / "new.npy"))
    assert_same_predictions(found, json.loads((tmp_path / "predict.json").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_an_old_study_that_was_stopped_resumes_to_what_it_would_have_found(tmp_path, monkeypatch):
    study = unpacked("stopped", tmp_path, monkeypatch)
    kept = json.loads((tmp_path / "resumed.json").read_text(encoding="utf-8"))
    said("resume", study.name, "--quiet")
    found = json.loads((study / "report.json").read_text(encoding="utf-8"))
    told_since = {"optimism_interval", "refusal", "refusals", "temperature", "ensemble", "unlike"}
    assert found.keys() - told_since == kept.keys()
    assert found["trials"] == kept["trials"]
    assert found["epochs"] == kept["epochs"]
    without_the_new_fields(found["winner"]["recipe"])
    assert found["winner"]["recipe"] == kept["winner"]["recipe"]
    assert found["winner"]["trial"] == kept["winner"]["trial"]
    for part, fields in (("score", ("value", "low", "high", "n")), ("validation", ("value",))):
        own, other = ([result[part][field] for field in fields] for result in (found, kept))
        assert own == pytest.approx(other, abs=0.05)  # a row or two may fall to the other side on another processor
    assert (study / "report.html").is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_an_old_result_is_the_same_bytes_once_read_and_written(name, tmp_path, monkeypatch):
    study = unpacked(name, tmp_path, monkeypatch)
    file = study / "report.json" if name in FINISHED else tmp_path / "resumed.json"
    before = file.read_text(encoding="utf-8")
    result = Result.from_json(json.loads(before))
    assert json.dumps(result.to_json(), indent=1, ensure_ascii=True) + "\n" == before


def test_old_studies_take_little_room():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 200_000
