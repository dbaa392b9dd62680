"""Presets: what their files say, for which data, and files that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tame.adjust import portfolio, presets
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.space import Choice, Float, Space


@pytest.mark.parametrize("columns", [0, 20, 256, 257, 10_000])
def test_a_table_of_many_columns_is_not_given_waves(columns):
    preset = portfolio.tables(2000, task="binary", epochs=None, seed=1, columns=columns)
    few = columns <= 256
    assert ("periodic" in preset.dimensions["table.numbers"].values) == few
    assert any(changes.get("table.numbers") == "periodic" for changes in preset.portfolio) == few
    assert ("table.sigma" in preset.dimensions) == few
    assert len(preset.reasons) == len(preset.portfolio)


@pytest.mark.parametrize(("rows", "is_few"), [(300, True), (999, True), (1000, False), (9999, False)])
def test_few_rows_have_recipes_of_their_own(rows, is_few):
    preset = portfolio.tables(rows, task="binary", epochs=None, seed=1)
    assert any(changes.get("table.bins") == 8 for changes in preset.portfolio) is is_few


PRESETS = {
    "heads": lambda: portfolio.heads((256, 224), 5000, epochs=None, seed=1, crop=0.875),
    "heads, few": lambda: portfolio.heads((256, 224), 500, epochs=None, seed=1, crop=0.875),
    "scratch": lambda: portfolio.scratch(96, 5000, epochs=None, seed=1),
    "tables": lambda: portfolio.tables(5000, task="binary", epochs=None, seed=1),
    "tables, regression": lambda: portfolio.tables(500_000, task="regression", epochs=None, seed=1),
    "own": lambda: portfolio.own(5000, task="binary", epochs=7, seed=1),
    "heads on stages": lambda: portfolio.heads((96,), 500, epochs=None, seed=1, crop=1.0, pooled=4, unlike=True),
}


def test_a_preset_is_what_its_file_says_with_what_depends_on_the_data():
    own = PRESETS["own"]()
    changed = {name: value for name, value in own.base.flat().items() if value != Recipe().flat()[name]}
    assert changed == {
        "model.name": "own", "optimizer.lr": 2e-3, "schedule.name": "wsd", "batch_size": 64, "epochs": 7, "seed": 1,
    }  # fmt: skip
    assert own.portfolio == ({"optimizer.lr": 5e-4}, {"optimizer.lr": 8e-3})
    assert own.dimensions == {
        "optimizer.lr": Float(1e-4, 3e-2, log=True, purpose="nuisance"),
        "optimizer.weight_decay": Float(1e-4, 3e-1, log=True, purpose="nuisance"),
    }


@pytest.mark.parametrize("unlike", [False, True])
def test_the_likelier_features_come_first_and_the_others_next(unlike):
    own = portfolio.heads((96, 128), 500, epochs=None, seed=1, crop=1.0, pooled=3, unlike=unlike)
    first, other = (3, 0) if unlike else (0, 3)
    assert own.base.model.pooled == first
    assert own.portfolio[:2] == ({"input.size": 128}, {"model.pooled": other})
    assert own.dimensions["model.pooled"] == Choice(0, 3)
    assert "model.pooled" not in PRESETS["heads"]().dimensions


def test_what_holds_in_some_cases_only_is_left_out_in_the_others():
    many, few = PRESETS["heads"](), PRESETS["heads, few"]()
    assert list(many.dimensions) == [*few.dimensions, "model.hidden", "model.dropout"]
    assert many.portfolio[1] != few.portfolio[1]
    assert next(iter(many.dimensions)) == "input.size"
    assert many.dimensions["input.size"] == Choice(256, 224)
    assert many.portfolio[0] == {"input.size": 224}
    assert (many.base.batch_size, few.base.batch_size) == (64, 32)
    assert "loss.label_smoothing" in PRESETS["tables"]().dimensions
    assert "loss.label_smoothing" not in PRESETS["tables, regression"]().dimensions
    assert PRESETS["scratch"]().base.input.size == 64
    assert PRESETS["scratch"]().dimensions["input.size"] == Choice(64, 96)
    assert PRESETS["scratch"]().portfolio[:2] == ({"input.size": 96}, {"augment.rotation": 180.0})
    assert [len(make().portfolio) for make in PRESETS.values()] == [6, 6, 6, 8, 8, 2, 6]
    assert [len(make().dimensions) for make in PRESETS.values()] == [7, 5, 8, 10, 9, 2, 6]


@pytest.mark.parametrize(
    ("side", "first", "searched"), [(20, 32, (32,)), (60, 48, (48,)), (90, 64, (64, 80)), (500, 64, (64, 96))]
)
def test_a_network_from_scratch_begins_with_as_many_pixels_as_the_pictures_have_up_to_64(side, first, searched):
    own = portfolio.scratch(side, 800, epochs=None, seed=1)
    assert own.base.input.size == first
    assert own.dimensions["input.size"] == Choice(*searched)


@pytest.mark.parametrize("name", PRESETS)
def test_every_entry_of_a_preset_fits_and_says_why(name):
    preset = PRESETS[name]()
    space = Space(preset.dimensions, base=preset.base.flat())
    assert len(preset.reasons) == len(preset.portfolio)
    assert all(preset.reasons)
    assert set(preset.whys) == set(preset.dimensions)
    assert all(preset.whys.values())
    assert space.never() == {}
    assert {space.purpose(field) for field in preset.dimensions} <= {"scientific", "nuisance", "fixed"}
    for changes in preset.portfolio:
        assert preset.base.but(changes) != preset.base


def test_every_file_of_presets_is_read():
    assert {path.stem for path in Path(presets.__file__).parent.joinpath("spaces").iterdir()} == set(presets.KINDS)
    for kind in presets.KINDS:
        found = presets.known(kind)
        assert found.portfolio
        assert found.space
        assert all(each.why for each in (*found.portfolio, *found.space.values()))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"portfolios": []}, "x.toml: no part named 'portfolios'; did you mean 'portfolio'"),
        ({"portfolio": [{"why": "so"}]}, "x.toml: entry 1 of the portfolio has no changes"),
        ({"portfolio": [{"changes": {"epochs": 1}}]}, "entry 1 of the portfolio does not say why"),
        ({"portfolio": [{"changes": {"epochs": 1}, "whi": ""}]}, "no key named 'whi'; did you mean 'why'"),
        ({"portfolio": [], "base": {"optimizer.l": 1}}, "did you mean 'optimizer.lr'"),
        ({"portfolio": [], "space": {"epochs": {"low": 1, "high": 2}}}, "x.toml: epochs does not say why"),
        ({"portfolio": [], "space": {"epochs": {"low": 1, "hihg": 2, "why": "so"}}}, "did you mean 'high'"),
        ({"portfolio": [], "space": {"epochs": {"low": 0.5, "high": 2, "why": "so"}}}, "epochs must be a whole number"),
        ({"portfolio": [], "space": {"epoch": {"low": 1, "high": 2, "why": "so"}}}, "did you mean 'epochs'"),
    ],
)
def test_a_file_of_presets_that_is_wrong_is_refused(table, words):
    with pytest.raises(UsageError, match=words):
        presets.read_known(table, where="x.toml")
