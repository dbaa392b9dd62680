"""`tame predict`: values as they are on stdout, everything else on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tame
from command_line import Said, tame_here
from tame.app.console import inert_exits
from tame.app.predict import Labelled, Predictions, Valued, named, print_csv, print_remarks, require_classes
from tame.core.errors import UsageError
from tame.kinds.prediction import Left


def run(folder: Path, *words: object) -> Said:
    """What the command line says, with its cache in this folder."""
    said: Said = tame_here(*words, cache=folder / "cache")
    return said


def predictions(*names: str, labels: tuple[str, ...] = ("-1", "+1", "=x")) -> Predictions:
    own = [Labelled(name, label, 0.5, dict.fromkeys(labels, 0.25)) for name in names for label in labels]
    return Predictions(model="m", task="multiclass", labels=labels, predictions=own, skipped=(), notes=())


def test_csv_carries_labels_and_names_as_they_are(capsys):
    found = predictions("@a.csv:2", 'b,"c".csv:3')
    print_csv(found)
    out, err = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["input", "label", "probability", "-1", "+1", "=x"]
    assert [(row[0], row[1]) for row in rows[1:]] == [(each.input, each.label) for each in found.predictions]
    assert err == ""


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_csv_is_made_inert_on_a_terminal_alone(monkeypatch, on_a_terminal):
    out = io.StringIO()
    out.isatty = lambda: on_a_terminal
    monkeypatch.setattr(sys, "stdout", out)
    with inert_exits():
        print_csv(predictions("a.csv:2", labels=("\x1b[31mred", "blue")))
    assert ("\x1b[31mred" in out.getvalue()) is not on_a_terminal
    assert ("\x1b" in out.getvalue()) is not on_a_terminal


def test_csv_for_a_spreadsheet_is_inert_and_says_so(capsys):
    print_csv(predictions("@a.csv:2"), safe=True)
    out, err = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0][3:] == ["'-1", "'+1", "'=x"]
    assert rows[1][:2] == ["'@a.csv:2", "'-1"]
    assert "--safe-csv: 9 cells begin with an apostrophe" in " ".join(err.split())
    print_csv(predictions("a.csv:2", labels=("cat", "dog")), safe=True)
    assert capsys.readouterr().err == ""


def test_what_is_unlike_the_training_data_is_a_column_of_its_own(capsys):
    found = Predictions(
        model="m", task="regression", labels=(), skipped=(), notes=None,
        predictions=[Valued("a.csv:2", 1.5, 0.25), Valued("a.csv:3", 9.0, 1.75)],
    )  # fmt: skip
    print_csv(found)
    print_remarks(found)
    out, err = capsys.readouterr()
    assert out == "input,value,distance,unlike\na.csv:2,1.5,0.2500,no\na.csv:3,9.0,1.7500,yes\n"
    assert "1 of 2 inputs are unlike the training data" in " ".join(err.split())
    plain = found.to_json()["predictions"]
    assert [(each["distance"], each["unlike"]) for each in plain] == [(0.25, False), (1.75, True)]


def network_like(labels):
    return SimpleNamespace(labels=labels)


def test_below_the_asked_probability_no_class_is_named():
    outputs = np.log([[0.7, 0.3], [0.5, 0.5], [0.02, 0.98]])
    own = named(network_like(("a", "b")), ["x", "y", "z"], outputs, sure=0.69)
    assert [each.label for each in own] == ["a", None, "b"]
    own = named(network_like(("a", "b")), ["x", "y", "z"], outputs, sure=0.95)
    assert [each.label for each in own] == [None, None, "b"]
    assert [each.probability for each in own] == pytest.approx([0.7, 0.5, 0.98])
    own = named(network_like(("a", "b")), ["x", "y", "z"], outputs)
    assert [each.label for each in own] == ["a", "a", "b"]


@pytest.mark.parametrize(("labels", "sure", "said"), [((), 0.9, "predicts a number"), (("a", "b"), 1.5, "got 1.5")])
def test_a_probability_that_makes_no_sense_is_refused(labels, sure, said):
    with pytest.raises(UsageError, match=said):
        require_classes(network_like(labels), sure)


def test_numbers_are_never_changed(capsys):
    found = Predictions(
        model="m", task="regression", labels=(), predictions=[Valued("a.csv:2", -1.5)], skipped=(), notes=None
    )
    print_csv(found, safe=True)
    assert capsys.readouterr().out == "input,value\na.csv:2,-1.5\n"


def test_notes_and_what_was_skipped_go_to_stderr(capsys):
    found = Predictions(
        model="m", task="regression", labels=(), predictions=[], skipped=(Left("b.jpg", "not a picture"),),
        notes=("x: 1 cell is not a number",),
    )  # fmt: skip
    print_remarks(found)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["x: 1 cell is not a number", "skipped b.jpg: not a picture"])


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A small study on a table whose classes begin with signs, and whose year is said to be a category."""
    folder: Path = tmp_path_factory.mktemp("signs")
    rng = np.random.default_rng(0)
    rows = [(f"{x:.3f}", 2000 + i % 3, "+1" if x > 0 else "-1") for i, x in enumerate(rng.normal(size=120))]
    text = "a,year,y\n" + "".join(f"{a},{year},{y}\n" for a, year, y in rows)
    (folder / "signs.csv").write_text(text)
    tame.fit(
        folder / "signs.csv", target="y", columns={"year": "category"}, trials=1, epochs=2, quiet=True,
        out=str(folder / "study"),
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("form", ["--json", "--csv", "--safe-csv", None])
def test_every_form_says_what_was_not_read(study, form):
    (study / "later.csv").write_text("a,year\n0.5,2001\noops,1999\n")
    done = run(study, "predict", study / "study", study / "later.csv", *([form] if form else []))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "a: 1 cell is not a number, taken as missing (row 2: 'oops')" in said
    assert "year: 1 row has categories that the earlier table had not" in said
    if form == "--csv":
        assert done.stdout.splitlines()[0] == "input,label,probability,-1,+1"
    if form == "--json":
        assert json.loads(done.stdout)["labels"] == ["-1", "+1"]


def test_one_form_at_a_time(study):
    done = run(study, "predict", study / "study", study / "signs.csv", "--csv", "--safe-csv")
    assert done.returncode == 2
    assert "give one of --json, --csv and --safe-csv" in done.stderr


def test_what_was_said_of_a_column_is_delivered_with_the_model(study):
    held = json.loads((study / "study" / "model" / "model.json").read_text())
    column = next(each for each in held["prepared"]["columns"] if each["name"] == "year")
    assert (column["kind"], column["told"]) == ("category", True)
    config = json.loads((study / "study" / "config.json").read_text())
    assert config["columns"] == {"year": "category"}


@pytest.mark.parametrize(
    ("said", "words"),
    [("yaer=category", "no column named 'yaer'; did you mean 'year'"), ("year=boolean", "was said to be a boolean")],
)
def test_what_cannot_be_is_refused_as_the_data(study, said, words):
    done = run(study, "check", study / "signs.csv", "--target", "y", "--column", said)
    assert done.returncode == 3
    assert words in " ".join(done.stderr.split())


@pytest.mark.slow
def test_check_and_plan_take_what_is_said(study):
    done = run(study, "check", study / "signs.csv", "--target", "y", "--column", "year=ignore", "--json")
    columns = {each["name"]: each["kind"] for each in json.loads(done.stdout)["columns"]}
    assert columns == {"a": "number", "year": "ignored"}
    done = run(
        study, "plan", study / "signs.csv", "--target", "y", "--column", "year=ignore", "--json", "--trials", "1"
    )
    assert done.returncode == 0, done.stderr
