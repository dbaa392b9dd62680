"""Columns that group and order rows: the same values are the same in every file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import DataError
from tame.data.table_order import group_codes, joined_groups, joined_order
from tame.data.tables import RawTable

FORMS = {
    "whole": lambda numbers: (np.array(numbers, dtype=np.int64), ""),
    "float": lambda numbers: (np.array(numbers, dtype=np.float64), ""),
    "text": lambda numbers: (np.array([str(number) for number in numbers], dtype=object), ","),
    "point": lambda numbers: (np.array([f"{number}.0" for number in numbers], dtype=object), ","),
    "blank": lambda numbers: (np.array([f" {number}" for number in numbers], dtype=object), ","),
}


def named(number: int, column: np.ndarray, separator: str = ",") -> tuple[str, RawTable]:
    return f"t{number}.csv", RawTable(("g",), {"g": column}, (), len(column), "", separator)


def text(number: int, cells: Sequence[str]) -> tuple[str, RawTable]:
    return named(number, np.array(cells, dtype=object))


@given(
    numbers=st.lists(st.integers(0, 5), min_size=2, max_size=30), first=st.sampled_from(list(FORMS)),
    second=st.sampled_from(list(FORMS)),
)  # fmt: skip
def test_groups_and_order_are_the_same_through_every_entrance(numbers, first, second):
    tables = [named(place, *FORMS[form](numbers)) for place, form in enumerate((first, second))]
    codes, _ = group_codes(joined_groups(tables, "g")[0], "g")
    assert (codes[: len(numbers)] == codes[len(numbers) :]).all()
    assert len(np.unique(codes)) == len(set(numbers))
    ordered, _ = joined_order(tables, "g")
    assert [float(value) for value in ordered] == [float(number) for number in numbers * 2]


def test_dates_of_a_second_file_are_read_by_its_own_order_and_said():
    days = [np.datetime64("2020-01-01") + 9 * i for i in range(40)]
    first = ["{2}/{1}/{0}".format(*str(day).split("-")) for day in days]
    second = ["{1}/{2}/{0}".format(*str(day).split("-")) for day in days]
    for joined in (joined_order, joined_groups):
        values, notes = joined([text(0, first), text(1, second)], "g")
        assert values[:40].tolist() == values[40:].tolist()
        assert "t1.csv: g: dates come with the month first" in notes[0]


def test_names_with_leading_zeros_are_other_groups_than_numbers():
    values, _ = joined_groups([text(0, ["007", "012"]), text(1, ["7", "012"])], "g")
    assert values.tolist() == ["007", "012", "7", "012"]


def test_groups_that_differ_in_capitals_only_are_one_and_that_is_said():
    tables = [text(0, ["P1", "p1 ", "p1", "P2", "a", "", "NA"]), text(1, ["P1", "p2", "A", "na", "nan"])]
    codes, said = group_codes(joined_groups(tables, "g")[0], "g")
    groups = [{0, 1, 2, 7}, {3, 8}, {4}, {9}, {5, 6, 11}, {10}]
    assert {frozenset(np.flatnonzero(codes == code).tolist()) for code in codes} == set(map(frozenset, groups))
    assert "g: groups that differ in capitals only, or are otherwise hard to tell apart, are one: 'P1', 'P2'" in said
    assert "g: 3 without a value" in said


@pytest.mark.parametrize(
    "other", ["P\u20101", "P\u20111", "P\u20131", "P\u22121", "P\uff0d1", "\u0420-1", "p-1", "P-1\u00a0", "P-\u200b1"]
)
def test_groups_whose_names_are_hard_to_tell_apart_are_one(other):
    codes, _ = group_codes(joined_groups([text(0, ["P-1", other, "P-2", "P1"])], "g")[0], "g")
    assert codes[0] == codes[1]
    assert len(set(codes.tolist())) == 3


def test_an_order_that_the_second_file_does_not_have_is_refused_with_its_name():
    with pytest.raises(DataError, match=r"t1.csv: column 'g' is not the number that the first table has \(row 2: 'x'"):
        joined_order([text(0, ["1", "2", "3"]), text(1, ["4", "x"])], "g")
