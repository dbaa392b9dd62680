"""A later table: read by what it shows itself, refused where that is open, and what is unusual in it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import DataError
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import Column, RawTable
from tame.data.targets import read_later_target, read_target


def raw_of(separator: str = ",", **columns: Sequence[str]) -> RawTable:
    """A table of text that did not come from a file."""
    arrays = {name: np.array(cells, dtype=object) for name, cells in columns.items()}
    return RawTable(tuple(columns), arrays, (), len(next(iter(arrays.values()))), "", separator)


def columns_of(separator: str = ",", **columns: Sequence[str]) -> tuple[Column, ...]:
    return type_table(raw_of(separator, **columns), target=None).columns


def later(columns: Sequence[Column], separator: str = ",", **cells: Sequence[str]) -> tuple[list[list[float]], str]:
    """The values of each column, and all notes."""
    table, notes = apply_kinds(raw_of(separator, **cells), columns)
    return [table.values[name].tolist() for name in cells], "\n".join(notes)


POINT = columns_of(x=["0.5", "1.25", "2.625"], z=["1.5", "2.25", "3.5"])
COMMA = columns_of(";", x=["0,5", "1,25", "2,625"], z=["1,5", "2,25", "3,5"])


# Numbers


@pytest.mark.parametrize("trained", [POINT, COMMA])
@pytest.mark.parametrize(("separator", "mark"), [(",", "."), (";", ","), (";", "."), ("\t", ","), ("\t", ".")])
def test_other_columns_decide_where_a_cell_is_open(trained, separator, mark):
    values, _ = later(trained, separator, x=[f"1{mark}639"], z=[f"2{mark}5"])
    assert values == [[1.639], [2.5]]


@pytest.mark.parametrize("trained", [POINT, COMMA])
def test_the_range_that_was_trained_on_decides_where_no_column_does(trained):
    for mark in ".,":
        assert later(trained, ";", x=[f"1{mark}639"])[0] == [[1.639]]


def test_what_stays_open_is_refused_with_the_fix():
    columns = columns_of(x=["0.5", "9000.25", "4000.125"])
    with pytest.raises(DataError, match=r"column 'x' is ambiguous: in row 1: '1,639'.*--column x=number:point"):
        later(columns, ";", x=["1,639"])


def test_one_cell_that_cannot_be_read_changes_no_other():
    rows = [f"{i % 3},{i:03d}" for i in range(1, 400)]
    values, notes = later(COMMA, ";", x=[*rows, "n.a.", "abc"], z=["1,5"] * 401)
    assert values[0][:-2] == [float(row.replace(",", ".")) for row in rows]
    assert np.isnan(values[0][-2:]).all()
    assert "x: 1 cell is not a number, taken as missing (row 401: 'abc')" in notes


def test_a_column_that_mixes_decimal_marks_is_refused():
    with pytest.raises(DataError, match="'x' mixes decimal points and decimal commas"):
        later(POINT, ";", x=["0,5", "1.25", "0.75"])


@given(
    st.lists(st.floats(0.001, 3).map(lambda value: round(value, 3)), min_size=1, max_size=30),
    st.sampled_from([POINT, COMMA]), st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", ",")]),
)  # fmt: skip
def test_the_same_numbers_are_the_same_in_every_dialect(numbers, trained, dialect):
    separator, mark = dialect
    cells = [f"{number:.3f}".replace(".", mark) for number in numbers]
    values, _ = later(trained, separator, x=cells, z=[f"2{mark}5"] * len(cells))
    assert values[0] == pytest.approx(numbers, abs=1e-12)


def test_an_animal_is_the_same_with_a_point_and_with_a_comma(shared):
    tables, cases = shared / "data" / "tables", shared / "cases" / "tables"
    if not tables.is_dir() or not cases.is_dir():
        pytest.skip("needs the shared tables")
    columns = type_table(read_raw(tables / "abalone.csv"), target="rings").columns
    point, comma = (apply_kinds(read_raw(cases / name), columns)[0] for name in ("one_pt.csv", "one_de.csv"))
    assert {name: own.tolist() for name, own in point.values.items()} == {
        name: own.tolist() for name, own in comma.values.items()
    }
    assert point.values["whole_weight"].tolist() == [1.639]


# Dates


DAYS = [f"{day:02d}/{month:02d}/2020" for month in range(1, 7) for day in (3, 14, 25)]
SWAPPED = ["/".join((cell[3:5], cell[:2], cell[6:])) for cell in DAYS]


def test_dates_in_the_other_order_are_read_in_their_own_and_said():
    columns = columns_of(when=DAYS)
    values, notes = later(columns, when=SWAPPED)
    assert values == later(columns, when=DAYS)[0]
    assert "when: dates come with the month first, not the day first as in the training table" in notes


def test_dates_that_are_open_are_read_as_in_training_or_as_another_column_shows():
    columns = columns_of(when=DAYS, until=DAYS)
    days = [[18324.0], [18324.0]]  # 2020-03-03
    assert later(columns, when=["03/03/2020"], until=["03/03/2020"])[0] == days
    first, _ = later(columns, when=["02/03/2020"], until=["25/03/2020"])
    other, _ = later(columns, when=["03/02/2020"], until=["03/25/2020"])
    assert first == other


def test_dates_in_both_orders_are_refused():
    with pytest.raises(DataError, match="'when' mixes dates with the day first and dates with the month first"):
        later(columns_of(when=DAYS), when=["14/02/2020", "02/14/2020"])
    with pytest.raises(DataError, match=r"ambiguous: in row 1: '02/03/2020'.*write its dates as 2024-02-29"):
        later(columns_of(when=["2020-01-01", "2020-02-03"]), when=["02/03/2020"])


# Targets of parts


def test_a_target_of_a_part_is_read_by_its_own_evidence_too():
    target, _ = read_target(raw_of(x=["0.5"] * 12, y=["1.5", "2.25", "3.125"] * 4), "y")
    values, *_ = read_later_target(raw_of(";", x=["0,5"] * 2, y=["1,639", "2,5"]), target, POINT)
    assert values.tolist() == [1.639, 2.5]
    percent, _ = read_target(raw_of(y=[f"{i % 12}%" for i in range(60)]), "y")
    assert percent.task == "regression"
    assert read_later_target(raw_of(y=["5%", "11%"]), percent)[0].tolist() == [5, 11]


# What is unusual


def test_a_range_or_a_share_of_missing_values_far_from_training_is_told():
    columns = columns_of(x=[str(i / 10) for i in range(100)], c=["a", "b"] * 50)
    assert later(columns, x=["0.5", "9.9", "12"], c=["a", "b", "a"])[1] == ""
    notes = later(columns, x=["500.5", "", "1500"], c=["", "", "a"])[1]
    assert "x: 2 of 2 values, such as 500.5, are far outside 0 to 9.9, which was trained on" in notes
    assert "x: 1 of 3 values are missing (33 %), and 0 % in the training table" in notes
    assert "c: 2 of 3 values are missing (67 %)" in notes


# Words


def test_booleans_in_the_place_of_numbers_are_told():
    columns = columns_of(x=["0.5", "3.25", "7.25", "8.5"], z=["1.5", "2.5", "3.5", "4.5"])
    raw = RawTable(("x", "z"), {"x": np.array([True, False]), "z": np.array([1.5, 2.5])}, (), 2, "", "")
    table, notes = apply_kinds(raw, columns)
    assert table.values["x"].tolist() == [1.0, 0.0]
    assert "x: yes and no, not numbers as in the training table, and were read as 1 and 0" in notes


def test_labels_that_look_the_same_are_the_same_later():
    columns = columns_of(c=["caf\u00e9", "Bar"] * 10)
    values, notes = later(columns, c=["cafe\u0301", "caf\u00e9\u200b", "bar", " BAR ", "b ar"])
    cafe, bar = columns[0].categories.index("caf\u00e9"), columns[0].categories.index("Bar")
    assert values == [[cafe, cafe, bar, bar, -2]]
    assert "1 row has categories that the earlier table had not" in notes


def test_a_record_of_an_older_model_is_read_as_before():
    record = {"name": "x", "kind": "number", "why": "numbers", "missing": 0, "categories": [], "reading": ""}
    column = Column.from_json(record)
    assert later([column], x=["1.639", "2.5"])[0] == [[1.639, 2.5]]


def test_the_cases_of_dates_are_read(shared):
    cases: Path = shared / "cases" / "tables"
    if not cases.is_dir():
        pytest.skip("needs the shared cases")
    columns = type_table(read_raw(cases / "dmy.csv"), target="y").columns
    trained = apply_kinds(read_raw(cases / "dmy.csv"), columns, beside=["y"], same=True)[0]
    table, notes = apply_kinds(read_raw(cases / "mdy_later.csv"), columns, beside=["y"])
    np.testing.assert_array_equal(table.values["when"], trained.values["when"])
    assert "month first" in notes[0]


# What was trained on decides


WHOLE = columns_of(x=[str(50075 + 831 * i) for i in range(300)])
THOUSANDS = columns_of(x=[f"{501 + 8 * i:,}" for i in range(300)])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [".", ","])
def test_thousands_are_read_as_such_where_all_numbers_trained_on_were_whole(separator, mark):
    cells = [cell.replace(".", mark) for cell in ("163.900", "81.200", "92.015")]
    assert later(WHOLE, separator, x=cells)[0] == [[163900, 81200, 92015]]
    assert later(THOUSANDS, separator, x=[f"1{mark}639", "812"])[0] == [[1639, 812]]


@given(
    st.lists(st.integers(50_000, 299_000), min_size=1, max_size=20),
    st.sampled_from([",", ";", "\t"]), st.sampled_from([".", ",", "'", " ", ""]),
)  # fmt: skip
def test_whole_numbers_are_read_in_every_form_or_refused(numbers, separator, mark):
    cells = [f"{number:,}".replace(",", mark) for number in numbers]
    assert later(WHOLE, separator, x=cells)[0] == [numbers]


def test_what_contradicts_the_training_table_is_refused():
    ages = columns_of(x=[str(17 + i % 74) for i in range(300)])
    with pytest.raises(DataError, match=r"column 'x' is ambiguous: in row 1: '34.500'"):
        later(ages, ";", x=["34.500", "41.250"])
    pair = columns_of(x=[str(50075 + 831 * i) for i in range(300)], z=["1.5", "2.25", "3.5"] * 100)
    with pytest.raises(DataError, match="column 'x' is ambiguous"):  # the file shows points as decimals
        later(pair, ",", x=["163.900"], z=["2.5"])
    with pytest.raises(DataError, match="column 'x' is ambiguous"):
        later(WHOLE, ",", x=["163.900", "163,900"])


def test_what_is_near_nothing_is_far_from_large_numbers():
    _, notes = later(WHOLE, x=["163.9", "81.2"])
    assert "x: 2 of 2 values, such as 163.9, are far outside 50075 to 298544, which was trained on" in notes


def test_a_target_of_a_part_is_read_by_what_was_trained_on():
    target, _ = read_target(raw_of(y=[str(50075 + 831 * i) for i in range(300)]), "y")
    values, _, notes = read_later_target(raw_of(";", y=["163.900", "81.200"]), target)
    assert values.tolist() == [163900, 81200]
    assert "the decimal mark is ','" in notes[0]


@pytest.mark.parametrize("unit", ["{}%", "{} kg", "${}", "{}k"])
def test_numbers_without_the_unit_that_was_trained_on(unit):
    columns = columns_of(x=[unit.format(5 + i / 10) for i in range(250)])
    values, notes = later(columns, x=["16.4", "8.1", "0"])
    assert values == [[16.4, 8.1, 0]]
    assert "2 numbers come without" in notes
    with pytest.raises(DataError, match=r"column 'x' comes without .*lies outside what was trained on"):
        later(columns, x=["0.164", "0.081"])
    with pytest.raises(DataError, match="comes without"):
        apply_kinds(RawTable(("x",), {"x": np.array([0.164])}, (), 1, ""), columns)
    values, notes = later(columns, x=[unit.format("16.4"), "8.1"])
    assert (values[0][0], np.isnan(values[0][1])) == (16.4, True)
    assert "1 cell is not a number in" in notes
    target, _ = read_target(raw_of(y=[unit.format(5 + i / 10) for i in range(250)]), "y")
    with pytest.raises(DataError, match="the target 'y' has numbers without"):
        read_later_target(raw_of(y=["16.4"]), target)


@pytest.mark.parametrize("unit", ["%", "\u2030"])
def test_shares_of_one_are_no_small_per_cents(unit):
    columns = columns_of(x=[f"{i % 101}{unit}" for i in range(250)])
    for shares in (["0.35", "0.9"], ["1", "0"], ["0,35", "1"]):
        with pytest.raises(DataError, match=r"comes without .* may be shares of 1"):
            later(columns, x=shares)
    with pytest.raises(DataError, match="may be shares of 1"):
        apply_kinds(RawTable(("x",), {"x": np.array([0.35, 0.9])}, (), 1, ""), columns)
    assert later(columns, x=["0.35", "35"])[0] == [[0.35, 35]]
    small = columns_of(x=[f"{i / 250}{unit}" for i in range(250)])
    assert later(small, x=["0.35", "0.9"])[0] == [[0.35, 0.9]]


OPEN = [f"{day:02d}{{0}}{month:02d}{{0}}2020" for day, month in ((4, 3), (6, 5))]


def dates_of(mark: str, *, month_first: bool) -> list[str]:
    parts = [(day, month) for month in range(1, 7) for day in (3, 14, 25)]
    return [mark.join((*(f"{p:02d}" for p in (part[::-1] if month_first else part)), "2020")) for part in parts]


@pytest.mark.parametrize("trained", ["-", "/", "."])
@pytest.mark.parametrize("now", ["-", "/", "."])
@pytest.mark.parametrize("month_first", [True, False])
def test_open_dates_follow_training_only_where_they_are_written_alike(trained, now, month_first):
    columns = columns_of(when=dates_of(trained, month_first=month_first))
    cells = [cell.format(now) for cell in OPEN]
    day_first, other = [18325.0, 18388.0], [18355.0, 18418.0]
    if now == trained:
        assert later(columns, when=cells)[0] == [other if month_first else day_first]
    elif now == ".":  # months never come first in dates with points
        assert later(columns, when=cells)[0] == [day_first]
    else:
        with pytest.raises(DataError, match="were written otherwise; write its dates as 2024-02-29"):
            later(columns, when=cells)
