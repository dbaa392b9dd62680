"""What the command line prints, and the exit code that it ends with."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pyarrow
import pytest
from pyarrow import parquet

from command_line import tame_here
from made_results import made
from tame.app.cli import app
from tame.app.commands import show_result
from tame.app.console import wrapped
from tame.core.config import PANELS
from tame.core.errors import BudgetError

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


def test_a_model_whose_training_was_cut_short_is_shown_and_the_exit_code_tells(capsys):
    result, _ = made("two_classes")
    winner = replace(result.winner, epochs=2, recipe={**result.winner.recipe, "epochs": 18})
    result = replace(result, whole=0, winner=winner)
    with pytest.raises(BudgetError, match="trained for 2 of 18 epochs"):
        show_result(result, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said.pop("next")[-1]["command"] == "tame predict runs/ants_bees-0001 photo.jpg"
    assert said.pop("findings") == json.loads(json.dumps([finding.document() for finding in result.findings]))
    kept = json.loads(json.dumps(result.to_json()))
    del kept["findings"]
    assert said == kept
    show_result(replace(result, whole=1), as_json=True)


def test_of_a_study_whose_trials_all_diverged_a_program_gets_the_state_and_the_exit_code_tells(tmp_path):
    rows = "".join(f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}\n" for i in range(120))
    (tmp_path / "rows.csv").write_text(f"a,b,label\n{rows}")
    wild = (
        "--set",
        "optimizer.name=sgd",
        "--set",
        "optimizer.lr=10000",
        "--trials",
        "2",
        "--epochs",
        "8",
        "--folds",
        "2",
    )
    words = ("fit", "rows.csv", "--target", "label", *wild, "--out", "study", "--inline", "--quiet", "--json")
    begun = tame_here(*words, cache=tmp_path, cwd=tmp_path)
    again = tame_here("resume", "study", "--inline", "--quiet", "--json", cache=tmp_path, cwd=tmp_path)
    for said in (begun, again):
        assert said.returncode == 4
        shown = json.loads(said.stdout)
        assert [each["state"] for each in shown["trials"]] == ["diverged", "diverged"]
        assert "diverged" in {each["code"] for each in shown["findings"]}
        assert shown["result"] is None
        assert "lower learning rate" in said.stderr


def test_tame_alone_says_how_to_begin_and_all_is_well(tmp_path):
    said = tame_here(cache=tmp_path)
    assert said.returncode == 0
    begun = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("  tame ")]
    assert len(begun) == 5
    assert set(begun) <= set(COMMANDS)
    assert max(map(len, said.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_is_cut_at_80_columns_or_names_types_of_python(command, tmp_path):
    said = tame_here(command, "--help", cache=tmp_path)
    assert said.returncode == 0
    assert "…" not in said.stdout
    assert re.findall(r"<[\w\[\]]+>|\[\[|[{}]|[.]{4}", said.stdout) == []
    assert max(map(len, said.stdout.splitlines())) <= 80


def test_the_help_of_fit_has_its_panels_in_order_and_ends_with_examples(tmp_path):
    said = tame_here("fit", "--help", cache=tmp_path).stdout
    places = [said.index(f"─ {name} ─") for name in PANELS]
    assert places == sorted(places)
    assert said.partition("Examples:")[2].count(" tame fit ") == 3


def test_a_word_is_explained_for_people_and_for_programs(tmp_path):
    said = tame_here("explain", "learning", "rate", cache=tmp_path)
    assert said.stdout.startswith("Learning rate\n  How far the weights move in one step.")
    found = json.loads(tame_here("explain", "optimizer.beta2", "--json", cache=tmp_path).stdout)
    assert found["found"][0]["name"] == "Beta2 (optimizer.beta2)"
    unknown = tame_here("explain", "ovrfitting", cache=tmp_path)
    assert unknown.returncode == 2
    assert "did you mean 'overfitting'?" in unknown.stderr


def test_long_messages_are_broken_between_words_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    long = "x" * 40
    said = wrapped(f"tame: the model is delivered again {long}\nresume it with --time 5m")
    assert said.splitlines() == ["tame: the model is delivered", "again", long, "resume it with --time 5m"]


@pytest.mark.parametrize("words", [
    ("check", "NAME"), ("fit", "ROWS", "--target", "y", "--val", "NAME"), ("show", "NAME"), ("predict", "NAME", "ROWS"),
    ("fit", "ROWS", "--target", "y", "--config", "NAME"), ("import", "NAME", "--out", "out"),
    ("fit", "ROWS", "--target", "y", "--out", "NAME"), ("diagnose", "NAME"), ("report", "NAME"),
    ("fit", "ROWS", "--target", "y", "--space", "NAME"),
])  # fmt: skip
def test_what_is_too_long_for_a_file_s_name_is_said_in_one_line(words, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,y\n" + "".join(f"{i % 7},{i * i % 11},{i % 2}\n" for i in range(60)))
    own = [{"NAME": "x" * 300, "ROWS": rows}.get(word, word) for word in words]
    done = tame_here(*own, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "is not the name of a file: file name too long" in done.stderr
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("tame-crash")] == []


@pytest.mark.slow
def test_data_may_stand_in_the_config_file_and_is_asked_for_where_it_does_not(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,y\n" + "".join(f"{i % 7},{i * i % 11},{'no' if i % 2 else 'yes'}\n" for i in range(60)))
    (tmp_path / "tame.toml").write_text(f'data = "{rows}"\ntarget = "y"\n')
    done = tame_here("plan", "--config", "tame.toml", "--trials", "2", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (("fit",), ("fit", "--target", "y"), ("plan", "--target", "y")):
        done = tame_here(*words, cache=tmp_path / "cache", cwd=tmp_path)
        assert done.returncode == 2
        assert "no data: name it on the command line" in done.stderr


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--target", "z"), 3, "no column named 'z'"),
        (("--target", "y", "--groups", "who"), 3, "no column named 'who'"),
        (("--target", "y", "--column", "c=ignore"), 3, "no column named 'c'"), ((), 2, "needs a column to predict"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_told_however_short_the_clock(form, words, code, said, tmp_path):
    rows = tmp_path / f"rows.{form}"
    cells = {"a": [i % 7 for i in range(60)], "b": [i * i % 11 for i in range(60)], "y": ["no", "yes"] * 30}
    if form == "csv":
        rows.write_text("\n".join(["a,b,y", *(",".join(map(str, row)) for row in zip(*cells.values(), strict=True))]))
    else:
        parquet.write_table(pyarrow.table(cells), rows)
    done = tame_here("fit", rows, *words, "--time", "0.001s", cache=tmp_path / "cache", cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "runs").exists()
