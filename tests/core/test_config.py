"""The settings of a study: from JSON, TOML and flags, and what is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.config import DEFAULT_TIME_S, StudyConfig, config_of, read_toml
from tame.core.errors import UsageError
from tame.core.options import parse_set, parse_time
from tame.core.space_text import read_space

configs = st.builds(
    StudyConfig,
    data=st.text(min_size=1, max_size=9),
    metric=st.sampled_from(["accuracy", "f1_macro", "log_loss", "balanced_accuracy"]),
    backbone=st.none() | st.just("none"),
    time_s=st.none() | st.floats(1, 1e6),
    trials=st.none() | st.integers(1, 1000),
    epochs=st.none() | st.integers(1, 1000),
    space=st.sampled_from([(), ("optimizer.lr=1e-4..1e-1:log",), ("model.hidden=0|64", "optimizer.lr=1e-4..1e-2")]),
    set=st.sampled_from([{}, {"batch_size": 16}, {"augment.flip": True, "model.dropout": 0.5}]),
    val=st.none() | st.just("valid"),
    test=st.none() | st.just("test"),
    folds=st.none() | st.integers(2, 20),
    seed=st.integers(0, 2**63 - 1),
)


def test_the_doctor_acts_where_it_is_told_to_and_not_in_older_studies():
    assert not StudyConfig(data="x").doctor
    assert not config_of({"data": ("x",)}).doctor
    assert config_of({"data": ("x",), "doctor": ("true",)}).doctor
    stored = StudyConfig(data="x", doctor=True).to_json()
    assert StudyConfig.from_json(stored).doctor
    del stored["doctor"]
    assert not StudyConfig.from_json(stored).doctor


@given(configs)
def test_a_config_comes_back_from_json(config):
    assert StudyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trails": 3}, "no setting named 'trails'; did you mean 'trials'"),
        ({"metric": "acuracy"}, "no metric named 'acuracy'; did you mean 'accuracy'"),
        ({"task": "sound"}, "no task named"),
        ({"time_s": 0}, "the time must be above 0"),
        ({"time_s": math.nan}, "the time must be above 0"),
        ({"time_s": "5m"}, "must be a number of seconds"),
        ({"trials": 0}, "trials must be 1 to 100000, got 0"),
        ({"trials": 2.5}, "trials must be a whole number, got 2.5"),
        ({"epochs": "3"}, "epochs must be a whole number, got '3'"),
        ({"out": 5}, "out must be a text, got 5"),
        ({"groups": ["g"]}, r"groups must be a text, got \['g'\]"),
        ({"search": None}, "search must be a text, got None"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"folds": 1}, "folds must be 2 to 20, got 1"),
        ({"folds": 2.0}, "folds must be a whole number"),
        ({"seed": -1}, "seed must be 0"),
        ({"val": "a", "test": "a"}, "val and test cannot both be 'a'"),
        ({"model": "mine.py:build"}, "only be given from Python"),
        ({"set": {"optimizer.l": 1}}, "did you mean 'optimizer.lr'"),
        ({"set": {"seed": 1}}, "the seed of a study is set with --seed"),
        ({"set": {"epochs": 0}}, "epochs must be 1"),
        ({"space": ["seed=1..5"]}, "the seed cannot be searched"),
        ({"space": ["optimizer.l=1..5"]}, "did you mean 'optimizer.lr'"),
        ({"space": ["model.dropout=0.1|7|0.2"]}, "got 7"),
        ({"space": ["model.dropout=0..2"]}, "model.dropout must be"),
        ({"space": ["epochs=5.5..9"]}, "epochs must be a whole number, got 5.5"),
        ({"space": ["epochs=5..9"], "set": {"epochs": 5}}, "epochs is fixed with --set and searched with --space"),
        ({"space": ["epochs=5..9", "epochs=1..2"]}, "the space of epochs is given twice"),
        ({"space": 5}, "invalid settings"),
        ({"space": [5]}, "invalid settings"),
        ({"set": 5}, "invalid settings"),
    ],
)
def test_a_config_that_cannot_be_obeyed_is_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        StudyConfig.from_json({"data": "x", **settings})


def test_a_study_without_limits_takes_five_minutes():
    assert StudyConfig(data="x").clock_s == DEFAULT_TIME_S == 300
    assert StudyConfig(data="x", trials=3).clock_s is None
    assert StudyConfig(data="x", trials=3, time_s=9).clock_s == 9


def test_toml_is_read_with_tables_for_what_is_fixed_and_searched(tmp_path):
    path = tmp_path / "tame.toml"
    path.write_text(
        'data = "pictures"\ntime = "1h30m"\nseed = 7\n[set]\nbatch_size = 16\n[set.optimizer]\nname = "sgd"\n'
        '[space]\n"model.hidden" = "0|64"\n[space.optimizer]\nlr = "1e-4..1e-1:log"\n',
        encoding="utf-8-sig",
    )
    config = config_of({}, path)
    assert config == StudyConfig(
        data="pictures",
        time_s=5400.0,
        seed=7,
        set={"batch_size": 16, "optimizer.name": "sgd"},
        space=("model.hidden=0|64", "optimizer.lr=1e-4..1e-1:log"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data = ", "is not a TOML file"),
        ("trails = 3", "did you mean 'trials'"),
        ('tiem = "5m"', "did you mean 'time'"),
        ('time = "soon"', "cannot read the time 'soon'"),
        ("time = true", "cannot read the time"),
        ("set = 5", "set must be a table"),
        ("\udcff", "is not a TOML file"),
        (f"trials = {'9' * 6000}", "is not a TOML file"),
        (f"# {' ' * (1 << 20)}", "bytes, more than"),
        ("[set]\n" + "a." * 3000 + "b = 1", "nested too deep"),
    ],
)
def test_toml_that_cannot_be_obeyed_is_refused(tmp_path, text, words):
    path = tmp_path / "tame.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=words):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "flag", "words"),
    [
        ('epochs = "3"', {"epochs": ("5",)}, r"tame.toml: epochs must be a whole number, got '3'"),
        ("trials = 0", {"trials": ("5",)}, "tame.toml: trials must be 1 to 100000, got 0"),
        ("out = 5", {"out": ("here",)}, "tame.toml: out must be a text, got 5"),
        ('widen = "no"', {"widen": ("true",)}, "tame.toml: widen must be true or false, got 'no'"),
        ('metric = "acuracy"', {"metric": ("mae",)}, "tame.toml: no metric named 'acuracy'; did you mean 'accuracy'"),
        ("data = 3", {"data": ("x",)}, "tame.toml: data must be a text, got 3"),
    ],
)
def test_a_wrong_value_in_toml_is_told_though_the_command_line_overrides_it(tmp_path, text, flag, words):
    path = tmp_path / "tame.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        config_of({"data": ("x",), **flag}, path)


def test_the_data_may_stand_in_toml_and_the_command_line_wins(tmp_path):
    path = tmp_path / "tame.toml"
    path.write_text('data = "pictures"\nval = "same"\n')
    assert config_of({"data": ()}, path).data == "pictures"
    assert config_of({"data": ("others",), "val": ("mine",), "test": ("same",)}, path).data == "others"
    path.write_text("trials = 3")
    with pytest.raises(UsageError, match=r"no data: name it on the command line, or in .*tame.toml as data = \.\.\."):
        config_of({"data": ()}, path)
    with pytest.raises(UsageError, match="or in a file for --config as data"):
        config_of({"data": ()})


def test_a_toml_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no config file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="is not a TOML file"):
        read_toml(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        for read in (read_toml, read_space):
            with pytest.raises(UsageError, match="a device or a pipe"):
                read(endless)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (" 2D ", 172800),
        ("0.5", 0.5),
        ("1d2h3m4s", 93784),
    ],
)
def test_times_are_read(text, seconds):
    assert parse_time(text) == seconds


ODD_TIMES = ["90s90s", "1h30", "30m1h", "9" * 400, "\u0665s"]


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5 m", "1e3", "five", "0", "0s", "5x", "1h-3m", "nan", "inf", *ODD_TIMES]
)
def test_other_times_are_refused(text):
    with pytest.raises(UsageError, match="time"):
        parse_time(text)


def test_what_is_fixed_is_read_from_flags():
    found = parse_set(("optimizer.lr=0.01", "recipe.augment.flip = true", "model.name=a=b"))
    assert found == {"optimizer.lr": 0.01, "augment.flip": True, "model.name": "a=b"}
    for texts, words in [
        (("epochs",), "write FIELD=VALUE"),
        (("epochs=1", "epochs=2"), "set twice"),
        (("x=1",), "no rec"),
    ]:
        with pytest.raises(UsageError, match=words):
            parse_set(texts)
