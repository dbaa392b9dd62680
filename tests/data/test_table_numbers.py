"""Numbers in brackets, dates without marks and hexadecimal numbers: read, or told what they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import DataError
from tame.data.table_cells import read_dates
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.tables import RawTable
from tame.data.targets import read_later_target, read_target


def raw_of(**columns: Sequence[str]) -> RawTable:
    cells = {name: np.array(own, dtype=object) for name, own in columns.items()}
    return RawTable(tuple(cells), cells, (), len(next(iter(cells.values()))), "", ",")


def typed(cells: Sequence[str], told: str = ""):
    table = type_table(raw_of(x=cells, z=["a", "b"] * (len(cells) // 2)), target=None, told={"x": told} if told else {})
    return table.columns[0], table


PLAIN = [f"{i}.5" for i in range(30)]


@pytest.mark.parametrize(
    ("plain", "cell", "value"),
    [
        ("{}.5", "(583)", -583.0), ("{}.5", "(1,200.50)", -1200.5), ("{}", "( 7 )", -7.0),
        ("${}.5", "$(583.25)", -583.25),
        ("${}.5", "($583.25)", -583.25), ("{}.5 %", "(5.5 %)", -5.5), ("{}.5 %", "(5.5) %", -5.5),
        ("{}.5\u20ac", "(9.5\u20ac)", -9.5),
    ],
)  # fmt: skip
def test_numbers_in_brackets_among_numbers_are_negative_and_that_is_said(plain, cell, value):
    cells = [*(plain.format(i) for i in range(28)), cell, cell]
    column, table = typed(cells)
    assert column.kind == "number"
    assert "brackets" in column.forms
    assert table.values["x"][-2:].tolist() == [value, value]
    assert any(f"x: 2 numbers in brackets are read as negative (row 29: {cell!r})" in note for note in table.notes)
    again, notes = apply_kinds(raw_of(x=cells, z=["a"] * 30), table.columns)
    assert np.array_equal(again.values["x"], table.values["x"])
    assert notes == ()


@given(st.lists(st.integers(-(10**6), 10**6), min_size=12, max_size=40, unique=True), st.booleans())
def test_numbers_written_in_either_way_are_the_same_numbers(numbers, thousands):
    numbers = [*numbers, 3, 4, 5][: len(numbers) + (len(numbers) % 2)]
    form = "{:,}" if thousands else "{}"
    minus = [form.format(number) for number in numbers]
    brackets = [f"({form.format(-number)})" if number < 0 else form.format(number) for number in numbers]
    _, table = typed(brackets, told="number:point" if thousands else "number")
    assert table.values["x"].tolist() == [float(number) for number in numbers]
    assert typed(minus, told="number:point" if thousands else "number")[1].values["x"].tolist() == numbers


def test_brackets_that_may_mean_something_else_are_asked_about_or_left_alone():
    both = [*(f"{i}.5" for i in range(20)), *(f"-{i}" for i in range(1, 15)), *(f"({i}.25)" for i in range(20))]
    with pytest.raises(DataError, match=r"'x' is ambiguous: in row 35: '\(0.25\)' .* others have a minus; .*=number"):
        typed(both)
    most = [*PLAIN, *(f"({i}.25)" for i in range(40))]
    with pytest.raises(DataError, match="and so do most of the column"):
        typed(most)
    assert typed(most, told="number")[1].values["x"][-1] == -39.25
    names, table = typed(["(1)", "(2)", "(3)"] * 20)
    assert (names.kind, names.categories) == ("category", ("(1)", "(2)", "(3)"))
    few, table = typed([*(f"{i}.5" for i in range(-50, 49)), "(3.5)"])
    assert few.kind == "number"
    assert any("x: 1 cell is not a number and taken as missing (row 100: '(3.5)')" in note for note in table.notes)
    words, _ = typed(["red (1)", "(030) 1234", "(a)", "(b) 7"] * 15)
    assert words.kind == "category"


def test_a_target_with_brackets_is_a_regression_and_a_later_one_is_read_as_it():
    cells = [*PLAIN[:28], "(583)", "(7.5)"]
    target, _ = read_target(raw_of(y=cells), "y")
    assert target.task == "regression"
    assert target.values[-2:].tolist() == [-583.0, -7.5]
    assert "2 numbers in brackets are read as negative (row 29: '(583)')" in target.why
    values, labelled, _ = read_later_target(raw_of(y=["(5)", "2.5", ""]), target)
    assert values[:2].tolist() == [-5.0, 2.5]
    assert labelled.tolist() == [True, True, False]


def test_brackets_in_a_later_table_are_negative_too_and_that_is_said():
    _, table = typed(PLAIN)
    later, notes = apply_kinds(raw_of(x=["1.5", "(2.5)", "3.5"], z=["a", "b", "a"]), table.columns)
    assert later.values["x"].tolist() == [1.5, -2.5, 3.5]
    assert "x: 1 number comes in brackets and read as negative (row 2: '(2.5)')" in notes
    later, notes = apply_kinds(raw_of(x=["-1.5", "(2.5)", "3.5"], z=["a", "b", "a"]), table.columns)
    assert np.isnan(later.values["x"][1])
    assert "x: 1 cell is not a number, taken as missing (row 2: '(2.5)')" in notes


@given(st.datetimes(), st.sampled_from(["", "Z", "+02", "+0200", "-05:30"]), st.sampled_from(["T", " "]))
def test_dates_in_the_basic_form_are_those_of_the_extended_one(moment, zone, mark):
    year = f"{moment.year:04}"
    basic = f"{year}{moment:%m%d}{mark}{moment:%H%M%S}{zone}"
    whole = zone if not zone or zone == "Z" else f"{zone[:3]}:{zone[-2:] if len(zone) > 3 else '00'}"
    extended = f"{year}-{moment:%m-%d}{mark}{moment:%H:%M:%S}{whole}"
    found, expected = (read_dates(pa.array([text], pa.large_string()), "iso") for text in (basic, extended))
    assert found.tolist() == expected.tolist()
    assert not np.isnan(found[0])


def test_a_column_of_basic_times_is_dates_and_not_an_identifier():
    cells = [f"202401{day:02}T10{minute:02}00" for day in range(1, 29) for minute in (7, 15)]
    column, table = typed(cells)
    assert (column.kind, column.reading) == ("date", "iso")
    assert table.values["x"][0] == pytest.approx(19723 + (10 * 60 + 7) / 1440)
    assert typed([cell[:13] for cell in cells])[0].kind == "date"


@pytest.mark.parametrize("kind", ["{:#x}", "0X{:06X}"])
def test_hexadecimal_numbers_are_told_and_not_called_identifiers(kind):
    column, table = typed([kind.format(i * 37 + 11) for i in range(60)])
    assert column.kind == "text"
    assert any("hexadecimal numbers, which are not read" in note and "--column x=KIND" in note for note in table.notes)
    few, table = typed([kind.format(i) for i in (10, 11, 12)] * 20)
    assert few.kind == "category"
    assert any("hexadecimal numbers" in note for note in table.notes)
