"""Every setting of a study is written the same on the command line, in TOML and in Python, and read back as it was."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import tame
from tame.app.cli import app
from tame.app.flags import with_settings
from tame.core.codes import CODES
from tame.core.columns import SAYABLE, write_columns
from tame.core.config import (
    ARRAYS,
    FIELDS,
    MOST_WORKERS,
    OPTIONS,
    PYTHON_ONLY,
    SEARCHES,
    StudyConfig,
    command_of,
    config_of,
    read_toml,
    stored_name,
)
from tame.core.errors import UsageError
from tame.core.options import Texts, parse_time, write_time

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
paths = st.lists(st.text("abc-_.", min_size=1, max_size=8), min_size=1, max_size=3).map(
    lambda parts: "/x/" + "/".join(parts)
)
whole_paths = paths.map(lambda path: str(Path(path).resolve()))
times = st.floats(1e-3, 1e9).map(lambda seconds: write_time(seconds)[0])
spaces = st.sampled_from(
    ("optimizer.lr=1e-4..1e-1:log", "model.hidden=0|64", "schedule.drops=1..5 if schedule.name=step")
)
sets = st.fixed_dictionaries(
    {},
    optional={
        "optimizer.weight_decay": st.floats(0, 1),
        "augment.flip": st.booleans(),
        "batch_size": st.one_of(st.integers(1, 512), st.just("all")),
        "model.name": st.sampled_from(("mlp", "a=b", "two words")),
    },
).filter(bool)
TEXTS: dict[str, st.SearchStrategy[Texts]] = {
    "task": st.sampled_from(("classification", "regression", "binary")).map(lambda each: (each,)),
    "metric": st.sampled_from(("accuracy", "log_loss")).map(lambda each: (each,)),
    "time_s": times.map(lambda each: (each,)),
    "search": st.sampled_from(SEARCHES[1:]).map(lambda each: (each,)),
    "space": st.lists(spaces, min_size=1, unique=True).map(tuple),
    "widen": st.just(("false",)),
    "doctor": st.just(("true",)),
    "stop_search_early": st.just(("true",)),
    "ensemble": st.sampled_from(("true", "false")).map(lambda each: (each,)),
    "more_data": st.just(("true",)),
    "baseline": st.just(("trees",)),
    "start_from": st.lists(whole_paths, min_size=1, max_size=3).map(tuple),
    "set": sets.map(lambda own: tuple(f"{name}={value}" for name, value in own.items())),
    "text": st.just(("the text",)),  # that no other option names
    "columns": st.dictionaries(words, st.sampled_from(SAYABLE), min_size=1, max_size=3).map(write_columns),
    "mute": st.lists(st.sampled_from([*CODES, "TAME301"]), min_size=1, max_size=3, unique=True).map(tuple),
    "ray": st.sampled_from((("local",), ("head:6379",), ("[::1]:6379",))),
    "objective": st.sampled_from(("latency", "size")).map(lambda each: (each,)),
    "limit": st.sampled_from((("latency=20ms",), ("size=5MB",), ("size=1.5GiB", "latency=3us"))),
    "store": st.from_regex(r"postgresql://[a-z]{1,9}/[a-z]{1,9}", fullmatch=True).map(lambda each: (each,)),
    "folds": st.integers(2, 20).map(lambda n: (str(n),)),
    "trials": st.integers(1, 100_000).map(lambda n: (str(n),)),
    "epochs": st.integers(1, 100_000).map(lambda n: (str(n),)),
    "seed": st.integers(1, 2**63 - 1).map(lambda n: (str(n),)),
    "workers": st.integers(1, MOST_WORKERS).map(lambda n: (str(n),)),
}


def texts_for(name: str) -> st.SearchStrategy[Texts]:
    return TEXTS.get(name, words.map(lambda each: (each,)))


FIT = typer.main.get_command(app).commands["fit"]
SMALL = typer.Typer()
TAKEN: list[StudyConfig] = []


@SMALL.command()
@with_settings(OPTIONS, file=True)
def keep(config: StudyConfig) -> None:
    TAKEN.append(config)


KEEP = typer.main.get_command(SMALL)


def parsed(line: str) -> StudyConfig:
    """The settings of a line `tame fit ...`, by the parser of the command line."""
    KEEP(shlex.split(line)[2:], standalone_mode=False)
    return TAKEN.pop()


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_an_option_of_fit_or_for_python_only(name):
    own = [each for each in FIT.params if each.name == name]
    assert bool(own) == (name not in PYTHON_ONLY)
    if own:
        flags = [own[0].name] if OPTIONS[name].kind == "argument" else [f"--{OPTIONS[name].flag_of(name)}"]
        assert set(flags) <= set(own[0].opts)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "data"])
@given(data=st.data())
def test_a_setting_is_the_same_after_text_config_text_and_the_command_line(name, data):
    texts = data.draw(texts_for(name))
    own = OPTIONS[name]
    config = config_of({"data": ("x.csv",), name: texts})
    value = getattr(config, name)
    assert own.value_of(own.texts_of(value)) == value
    assert own.texts_of(value) == texts
    line = command_of(config)
    if own.repeated == "never":
        assert line == command_of(StudyConfig(data="x.csv"))
        return
    assert f"--{own.flag_of(name)}" in shlex.split(line) or f"--no-{own.flag_of(name)}" in shlex.split(line)
    assert parsed(line) == config


@given(seconds=st.floats(1e-12, 1e15))
def test_a_time_is_written_without_losing_a_digit(seconds):
    assert parse_time(write_time(seconds)[0]) == seconds


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "data"])
@given(data=st.data())
def test_a_study_on_arrays_is_made_again_by_the_call_that_is_told(name, data):
    own = config_of({"data": ("x.csv",), name: data.draw(texts_for(name))})
    config = replace(own, data=ARRAYS)
    given = {}
    names = {"tame": SimpleNamespace(fit=lambda arrays, **settings: given.update(settings)), "X": 0, "y": 0}
    eval(command_of(config), names)
    if "time" in given:
        given["time_s"] = parse_time(given.pop("time"))
    expected = (
        replace(config, **{name: getattr(StudyConfig(data=ARRAYS), name)})
        if OPTIONS[name].repeated == "never"
        else config
    )
    assert replace(StudyConfig(data=ARRAYS), **given) == expected


def test_the_call_that_makes_a_study_of_arrays_again_says_all_that_was_given():
    config = StudyConfig(
        data=ARRAYS, model="nets.py:build", trials=8, epochs=4, time_s=90.0, set={"optimizer.lr": 0.1}, seed=3
    )
    assert command_of(config) == (
        "tame.fit((X, y), model=build, trials=8, epochs=4, seed=3, time='90s', set={'optimizer.lr': 0.1})"
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_is_not_written_except_the_seed(name):
    item = next(each for each in fields(StudyConfig) if each.name == name)
    plain = StudyConfig(data="x.csv")
    assert command_of(plain) == "tame fit x.csv --seed 0"
    if item.default is not MISSING:
        assert command_of(replace(plain, **{name: item.default})) == command_of(plain)


OLDER = {name: each.older for name, each in OPTIONS.items() if each.older}
EXAMPLE = {"stop_search_early": ("true", True), "start_from": (["/x"], ("/x",))}


@pytest.mark.parametrize(("name", "older"), OLDER.items())
def test_an_option_that_was_renamed_is_taken_by_its_older_name_which_the_help_does_not_show(tmp_path, name, older):
    hidden = next(each for each in FIT.params if each.name == older)
    assert hidden.hidden
    assert hidden.opts == [f"--{older.replace('_', '-')}"]
    (tmp_path / "a.toml").write_text(f"{older} = {json.dumps(EXAMPLE[name][1])}")
    assert read_toml(tmp_path / "a.toml") == {name: EXAMPLE[name][1]}
    (tmp_path / "b.toml").write_text(
        f"{older} = {json.dumps(EXAMPLE[name][1])}\n{name} = {json.dumps(EXAMPLE[name][1])}"
    )
    with pytest.raises(UsageError, match=f"{name} is the new name of {older}"):
        read_toml(tmp_path / "b.toml")
    with pytest.raises(UsageError, match=f"{name} is the new name of {older}"):
        tame.fit("none", **{name: EXAMPLE[name][1], older: EXAMPLE[name][1]})


def test_config_json_keeps_the_names_that_older_versions_read():
    config = StudyConfig(data="x", stop_search_early=True, start_from=("/x",))
    plain = config.to_json()
    unsaid = ("columns", "image", "text", "label_pattern", "store", "mute", "edits", "workers",
              "baseline", "ray", "objective", "limit", "doctor", "ensemble", "more_data")  # fmt: skip
    assert list(plain) == [stored_name(name) for name in FIELDS if name not in unsaid]
    assert (plain["until_worthless"], plain["first"]) == (True, ["/x"])
    assert StudyConfig.from_json(json.loads(json.dumps(plain))) == config


def test_flags_of_both_names_are_taken_together_and_over_a_file(tmp_path):
    (tmp_path / "a.toml").write_text('first = "/z"\ntrials = 5\nepochs = 4\n')
    line = f"tame fit x.csv --config {tmp_path / 'a.toml'} --until-worthless --trials 9"
    assert parsed(line) == StudyConfig(data="x.csv", start_from=("/z",), trials=9, epochs=4, stop_search_early=True)
    both = StudyConfig(data="x.csv", start_from=("/x", "/y"))
    assert parsed("tame fit x.csv --start-from /x --first /y") == both


def test_the_help_of_fit_shows_every_option_whole_at_80_columns():
    terminal = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", "TERMINAL_WIDTH": "80"}
    found = subprocess.run(
        [sys.executable, "-m", "tame.app.cli", "fit", "--help"], env={**os.environ, **terminal}, capture_output=True
    ).stdout.decode()
    for name, own in OPTIONS.items():
        assert own.kind == "argument" or f"--{own.flag_of(name)} " in found
        assert not own.older or f"--{own.older.replace('_', '-')}" not in found
    assert "…" not in found
    assert [found.index(f"─ {each} ─") for each in ("Arguments", "Options", "Data", "Search")] == sorted(
        found.index(f"─ {each} ─") for each in ("Arguments", "Options", "Data", "Search")
    )


NOT_OF_A_PLAN = {
    "workers",
    "ray",
    "objective",
    "limit",
    "widen",
    "doctor",
    "stop_search_early",
    "ensemble",
    "out",
    "store",
}


@pytest.mark.parametrize("command", ["fit", "plan", "check"])
def test_commands_share_the_options_of_the_table(command):
    params = typer.main.get_command(app).commands[command].params
    help_of = {each.name: each.help for each in params if each.name in OPTIONS}
    assert help_of == {name: OPTIONS[name].help for name in help_of}
    assert {"fit": set(OPTIONS), "plan": set(OPTIONS) - NOT_OF_A_PLAN}.get(command, set(help_of)) == set(help_of)


TOLD = {
    "task": "classification", "target": "income", "image": "photo", "text": "note", "columns": {"id": "ignore"},
    "groups": "who", "metric": "log_loss", "backbone": "none", "time_s": 90.0, "trials": 7, "epochs": 3,
    "search": "tpe", "space": ("optimizer.lr=1e-4..1e-1:log",), "widen": False, "doctor": True,
    "stop_search_early": True, "ensemble": False, "more_data": True, "baseline": "trees",
    "start_from": ("runs/a b",), "set": {"model.width": 64}, "val": "v", "test": "t", "folds": 3, "edits": "e.csv",
    "seed": 5,
    "mute": ("TAME301", "leak"), "objective": "latency", "limit": {"size": "5MB"},
}  # fmt: skip


def test_the_command_that_makes_a_study_again_holds_all_that_was_asked_for():
    told = StudyConfig(data="x.csv", **TOLD)
    assert shlex.split(command_of(told)) == [
        "tame", "fit", "x.csv", "--target", "income", "--image", "photo", "--text", "note", "--column", "id=ignore",
        "--groups", "who", "--task", "classification", "--backbone", "none", "--search", "tpe",
        "--val", "v", "--test", "t", "--folds", "3", "--edits", "e.csv", "--trials", "7", "--epochs", "3",
        "--seed", "5", "--metric", "log_loss", "--time", "90s", "--space", "optimizer.lr=1e-4..1e-1:log",
        "--start-from", "runs/a b", "--no-widen", "--doctor", "--stop-search-early", "--no-ensemble",
        "--baseline", "trees", "--more-data", "--set", "model.width=64", "--objective", "latency", "--limit",
        "size=5MB", "--mute", "TAME301", "--mute", "leak",
    ]  # fmt: skip
    named = shlex.split(command_of(StudyConfig(data="x", label_pattern=r"(.+)_\d+.jpg")))
    assert named == ["tame", "fit", "x", "--label-pattern", r"(.+)_\d+.jpg", "--seed", "0"]
    # Named already, not beside groups, only from Python; another folder, where the events are, who trains; just seen,
    # not beside a target.
    left_out = {"data", "order", "model", "out", "store", "workers", "ray", "label_pattern"}
    assert {each.name for each in fields(StudyConfig)} - left_out == set(TOLD)
