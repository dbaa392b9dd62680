"""Recipes, spaces, configs, registries, streams of chance, and the fold from events to a history."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tame.core.config import DEFAULT_TIME_S, StudyConfig, read_toml
from tame.core.errors import RefusedError, StorageError, TameError, UsageError, require, unknown
from tame.core.options import parse_set, parse_time
from tame.core.recipe import Recipe
from tame.core.records import (
    ORIGINS,
    Curve,
    Decision,
    Event,
    History,
    Point,
    Score,
    Trial,
    curve_event,
    decision_event,
    replay,
)  # fmt: skip
from tame.core.registry import Registry
from tame.core.rng import stream, stream_seed
from tame.core.space import Choice, Float, Int, Space, parse_dimension
from tame.core.space_text import read_space

FIELDS = {
    "input.size": st.integers(8, 1024),
    "input.views": st.integers(1, 16),
    "input.crop": st.floats(0.1, 1),
    "table.scaling": st.sampled_from(("quantile", "standard")),
    "table.numbers": st.sampled_from(("plain", "piecewise", "periodic")),
    "table.bins": st.integers(2, 256),
    "table.dim": st.integers(1, 128),
    "table.sigma": st.floats(0, 100, exclude_min=True),
    "table.one_hot": st.integers(0, 1000),
    "model.name": st.text(max_size=20),
    "model.hidden": st.integers(0, 8192),
    "model.width": st.integers(1, 8192),
    "model.depth": st.integers(0, 64),
    "model.activation": st.text(max_size=20),
    "model.norm": st.sampled_from(("none", "layer", "batch")),
    "model.residual": st.booleans(),
    "model.dropout": st.floats(0, 1, exclude_max=True),
    "model.unfrozen": st.integers(0, 16),
    "loss.name": st.text(max_size=20),
    "loss.label_smoothing": st.floats(0, 1, exclude_max=True),
    "loss.class_weights": st.sampled_from(("none", "balanced")),
    "loss.delta": st.floats(0, 1e6, exclude_min=True),
    "loss.quantile": st.floats(0.001, 0.999),
    "loss.gamma": st.floats(0, 20),
    "loss.costs": st.text(max_size=20),
    "optimizer.name": st.text(max_size=20),
    "optimizer.lr": st.floats(0, 1e4, exclude_min=True),
    "optimizer.weight_decay": st.floats(0, 1e4),
    "optimizer.momentum": st.floats(0, 1, exclude_max=True),
    "optimizer.beta2": st.floats(0, 1, exclude_max=True),
    "optimizer.clip_norm": st.floats(0, 1e6),
    "optimizer.clip_value": st.floats(0, 1e6),
    "schedule.name": st.text(max_size=20),
    "schedule.warmup": st.floats(0, 1, exclude_max=True),
    "schedule.drops": st.integers(1, 1000),
    "schedule.factor": st.floats(1e-6, 1),
    "schedule.power": st.floats(0, 100, exclude_min=True),
    "schedule.cycles": st.integers(1, 1000),
    "schedule.patience": st.integers(1, 100_000),
    "then.start": st.floats(0, 1, exclude_min=True),
    "then.optimizer": st.text(max_size=20),
    "then.lr": st.floats(0, 1e4, exclude_min=True),
    "then.weight_decay": st.floats(0, 1e4),
    "then.momentum": st.floats(0, 1, exclude_max=True),
    "then.schedule": st.text(max_size=20),
    "then.warmup": st.floats(0, 1, exclude_max=True),
    "regularize.l1": st.floats(0, 1e4),
    "regularize.l2": st.floats(0, 1e4),
    "regularize.max_norm": st.floats(0, 1e6),
    "regularize.ema": st.floats(0, 1, exclude_max=True),
    "regularize.swa": st.floats(0, 1, exclude_max=True),
    "regularize.mixup": st.floats(0, 10),
    "regularize.cutmix": st.floats(0, 10),
    "regularize.early_stopping": st.integers(0, 100_000),
    "augment.flip": st.booleans(),
    "augment.crop": st.floats(0, 0.5),
    "augment.rotation": st.floats(0, 180),
    "augment.color": st.floats(0, 1),
    "augment.strength": st.floats(0, 1),
    "augment.noise": st.floats(0, 10),
    "batch_size": st.integers(1, 1_000_000),
    "epochs": st.integers(1, 100_000),
    "seed": st.integers(0, 2**63 - 1),
}
values = st.fixed_dictionaries({}, optional=FIELDS)

# Recipes --------------------------------------------------------------------------------------------------------------


def test_the_fields_tried_here_are_all_there_are():
    assert set(FIELDS) == set(Recipe().flat())


@given(values)
def test_a_recipe_is_its_flat_values(changes):
    recipe = Recipe().but(changes)
    assert {name: recipe.flat()[name] for name in changes} == changes
    assert {name: v for name, v in recipe.flat().items() if name not in changes}.items() <= Recipe().flat().items()
    assert Recipe.from_flat(recipe.flat()) == recipe
    assert Recipe.from_flat(json.loads(json.dumps(recipe.flat()))) == recipe
    assert [type(v) for v in recipe.flat().values()] == [type(v) for v in Recipe().flat().values()]


@given(values)
@example({"seed": 2**63 - 1})
@example({"seed": 2**53 + 1})
def test_a_recipe_can_be_written_as_text(changes):
    recipe = Recipe().but(changes)
    assert Recipe().but({name: str(value) for name, value in changes.items()}) == recipe
    assert Recipe().but({f"recipe.{name}": value for name, value in changes.items()}) == recipe


@given(values, values)
def test_two_recipes_have_one_key_only_if_they_are_equal(one, other):
    a, b = Recipe().but(one), Recipe().but(other)
    assert (a.key() == b.key()) == (a.flat() == b.flat())
    assert len(a.key()) == 16


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("optimizer.l", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("epoch", "epochs"),
        ("droput", "model.dropout"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(name, near):
    with pytest.raises(UsageError, match=f"no recipe field named '{name}'; did you mean '{near}'"):
        Recipe().but({name: 1})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 2.5, "epochs must be a whole number, got 2.5"),
        ("epochs", "ten", "epochs must be a whole number, got 'ten'"),
        ("epochs", True, "epochs must be a whole number, got True"),
        ("epochs", None, "epochs must be a whole number, got None"),
        ("epochs", math.inf, "epochs must be a whole number"),
        ("optimizer.lr", "fast", "optimizer.lr must be a number, got 'fast'"),
        ("optimizer.lr", math.nan, "optimizer.lr must be a number"),
        ("optimizer.lr", 10**400, "optimizer.lr must be a number"),
        ("optimizer.lr", [1], "optimizer.lr must be a number"),
        ("augment.flip", 1, "augment.flip must be true or false, got 1"),
        ("augment.flip", "maybe", "augment.flip must be true or false"),
        ("model.name", 3, "model.name must be text, got 3"),
        ("epochs", 0, "epochs must be 1 to 100000, got 0"),
        ("batch_size", 0, 'batch_size must be 1 to 1000000 or "all", got 0'),
        ("seed", -1, "seed must be 0 to"),
        ("seed", 2**63, "seed must be 0 to"),
        ("optimizer.lr", 0, "optimizer.lr must be above 0"),
        ("optimizer.lr", -1e-3, "optimizer.lr must be above 0"),
        ("optimizer.momentum", 1, "optimizer.momentum must be at least 0 and below 1"),
        ("optimizer.weight_decay", -1, "optimizer.weight_decay must be"),
        ("model.dropout", 1, "model.dropout must be at least 0 and below 1"),
        ("model.hidden", -1, "model.hidden must be"),
        ("model.width", 0, "model.width must be"),
        ("model.unfrozen", 17, "model.unfrozen must be"),
        ("loss.label_smoothing", 1, "loss.label_smoothing must be"),
        ("schedule.warmup", 1, "schedule.warmup must be"),
        ("augment.crop", 0.51, "augment.crop must be"),
        ("input.size", 7, "input.size must be"),
        ("input.crop", 0, "input.crop must be"),
        ("input.views", 0, "input.views must be"),
    ],
)
def test_no_recipe_exists_that_cannot_be_trained(name, value, words):
    with pytest.raises(UsageError, match=words):
        Recipe().but({name: value})


def test_words_and_whole_floats_are_understood():
    recipe = Recipe().but({"epochs": 12.0, "batch_size": "1e2", "augment.flip": "Yes", "optimizer.lr": "1e-2"})
    assert (recipe.epochs, recipe.batch_size, recipe.augment.flip, recipe.optimizer.lr) == (12, 100, True, 0.01)


# Spaces ---------------------------------------------------------------------------------------------------------------

unit = st.floats(0, 1)


@st.composite
def dimensions(draw):
    kind, log = draw(st.sampled_from(["float", "int", "choice"])), draw(st.booleans())
    if kind == "choice":
        options = st.one_of(st.integers(-5, 5), st.floats(-2, 2), st.text(max_size=3))
        return Choice(*draw(st.lists(options, min_size=1, max_size=6, unique=True)))
    if kind == "int":
        low, high = sorted(draw(st.tuples(*[st.integers(1 if log else -1000, 1000)] * 2)))
        return Int(low, high, log)
    low, high = sorted(draw(st.tuples(*[st.floats(1e-6 if log else -1e3, 1e3)] * 2)))
    return Float(low, high, log)


@given(dimensions(), unit)
def test_every_point_of_the_cube_is_a_value_and_every_value_a_point(dimension, u):
    value = dimension.at(u)
    assert dimension.holds(value)
    place = dimension.where(value)
    assert 0 <= place <= 1
    if isinstance(dimension, Float):
        assert dimension.at(place) == pytest.approx(value, rel=1e-9, abs=1e-9 * (dimension.high - dimension.low))
    else:
        assert dimension.at(place) == value


@given(dimensions())
def test_the_ends_of_the_cube_are_the_ends_of_the_range(dimension):
    ends = (
        (dimension.values[0], dimension.values[-1])
        if isinstance(dimension, Choice)
        else (dimension.low, dimension.high)
    )
    assert (dimension.at(0.0), dimension.at(1.0)) == (pytest.approx(ends) if isinstance(dimension, Float) else ends)


@given(low=st.floats(1e-6, 1), decades=st.floats(0.1, 6), u=unit)
def test_a_log_range_is_even_in_its_logarithm(low, decades, u):
    dimension = Float(low, low * 10**decades, log=True)
    assert math.log10(dimension.at(u) / low) == pytest.approx(u * decades, abs=1e-6)


def test_each_whole_number_has_its_share_of_the_cube():
    found = [Int(2, 5).at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert [found.count(value) for value in (2, 3, 4, 5)] == [250] * 4
    found = [Int(1, 64, log=True).at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert set(found) == set(range(1, 65))
    assert found.count(1) > found.count(2) > found.count(8) > found.count(32)
    found = [Choice("a", "b", "c", "d").at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert [found.count(value) for value in "abcd"] == [250] * 4


SPACE = Space(
    {
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
        "model.dropout": Float(0.0, 0.5),
        "batch_size": Int(8, 256, log=True),
        "schedule.name": Choice("cosine", "linear"),
        "augment.flip": Choice(True, False),
    }
)


@given(st.lists(unit, min_size=5, max_size=5))
def test_a_space_maps_the_cube_to_recipes_and_back(point):
    own = SPACE.from_unit(np.array(point))
    assert SPACE.holds(own)
    recipe = Recipe().but(own)
    assert SPACE.holds(recipe.flat())
    again = SPACE.from_unit(SPACE.to_unit(recipe.flat()))
    for name, value in own.items():
        assert again[name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value)


def test_a_space_comes_back_from_json():
    assert Space.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE
    assert (
        SPACE.without(["batch_size"]).but({"batch_size": SPACE.dimensions["batch_size"]}).to_json() == SPACE.to_json()
    )
    assert not SPACE.holds({**SPACE.from_unit(np.zeros(5)), "optimizer.lr": 0.2})
    assert len(SPACE.without(["augment.flip", "no such"])) == 4


@pytest.mark.parametrize(
    ("dimension", "words"),
    [
        ({"seed": Int(0, 5)}, "the seed is never searched"),
        ({"optimizer.rate": Float(0, 1)}, "no recipe field named 'optimizer.rate'"),
        ({"model.dropout": Float(0, 1)}, "model.dropout must be at least 0 and below 1"),
        ({"model.dropout": Choice(0.1, 7, 0.2)}, "model.dropout must be at least 0 and below 1, got 7"),
        ({"epochs": Float(5.0, 40.0)}, "epochs is a whole number"),
        ({"epochs": Int(0, 40)}, "epochs must be 1"),
        ({"model.name": Float(0, 1)}, "model.name must be text"),
    ],
)
def test_a_space_that_no_recipe_can_lie_in_is_refused(dimension, words):
    with pytest.raises(UsageError, match=words):
        Space(dimension)


@pytest.mark.parametrize(
    ("text", "name", "dimension"),
    [
        ("optimizer.lr=1e-4..1e-1:log", "optimizer.lr", Float(1e-4, 1e-1, log=True)),
        ("recipe.optimizer.lr = 1..2", "optimizer.lr", Float(1.0, 2.0)),
        ("epochs=5..40", "epochs", Int(5, 40)),
        ("epochs=5.0..40", "epochs", Int(5, 40)),
        ("batch_size=1e1..1e3:log", "batch_size", Int(10, 1000, log=True)),
        ("batch_size=16..256:linear", "batch_size", Int(16, 256)),
        ("model.hidden=0|64|256", "model.hidden", Choice(0, 64, 256)),
        ("schedule.name=cosine|wsd", "schedule.name", Choice("cosine", "wsd")),
        ("augment.flip=true|False", "augment.flip", Choice(True, False)),
        ("model.dropout=0.3", "model.dropout", Choice(0.3)),
        ("model.dropout=-0.5..0.5", "model.dropout", Float(-0.5, 0.5)),
    ],
)
def test_a_dimension_is_read_from_text(text, name, dimension):
    assert parse_dimension(text) == (name, dimension)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr", "cannot read the space 'optimizer.lr': write NAME=LOW..HIGH"),
        ("=1..2", "cannot read the space"),
        ("epochs=", "cannot read the space"),
        ("epochs=1..", "cannot read the range"),
        ("epochs=..5", "cannot read the range"),
        ("epochs=1..2..3", "cannot read the range"),
        ("epochs=a..b", "cannot read the range 'a..b'"),
        ("epochs=1..true", "cannot read the range"),
        ("epochs=1..5:lag", "cannot read the scale 'lag'"),
        ("epochs=5..1", "the low end of a range must not be above the high one"),
        ("optimizer.lr=0..1:log", "a log range must start above 0"),
        ("optimizer.lr=nan..1", "must be finite"),
        ("optimizer.lr=0..inf", "must be finite"),
        ("epochs=3|3", "a choice holds the same value twice"),
    ],
)
def test_a_dimension_that_cannot_be_read_is_refused_with_the_right_form(text, words):
    with pytest.raises(UsageError, match=words):
        parse_dimension(text)


# Configs --------------------------------------------------------------------------------------------------------------

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
        ({"time_s": "5m"}, "the settings do not fit"),
        ({"trials": 0}, "trials must be 1 to 100000, got 0"),
        ({"trials": 2.5}, "trials must be a whole number, got 2.5"),
        ({"epochs": "3"}, "epochs must be a whole number, got '3'"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"folds": 1}, "folds must be 2 to 20, got 1"),
        ({"folds": 2.0}, "folds must be a whole number"),
        ({"seed": -1}, "seed must be 0"),
        ({"val": "a", "test": "a"}, "val and test cannot both be 'a'"),
        ({"model": "mine.py:build"}, "given from Python only"),
        ({"set": {"optimizer.l": 1}}, "did you mean 'optimizer.lr'"),
        ({"set": {"seed": 1}}, "the seed of a study is set with --seed"),
        ({"set": {"epochs": 0}}, "epochs must be 1"),
        ({"space": ["seed=1..5"]}, "the seed is never searched"),
        ({"space": ["optimizer.l=1..5"]}, "did you mean 'optimizer.lr'"),
        ({"space": ["model.dropout=0.1|7|0.2"]}, "got 7"),
        ({"space": ["model.dropout=0..2"]}, "model.dropout must be"),
        ({"space": ["epochs=5.5..9"]}, "epochs must be a whole number, got 5.5"),
        ({"space": ["epochs=5..9"], "set": {"epochs": 5}}, "epochs is fixed with --set and searched with --space"),
        ({"space": ["epochs=5..9", "epochs=1..2"]}, "the space of epochs is given twice"),
        ({"space": 5}, "the settings do not fit"),
        ({"space": [5]}, "the settings do not fit"),
        ({"set": 5}, "the settings do not fit"),
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
    config = StudyConfig.from_json(read_toml(path))
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
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), (" 2D ", 172800), ("0.5", 0.5)],
)
def test_times_are_read(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 m", "1e3", "five", "0", "0s", "5x", "1h-3m", "nan", "inf"])
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


# Registries and errors ------------------------------------------------------------------------------------------------


def test_a_registry_gives_what_was_added_and_refuses_the_rest():
    things: Registry[int] = Registry("thing")
    assert things.add("two")(2) == 2
    things.add("one")(1)
    assert things.names() == ("one", "two")
    assert things.get("one") == 1
    with pytest.raises(UsageError, match="thing 'one' is registered already"):
        things.add("one")(3)
    with pytest.raises(UsageError, match=r"no thing named 'tow'; did you mean 'two'\? \(known: one, two\)"):
        things.get("tow")


def test_errors_form_one_tree_with_exit_codes_of_their_own():
    codes = [kind.exit_code for kind in TameError.__subclasses__() if kind.__module__ == "tame.core.errors"]
    assert all(1 <= code < 10 for code in codes)
    with pytest.raises(RefusedError, match="no"):
        require(False, "no", error=RefusedError)
    require(True, "never said")
    assert unknown("thing", "x", []) == "no thing named 'x' (known: none)"
    assert unknown("search", "GRIDD", ["grid", "tpe"]).startswith("no search named 'GRIDD'; did you mean 'grid'? (")
    assert unknown("class", "Bee", ["BEE", "Be"]).startswith("no class named 'Bee'; did you mean 'Be'? (")


# Chance ---------------------------------------------------------------------------------------------------------------

names = st.lists(st.text(st.characters(exclude_characters="\x1f"), max_size=5) | st.integers(0, 99), max_size=3)


@given(seed=st.integers(0, 2**63 - 1), name=names)
def test_a_stream_depends_on_seed_and_name_alone(seed, name):
    first = stream(seed, *name).random(4)
    stream(seed, "another").random(100)
    assert np.array_equal(first, stream(seed, *name).random(4))
    assert 0 <= stream_seed(seed, *name) < 2**63


@given(st.lists(st.tuples(st.integers(0, 9), names.map(tuple)), min_size=2, max_size=20))
def test_streams_of_other_names_or_seeds_are_others(keys):
    texts = {(seed, *map(str, name)) for seed, name in keys}
    assert len({stream_seed(seed, *name) for seed, name in keys}) == len(texts)


def test_streams_are_not_correlated():
    draws = np.array([stream(0, "a", i).standard_normal(4000) for i in range(20)])
    draws = np.vstack([draws, [stream(i, "a", 0).standard_normal(4000) for i in range(1, 20)]])
    together = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.abs(together).max() < 4.5 / math.sqrt(4000)


def test_the_streams_are_these_and_stay_so():
    """A study of an older TAME must be resumed with the same draws."""
    assert stream_seed(0, "order", 1) == 4739946833832999988
    assert stream(7, "init", "out.weight").integers(1000, size=3).tolist() == [649, 428, 130]


# The fold from events to a history ------------------------------------------------------------------------------------

losses = st.none() | st.floats(0, 10)


@st.composite
def stories(draw):
    """Events of a study: trials that start, measure (some points twice), and are decided about."""
    events, started = [], 0
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["start", "curve", "decision", "state", "other"]))
        if kind == "start" or not started:
            recipe = Recipe().but({"seed": started})
            events.append(decision_event(Decision("start", started, "new", 3, recipe, "sobol")))
            started += 1
            continue
        trial = draw(st.integers(0, started - 1))
        if kind == "curve":
            first = draw(st.integers(1, 4))
            points = [Point(first + i, draw(losses), draw(losses), None) for i in range(draw(st.integers(1, 3)))]
            events.append(curve_event(trial, points))
        elif kind == "decision":
            what = draw(st.sampled_from(["continue", "pause", "stop", "complete"]))
            events.append(decision_event(Decision(what, trial, "so", draw(st.integers(0, 9)))))
        elif kind == "state":
            events.append(Event("trial_state", {"trial": trial, "state": draw(st.sampled_from(["failed", "running"]))}))
        else:
            events.append(Event("something else", {"trial": 99}))
    return events


@pytest.mark.parametrize("origin", [*ORIGINS, "a searcher of another package"])
def test_who_proposed_a_trial_is_told_by_predicates_as_by_the_sets_before(origin):
    trial = Trial(0, Recipe(), origin, "")
    assert trial.is_searched == (origin not in {"finalist", "fine-tune", "imported"})
    assert trial.may_be_delivered == (origin in ("finalist", "fine-tune"))
    assert trial.is_drawn == (origin in ("sobol", "random", "grid"))
    assert trial.was_given == (origin in ("default", "portfolio"))
    assert trial.is_independent == (origin in ("default", "portfolio", "sobol", "random", "grid"))
    assert (trial.is_default, trial.is_finalist) == (origin == "default", origin == "finalist")
    assert trial.is_fine_tuned == (origin == "fine-tune")
    kept = decision_event(Decision("start", 0, "", 1, Recipe(), origin))
    assert replay([kept]).trials[0].origin == origin


def test_a_damaged_decision_or_curve_is_named():
    for kind, data in (("decision", {"kind": "begin", "trial": 0, "reason": ""}), ("curve", {"trial": 0, "points": 1})):
        with pytest.raises(StorageError, match=rf"event 7 \({kind}\) is damaged"):
            History().after(Event(kind, data, id=7))


@given(stories())
def test_replaying_equals_going_on_and_events_survive_json(events):
    history = History()
    for i, event in enumerate(events):
        before = dict(history.trials)
        after = history.after(event)
        assert dict(history.trials) == before, "a history is a value"
        history = after
        assert history == replay(events[: i + 1])
    assert replay([Event(e.kind, json.loads(json.dumps(e.data))) for e in events]) == history


@given(stories())
def test_a_curve_is_in_order_and_ends_where_a_loss_was_lost(events):
    for trial in replay(events).trials.values():
        epochs = [point.epoch for point in trial.curve.points]
        assert epochs == sorted(set(epochs))
        for point in trial.curve.points[:-1]:
            assert point.train_loss is not None
            assert point.valid_loss is not None


def started(until=5):
    return replay([decision_event(Decision("start", 0, "why", until, Recipe(), "default"))])


def test_a_loss_that_is_lost_ends_the_curve_and_the_trial():
    points = [Point(1, 1.0, 1.0, 0.5), Point(2, None, 1.0, 0.5), Point(3, 1.0, 1.0, 0.5)]
    trial = started().after(curve_event(0, points)).trials[0]
    assert trial.state == "diverged"
    assert trial.epochs == 2
    assert started().after(curve_event(0, [Point(1, 1.0, None, None)])).trials[0].state == "diverged"


def test_points_that_come_twice_count_once_and_the_last_one_holds():
    event = curve_event(0, [Point(1, 3.0, 3.0, 0.1), Point(2, 2.0, 2.0, 0.2)])
    once = started().after(event)
    assert once.after(event) == once
    mended = once.after(curve_event(0, [Point(2, 1.5, 1.5, 0.3)]))
    assert mended.trials[0].curve.points == (Point(1, 3.0, 3.0, 0.1), Point(2, 1.5, 1.5, 0.3))


def test_decisions_change_the_state_and_keep_the_reason_of_the_start():
    history = started()
    for kind, state in [("pause", "paused"), ("continue", "running"), ("stop", "stopped"), ("complete", "complete")]:
        trial = history.after(decision_event(Decision(kind, 0, "other", 9))).trials[0]
        assert (trial.state, trial.until, trial.reason, trial.origin) == (state, 9, "why", "default")
    assert history.after(decision_event(Decision("pause", 0, "other"))).trials[0].until == 5
    assert [t.number for t in history.having("running", "paused")] == [0]
    assert history.having("complete") == []


def test_curves_and_scores_are_plain_values():
    curve = Curve(tuple(Point(i, 1.0, 1.0, None) for i in (1, 2, 3)))
    assert curve.upto(2).last == Point(2, 1.0, 1.0, None)
    assert Curve().last is None
    assert json.loads(json.dumps(Score(0.5, 0.4, 0.6, 10, "how").to_json())) == {
        "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "how": "how",
    }  # fmt: skip
