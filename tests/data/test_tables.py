"""Tables as they come: read whole or refused with the place, typed by all rows, and never changed without a word."""

from __future__ import annotations

import csv
import datetime
import decimal
import hashlib
import io
import os
import re
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from tame.core.errors import DataError
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, MISSING, UNSEEN, Column, RawTable, Table, safe_cell


@pytest.fixture
def read(tmp_path):
    """Writes bytes, or text as UTF-8, into a file and reads it."""

    def reader(content: str | bytes, name: str = "table.csv") -> RawTable:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_raw(path)

    return reader


@pytest.fixture
def tables(shared) -> Path:
    folder: Path = shared / "data" / "tables"
    if not folder.is_dir():
        pytest.skip(f"needs the tables in {folder}")
    return folder


def raw_of(separator: str = ",", **columns: Sequence[str]) -> RawTable:
    """A table of text that did not come from a file."""
    arrays = {name: np.array(cells, dtype=object) for name, cells in columns.items()}
    return RawTable(tuple(columns), arrays, (), len(next(iter(arrays.values()))), "", separator)


def column_of(cells: Sequence[str], *, separator: str = ",") -> tuple[Column, Table]:
    """One column of these cells, and the table that it is in."""
    table = type_table(raw_of(separator, x=cells), target=None)
    return table.columns[0], table


def texts(raw: RawTable) -> dict[str, list[str]]:
    return {name: column.tolist() for name, column in raw.columns.items()}


# Files that are no table


def test_an_empty_file_is_refused(read):
    for content in (b"", b"\n\n", b" \r\n\t", "\ufeff".encode()):
        with pytest.raises(DataError, match="is empty") as caught:
            read(content)
        assert caught.value.exit_code == 3


def test_a_header_without_rows_is_refused(read):
    with pytest.raises(DataError, match="a header and no rows"):
        read("a,b\n")


def test_links_folders_pipes_and_devices_are_refused(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "table.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    cases = {"link.csv": "is a link", ".": "is a folder", "pipe.csv": "is a pipe", "none.csv": "there is no file"}
    for name, said in cases.items():
        with pytest.raises(DataError, match=said):
            read_raw(tmp_path / name)
    with pytest.raises(DataError, match="is a device"):
        read_raw(Path("/dev/zero"))


def test_a_file_larger_than_the_memory_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.csv"
    with open(path, "wb") as file:
        file.write(b"a,b\n1,2\n")
        file.truncate(1 << 40)  # sparse: takes no room
    with pytest.raises(DataError, match=r"1099\.5 GB\) needs about 8796\.1 GB of memory .* GB are free"):
        read_raw(path)


@pytest.mark.parametrize(
    ("head", "said"),
    [(b"PK\x03\x04", "Excel workbook.*CSV UTF-8"), (b"\xd0\xcf\x11\xe0", "old Office"), (b"\x1f\x8b", "gunzip")],
)
def test_workbooks_and_archives_are_refused_with_advice(read, head, said):
    with pytest.raises(DataError, match=said):
        read(head + bytes(100), "table.xlsx")


# Encodings


def test_a_byte_order_mark_is_not_part_of_a_name(read):
    raw = read("\ufeffa,b\n1,2\n")
    assert raw.names == ("a", "b")
    assert "encoding: UTF-8 with a byte order mark" in raw.notes


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf_16_is_read_by_its_mark(read, encoding):
    raw = read("name,b\nÄnne,2\n".encode(encoding))
    assert texts(raw) == {"name": ["Änne"], "b": ["2"]}
    assert f"encoding: {encoding.upper()}" in raw.notes


def test_utf_16_without_its_mark_or_cut_off_is_refused(read):
    with pytest.raises(DataError, match="looks like UTF-16 without a byte order mark"):
        read("name,b\nx,2\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="begins as UTF-16 and is not"):
        read("name,b\nx,2\n".encode("utf-16")[:-1])


def test_what_is_not_utf_8_is_read_as_cp1252_and_said(read):
    raw = read("name,b\nx,1\nRenée 5 €,2\n".encode("cp1252"))
    assert texts(raw)["name"] == ["x", "Renée 5 €"]
    assert any("not UTF-8 (byte 0xE9 on line 3)" in note and "cp1252" in note for note in raw.notes)


def test_a_mixture_of_encodings_is_refused(read):
    with pytest.raises(DataError, match=r"neither UTF-8 \(byte 0xE9 on line 3\)"):
        read("name,b\nÄnne,1\n".encode() + "Renée,2\n".encode("cp1252"))
    with pytest.raises(DataError, match="nor entirely in cp1252"):
        read(b"name,b\n\x81\x8d,1\n")


def test_nul_bytes_and_control_characters_are_refused_with_the_line(read):
    with pytest.raises(DataError, match="a NUL byte on line 3"):
        read("a,b\n1,2\n3,\x004\n")
    with pytest.raises(DataError, match="control character 0x1B on line 2"):
        read("a,b\n\x1b[31m1,2\n")


# Rows


def test_too_many_fields_and_too_few_are_refused_with_the_line(read):
    with pytest.raises(DataError, match="line 4 has 3 fields and the header has 2"):
        read('a,b\n"1\n1",2\n3,4,5\n')
    with pytest.raises(DataError, match="line 3 has 1 field and the header has 2"):
        read("a,b\n1,2\n3\n4,5\n")


def test_a_quote_that_is_never_closed_is_refused_with_the_line(read):
    with pytest.raises(DataError, match="opens in the row of line 3 is never closed"):
        read('a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(DataError, match="closes inside a cell in the row of line 3"):  # two of them swallow a row
        read('a,b\n1,2\n3,"4\n5,"6\n')
    with pytest.raises(DataError, match="row of line 2 is very long"):
        read('a,b\n1,"' + "x" * 200_000 + '"\n')


def test_a_quote_within_a_plain_cell_is_a_letter(read):
    assert texts(read('size,b\n5" pipe,1\n"say ""x""",2\n'))["size"] == ['5" pipe', 'say "x"']


def test_a_file_of_quotes_only_is_refused(read):
    with pytest.raises(DataError, match="no names of columns"):
        read('""\n""\n')
    with pytest.raises(DataError, match="never closed"):
        read('"""')


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(read, newline):
    raw = read(newline.join(["a,b", "1,x", '2,"y,z"', ""]))
    assert texts(raw) == {"a": ["1", "2"], "b": ["x", "y,z"]}
    with pytest.raises(DataError, match="line 3 has 3 fields"):
        read(newline.join(["a,b", "1,x", "1,2,3"]))


def test_empty_lines_are_left_out_and_said(read):
    for content in ("a,b\n1,2\n\n3,4\n", '\n"a",b\n1,2\n3,4\n'):
        raw = read(content)
        assert raw.num_rows == 2
        assert "empty lines were left out" in raw.notes
    assert "empty lines were left out" not in read("a,b\n1,2\n\n").notes


# Names


def test_columns_of_the_same_name_are_refused(read):
    with pytest.raises(DataError, match="several columns named 'a': 1, 3"):
        read("a,b, a\n1,2,3\n")


def test_a_column_without_a_name_gets_one_that_is_free(read):
    raw = read("column_3,b,,\n1,2,3,4\n")
    assert raw.names == ("column_3", "b", "column_3_", "column_4")
    assert "column 3 has no name and is called 'column_3_'" in raw.notes


def test_a_first_line_of_values_is_said(read):
    assert any("'0.455' looks like a value" in note for note in read("M,0.455,15\nF,0.35,7\n").notes)


def test_a_hint_to_excel_is_not_taken_as_names(read):
    with pytest.raises(DataError, match="begins with a line 'sep='"):
        read("sep=;\na;b\n1;2\n")


# Separators


@pytest.mark.parametrize(("separator", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "vertical")])
def test_the_separator_is_found_and_said(read, separator, name):
    raw = read(separator.join("abc") + "\n" + separator.join(["1.5", "x", "2.5"]) + "\n")
    assert raw.names == ("a", "b", "c")
    assert raw.separator == separator
    assert any(note.startswith(f"separator: {name}") for note in raw.notes)


def test_decimal_commas_do_not_hide_the_separator(read):
    raw = read("x;y;z\n1,5;2,5;a\n-0,25;1.234,5;b\n")
    assert texts(raw)["y"] == ["2,5", "1.234,5"]
    table = type_table(raw, target=None)
    assert table.values["x"].tolist() == [1.5, -0.25]
    assert table.values["y"].tolist() == [2.5, 1234.5]
    assert table.columns[0].reading == "decimal comma"
    assert "decimal comma" in table.columns[0].why


def test_one_column_needs_no_separator(read):
    raw = read("name\nSmith John\nx\n")
    assert texts(raw) == {"name": ["Smith John", "x"]}
    assert any("one column" in note for note in raw.notes)


ROWS = [["-1.5", "x", "2.5"], ["0.25", "y", "30"], ["1e3", "x", "4"]]


@pytest.mark.parametrize("separator", ["^", "~", "#", "&", ":", " ", "   "])
def test_rarer_separators_are_read_where_every_row_has_as_many_fields(read, separator):
    raw = read("".join(separator.join(row) + "\n" for row in [["a", "b", "c"], *ROWS]))
    assert texts(raw) == {name: list(own) for name, own in zip("abc", zip(*ROWS, strict=True), strict=True)}
    assert raw.places.tolist() == [2, 3, 4]
    name = {"^": "caret", "~": "tilde", "#": "number sign", "&": "ampersand", ":": "colon"}.get(separator, "blanks")
    assert f"separator: {name}" in raw.notes


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_that_is_lined_up_with_blanks_is_read(read, end):
    raw = read(end.join(["  a  b    c", "-1.5  x  2,5", "   0  y   30 ", ""]))
    assert texts(raw) == {"a": ["-1.5", "0"], "b": ["x", "y"], "c": ["2,5", "30"]}


@pytest.mark.parametrize(
    "text",
    ["time\n12:30:01\n12:31:02\n", "full name\nSmith John\nDoe Jane\n", "a: b\nx: y\nz: w\n",
     "a b c\n1 2 3\n4 5\n"],
)  # fmt: skip
def test_colons_and_blanks_in_one_column_separate_nothing(read, text):
    raw = read(text)
    assert len(raw.names) == 1
    assert any("one column" in note for note in raw.notes)
    with pytest.raises(DataError, match=r"the table has one column, .*; separate its cells by commas"):
        type_table(raw, target="y")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("My table\n\na,b,c\n1,2,3\n4,5,6\n", "delete what stands before the line with the names"),
        ("a b c\n1,2,3\n4,5,6\n", "delete what stands before the line with the names of the columns, or separate"),
        ("a,b,c\n1;2;3\n4;5;6\n", "the rows are separated by semicolon and the names by comma"),
        ("a,b,c\n1 2 3\n4 5 6\n", "the rows are separated by blanks and the names by comma"),
        ("a,b,c\n1,2,3,\n4,5,6,\n", "end no line with a separator"),
        ("a,b,c\nr1,1,2,3\nr2,4,5,6\n", "does it lack that of the first"),
        ('"a,b"\n"1,2"\n"3,4"\n', "quotes stand around the whole first line"),
        ("'a','b'\n'1','2'\n", "names of columns in other quotes"),
        ('"a", "b"\n"1", "2"\n', "leave no blank between it and the separator"),
        ("a | b\n--- | ---\n1 | 2\n", "a table in Markdown, not CSV"),
        ("| a | b |\n|:--|--:|\n| 1 | 2 |\n", "a table in Markdown, not CSV"),
        ('[{"a": 1, "b": 2},\n{"a": 3, "b": 4}]', "is JSON, not CSV"),
        ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}', "is JSON, not CSV"),
        ("<!DOCTYPE html><html><body>404, not found</body></html>\n", "HTML"),
        ("@relation a\n@attribute x numeric\n@data\n1,2\n", "ARFF"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n", "git lfs pull"),
        ("a,b,c\n1,2,3\n4,5,6\n7,8,9,0\n", "line 4 has 4 fields and the header has 3; quote cells"),
        ("a,b,c\n1,2,3\n4,5,6\n7,8\n", "line 4 has 2 fields and the header has 3; is the row cut off"),
    ],
)
def test_a_table_of_another_layout_is_refused_with_its_own_cure(read, text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_a_number_that_may_mark_missing_values_is_said():
    plain = [f"{number / 10}" for number in range(60)]
    for marks, said in ((["-999"] * 5, "-999 in 5 rows"), (["9999"] * 3, "9,999"), (["-1"] * 4, ""), (["-999"], "")):
        table = type_table(raw_of(",", x=plain + marks), target=None)
        found = [note for note in table.notes if "lies far from the other numbers" in note]
        assert len(found) == bool(said)
        assert table.values["x"][-1] == float(marks[0])
    frame = RawTable(("x",), {"x": np.array([*range(60), -999, -999])}, (), 62, "")
    assert any("-999 in 2 rows" in note for note in type_table(frame, target=None).notes)
    ages = [str(number % 90 - 1) for number in range(600)]
    assert not any("lies far" in note for note in type_table(raw_of(",", x=ages), target=None).notes)


def test_a_line_of_blanks_is_an_empty_line(read):
    raw = read("a,b\n1,x\n   \n2,y\n  \n")
    assert texts(raw) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert raw.places.tolist() == [2, 4]


def test_halves_and_squares_behind_numbers_are_no_unit():
    for sign in "\u00bd\u00b2":
        column = type_table(raw_of(",", x=[f"{number}{sign}" for number in (3, 4, 5, 3)]), target=None).columns[0]
        assert (column.kind, column.unit) == ("category", "")
    assert type_table(raw_of(",", x=["3 m\u00b2", "4 m\u00b2"]), target=None).columns[0].unit == "m\u00b2"


def test_a_header_in_the_middle_of_a_file_is_no_row(read):
    raw = read('a,b\n1,x\n\na,b\n2,y\n a ,"b"\na,z\n')
    assert texts(raw) == {"a": ["1", "2", "a"], "b": ["x", "y", "z"]}
    assert raw.places.tolist() == [2, 5, 7]
    assert "lines that repeat the names of the columns were left out: 2" in raw.notes
    with pytest.raises(DataError, match="a header and no rows"):
        read("a,b\na,b\n")
    assert read("a\na\nb\n").num_rows == 2  # one column: a word as any other
    assert read("5.1,x\n5.1,x\n4.9,y\n").num_rows == 2  # no names but values


# Numbers


def test_a_comma_that_may_mean_either_is_refused_unless_another_column_decides():
    with pytest.raises(DataError, match=r"column 'x' is ambiguous: in row 1: '1,234'"):
        type_table(raw_of(";", x=["1,234", "5,678"]), target=None)
    by_other = type_table(raw_of(";", x=["1,234", "5,678"], y=["0,5", "1,25"]), target=None)
    assert by_other.values["x"].tolist() == [1.234, 5.678]
    by_point = type_table(raw_of(";", x=["1,234", "5,678"], y=["0.5", "1.25"]), target=None)
    assert by_point.values["x"].tolist() == [1234, 5678]
    quoted = type_table(raw_of(",", x=["1,234", "5,678"]), target=None)
    assert quoted.values["x"].tolist() == [1234, 5678]
    assert "thousands separated" in quoted.columns[0].why


def test_thousands_are_read_in_every_usual_form():
    _, table = column_of(["1,234.5", "1 234 567", "12'345.5", "-1\u202f000", "\u22127", "+3", ".5", "1e3", "2,000,000"])
    assert table.values["x"].tolist() == [1234.5, 1234567, 12345.5, -1000, -7, 3, 0.5, 1000, 2e6]


def test_whole_numbers_that_a_float_would_change_are_not_numbers():
    column, table = column_of(["123456789012345678901234", "1", "1", "2"])
    assert column.kind == "category"
    assert "too large to be kept exactly (row 1: '123456789012345678901234')" in column.why
    assert any("not taken as numbers" in note for note in table.notes)
    column, _ = column_of([str(2**60 + i) for i in range(30)])
    assert column.kind == "identifier"


def test_leading_zeros_are_kept():
    column, table = column_of(["007", "007", "012", "1"])
    assert column.kind == "category"
    assert column.categories == ("007", "012", "1")
    assert "leading zeros" in column.why
    assert table.values["x"].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("cell", ["1e400", "inf", "-inf", "Infinity", "-1e39"])
def test_infinite_numbers_are_missing_and_counted(cell):
    column, table = column_of(["1.5", cell, "2.5"])
    assert column.kind == "number"
    assert column.missing == 1
    assert np.isnan(table.values["x"][1])
    assert any(note.startswith("x: 1 cell is infinite") and f"row 2: {cell!r}" in note for note in table.notes)


def test_a_few_odd_cells_are_named_and_the_column_stays_what_the_others_are():
    column, table = column_of([*(str(i / 2) for i in range(20_000)), "abc"])
    assert (column.kind, column.missing) == ("number", 1)
    assert np.isnan(table.values["x"][-1])
    assert "x: 1 cell is not a number and taken as missing (row 20,001: 'abc')" in table.notes
    column, table = column_of([*(f"2024-02-{i % 28 + 1:02d}" for i in range(100)), "soon", "later"])
    assert (column.kind, column.missing) == ("date", 2)
    assert "x: 2 cells are not dates and taken as missing (row 101: 'soon')" in table.notes
    column, _ = column_of(["1", "2", "x"] * 10)
    assert column.kind == "category"
    assert "20 of 30 are numbers" in column.why
    column, table = column_of([*(f"{i}.5" for i in range(60)), *(f"A{i}" for i in range(40))])
    assert column.kind == "text"
    assert "60 of 100 are numbers, others are not (row 61: 'A0')" in column.why
    assert any("--column x=KIND" in note for note in table.notes)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=80, unique=True),
    st.sampled_from(["Total", "see note", "12/x"]), st.data(),
)  # fmt: skip
def test_one_odd_cell_changes_no_other(numbers, odd, data):
    cells = [repr(number) for number in numbers]
    place = data.draw(st.integers(0, len(cells)))
    column, table = column_of([*cells[:place], odd, *cells[place:]])
    assert column.kind == "number"
    assert np.delete(table.values["x"], place).tolist() == numbers
    assert np.isnan(table.values["x"][place])


@pytest.mark.parametrize(
    ("cell", "unit"), [("{} %", "%"), ("{}%", "%"), ("€{}", "€"), ("-${}", "$"), ("$-{}", "$"), ("{}kg", "kg")]
)
def test_numbers_that_all_have_one_unit_are_numbers_and_the_unit_is_said(cell, unit):
    cells = [cell.format(i / 4) for i in range(40)]
    column, table = column_of(cells)
    assert (column.kind, column.unit) == ("number", unit)
    assert f"in {unit!r}" in column.why
    sign = -1 if "-" in cell else 1
    assert table.values["x"].tolist() == [sign * i / 4 for i in range(40)]
    later, notes = apply_kinds(raw_of(x=[cells[3], "2.5", "7 lb", "0"]), [column])
    np.testing.assert_array_equal(later.values["x"], [sign * 0.75, np.nan, np.nan, 0])  # 2.5 of what?
    assert any(f"2 cells are not numbers in {unit!r}, taken as missing (row 2: '2.5')" in note for note in notes)


def test_units_that_differ_and_letters_before_digits_are_words():
    assert column_of([f"{i} kg" if i % 2 else f"{i} lb" for i in range(40)])[0].kind == "text"
    assert column_of([f"A{i}" for i in range(40)])[0].kind == "identifier"


# Marks of missing values


def test_marks_of_missing_values_are_missing_and_said():
    marks = ["", "NA", "N/A", "nan", "NaN", "null", "None", "?", "-", "  "]
    column, table = column_of([*marks, "1.5", "2.5"])
    assert (column.kind, column.missing) == ("number", 10)
    assert np.isnan(table.values["x"]).sum() == 10
    said = " ".join(table.notes)
    assert "empty cells read as missing: 2 in x" in said
    assert all(f"{mark!r} read as missing: 1 in x" in said for mark in marks[1:-1])


def test_a_hyphen_or_none_among_words_is_a_word():
    column, table = column_of(["cat", "-", "None", "?", "cat"])
    assert column.categories == ("cat", "-", "None")
    assert "'-', 'None' kept as a category" in column.why
    assert table.values["x"].tolist() == [0, 1, 2, MISSING, 0]


def test_na_among_codes_of_countries_is_namibia():
    codes = ["NA", "DE", "FR", "GB", "US", "IT", "ES", "PT", "NL", "BE", "SE"]
    column, _ = column_of(codes * 3)
    assert "NA" in column.categories
    column, _ = column_of(["NA", "DE", "FR"] * 3)
    assert (column.categories, column.missing) == (("DE", "FR"), 3)


# Kinds


@pytest.mark.parametrize(
    ("cells", "categories"),
    [
        (["YES", "True", "false", "yes", "yes", "", "-"], ("yes", "false")),
        (["0", "1", "0"], ("0", "1")),
        (["n", "Y", "?", "Y"], ("Y", "n")),
    ],
)
def test_words_for_true_and_false_are_boolean(cells, categories):
    column, table = column_of(cells)
    assert (column.kind, column.categories) == ("boolean", categories)
    truth = {"yes": True, "true": True, "1": True, "y": True, "false": False, "0": False, "n": False}
    for cell, code in zip(cells, table.values["x"], strict=True):
        assert code == MISSING if cell.lower() not in truth else truth[categories[code].lower()] == truth[cell.lower()]


def test_dates_are_days_since_1970():
    for cells, reading in (
        (["1970-01-02", "2000-02-29"], "iso"),
        (["02/01/1970", "29/02/2000"], "dmy"),
        (["01/02/1970", "02/29/2000"], "mdy"),
        (["02.01.1970", "1.2.1970"], "dmy"),
    ):
        column, table = column_of([*cells, "", "-"])
        days = [(datetime.date(1970, 1, 2) - datetime.date(1970, 1, 1)).days]
        days += [11016] if "2000" in cells[1] else [31]
        assert (column.kind, column.reading, column.missing) == ("date", reading, 2)
        assert table.values["x"][:2].tolist() == days


def test_times_of_day_and_zones_are_kept():
    _, table = column_of(["1970-01-01T12:00", "1970-01-02 06:00:00.000+06:00", "1970-01-01 00:00:43.2Z"])
    np.testing.assert_allclose(table.values["x"], [0.5, 1.0, 0.0005], rtol=0, atol=1e-12)  # float64


@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)))
@example(datetime.datetime(2000, 2, 29, 23, 59, 59))
def test_dates_agree_with_the_calendar_of_python(moment):
    _, table = column_of([moment.isoformat(), "1970-01-01", "1971-01-01"])
    days = (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
    assert table.values["x"][0] == pytest.approx(days, abs=1e-9)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["01/02/2024", "03/04/2024"], "not sure whether the day or the month"),
        (["13/02/2024", "02/13/2024"], "mixed orders"),
        (["13.02.24", "01.03.24"], "years of two digits"),
        (["2024-02-30", "2024-02-28"], "1 of 2 are dates, others are not (row 1: '2024-02-30')"),
    ],
)
def test_dates_in_doubt_stay_words_and_are_said(cells, said):
    column, table = column_of(cells)
    assert column.kind == "category"
    assert said in column.why
    assert any(said in note for note in table.notes)


def test_identifiers_text_and_constants_are_not_inputs():
    rng = np.random.default_rng(0)
    num = 200
    words = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs"]
    large = rng.permutation(10**6)[:num]
    raw = raw_of(
        row=[str(i + 1000) for i in range(num)],
        shuffled=[str(i) for i in rng.permutation(num)],
        customer_id=[str(i) for i in large],
        population=[str(i) for i in large],
        key=[f"k{i:x}" for i in large],
        note=[" ".join(rng.choice(words, 6)) + f" {i}" for i in range(num)],
        when=[f"2024-01-01T{i // 60:02d}:{i % 60:02d}" for i in range(num)],
        stamp=[str(1_700_000_000 + 3600 * i) for i in range(num)],
        ratio=[repr(float(x)) for x in rng.normal(size=num)],
        few=[str(i % 3) for i in range(num)],
        same=["x"] * num,
        none=["", "?"] * (num // 2),
    )
    table = type_table(raw, target=None)
    assert {column.name: column.kind for column in table.columns} == {
        "row": "identifier", "shuffled": "identifier", "customer_id": "identifier", "population": "number",
        "key": "identifier", "note": "text", "when": "date", "stamp": "number", "ratio": "number", "few": "number",
        "same": "constant", "none": "constant",
    }  # fmt: skip
    assert set(table.values) == {column.name for column in table.columns if column.kind in LEARNT}
    assert all(column.why for column in table.columns)


def test_a_numbering_is_an_input_if_there_is_nothing_else():
    column, table = column_of([str(i) for i in range(50)])
    assert column.kind == "number"
    assert "no other column" in column.why
    assert table.values["x"].tolist() == list(range(50))


def test_formulas_are_text_and_escaped_for_spreadsheets(read):
    raw = read("a,b\n=cmd|' /C calc'!A0,1\n@x,2\n")
    assert texts(raw)["a"] == ["=cmd|' /C calc'!A0", "@x"]
    assert type_table(raw, target=None).columns[0].kind == "category"
    assert [safe_cell(text) for text in ("=1", "+1", "-1", "@x", "\t", "\r")] == [
        "'=1",
        "'+1",
        "'-1",
        "'@x",
        "'\t",
        "'\r",
    ]
    assert [safe_cell(text) for text in ("", "x=1")] == ["", "x=1"]


def test_ten_thousand_columns_are_read(read):
    names = [f"c{i}" for i in range(10_000)]
    raw = read("\n".join([",".join(names), *(",".join(str(i * k) for i in range(10_000)) for k in (1, 2))]))
    table = type_table(raw, target="c9999")
    assert len(table.columns) == 9999
    assert table.values["c7"].tolist() == [7, 14]
    assert table.columns[0].kind == "constant"


def test_the_target_and_ignored_columns_are_left_out_and_must_exist():
    raw = raw_of(age=["1", "2"], wage=["3", "4"], y=["a", "b"])
    table = type_table(raw, target="y", ignore=["wage"])
    assert [column.name for column in table.columns] == ["age"]
    assert "left out as told: 'wage'" in table.notes
    with pytest.raises(DataError, match="no column named 'wag'; did you mean 'wage'"):
        type_table(raw, target="y", ignore=["wag"])
    wide = raw_of(**{f"width_{i}": ["1", "2"] for i in range(100)})
    with pytest.raises(DataError, match="no column named 'widht_7' among 100; near it: 'width_7'"):
        type_table(wide, target="widht_7")
    with pytest.raises(DataError, match="no column beside the target"):
        type_table(raw, target="y", ignore=["age", "wage"])


# Round trips

CELL = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from('",;|\n\r\t'), max_size=8
)
NAMES = st.lists(st.text("abcdefgh ,;\"'é", min_size=1, max_size=6), min_size=2, max_size=5, unique_by=str.strip)


@given(data=st.data(), separator=st.sampled_from(",;\t|"), newline=st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_comes_back(data, separator, newline):
    names = [name.strip() or f"n{place}" for place, name in enumerate(data.draw(NAMES))]
    rows = data.draw(st.lists(st.lists(CELL, min_size=len(names), max_size=len(names)), min_size=1, max_size=6))
    if len(set(names)) < len(names) or any(re.fullmatch("'.*'|\".*\"", name) for name in names):
        return  # refused, as other tests say
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    content = file.getvalue().encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        raw = read_raw(path)
    assert raw.names == tuple(names)
    assert texts(raw) == {name: [row[place] for row in rows] for place, name in enumerate(names)}
    assert raw.digest == hashlib.sha256(content).hexdigest()


@given(st.lists(st.floats(-3e38, 3e38) | st.none(), min_size=1, max_size=20), st.booleans())
def test_numbers_written_in_full_come_back_exactly(numbers, comma):
    cells = ["" if number is None else repr(number) for number in [*numbers, 0.5, 2.5]]
    column, table = column_of([cell.replace(".", ",") if comma else cell for cell in cells], separator=";")
    assert column.kind == "number"
    expected = [np.nan if number is None else number for number in [*numbers, 0.5, 2.5]]
    np.testing.assert_array_equal(table.values["x"], expected)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=30))
def test_a_table_read_by_its_own_kinds_is_the_same(cells):
    raw = raw_of(x=cells, y=[str(i / 2) for i in range(len(cells))])
    table = type_table(raw, target=None)
    if not table.values:
        return
    again, _ = apply_kinds(raw, [Column.from_json(column.to_json()) for column in table.columns])
    assert again.columns == table.columns
    for name, values in table.values.items():
        np.testing.assert_array_equal(again.values[name], values)


# Later tables


def test_a_later_table_is_read_by_name_and_what_differs_is_said():
    first = raw_of(
        colour=["red", "blue", "red"], size=["1.5", "2", "3"], on=["yes", "no", "no"],
        day=["13/02/2024", "01/02/2024", ""], grade=["1", "2", "x"], gone=["1", "2", "4"],
    )  # fmt: skip
    columns = type_table(first, target=None).columns
    later = raw_of(
        extra=["1", "2", "3"], y=["a", "b", "c"], on=["TRUE", "maybe", "-"], day=["03/02/2024", "2024-02-03", "NA"],
        size=["2,5", "1e400", "NA"], grade=["1.0", "7", ""], colour=["green", " red ", "?"],
    )  # fmt: skip
    table, notes = apply_kinds(later, columns, beside=["y"])
    assert [column.name for column in table.columns] == list(first.names)
    assert table.values["colour"].tolist() == [UNSEEN, 0, MISSING]
    assert table.values["grade"].tolist() == [columns[4].categories.index("1"), UNSEEN, MISSING]
    assert table.values["on"].tolist() == [columns[2].categories.index("yes"), UNSEEN, MISSING]
    np.testing.assert_array_equal(table.values["day"], [19756, 19756, np.nan])
    assert np.isnan(table.values["gone"]).all()
    assert {column.name: column.missing for column in table.columns} == {
        "colour": 1, "size": 2, "on": 1, "day": 1, "grade": 1, "gone": 3,
    }  # fmt: skip
    said = "\n".join(notes)
    for part in (
        "columns not there, taken as missing in all rows: 'gone'", "the earlier table had not, ignored: 'extra'\n",
        "colour: 1 row has categories that the earlier table had not (1 new; row 1: 'green')",
        "day: some dates come with the year first, unlike before (row 2: '2024-02-03')", "size: 1 cell is infinite",
    ):  # fmt: skip
        assert part in said


def test_a_cell_that_is_no_number_is_missing_and_counted():
    columns = type_table(raw_of(x=["1.5", "2", "3"]), target=None).columns
    table, notes = apply_kinds(raw_of(x=["abc", "2", "abc"]), columns)
    np.testing.assert_array_equal(table.values["x"], [np.nan, 2, np.nan])
    assert notes == (
        "x: 2 cells are not numbers, taken as missing (row 1: 'abc')",
        "x: 2 of 3 values are missing (67 %), and 0 % in the training table",
    )


def test_another_decimal_mark_is_read_and_said():
    columns = type_table(raw_of(";", x=["1,5", "2,25"]), target=None).columns
    table, notes = apply_kinds(raw_of(x=["3.75", "2"]), columns)
    assert table.values["x"].tolist() == [3.75, 2]
    assert "x: the decimal mark is '.', not ',' as in the training table, and was read so" in notes
    table, notes = apply_kinds(raw_of(";", x=["1,234"]), columns)  # ambiguous by itself
    assert (table.values["x"].tolist(), notes) == ([1.234], ())


def test_a_table_without_any_of_the_columns_is_refused():
    columns = type_table(raw_of(x=["1.5", "2"], z=["a", "b"]), target=None).columns
    with pytest.raises(DataError, match=r"none of the columns is there: 'x', 'z' \(found: 'y'\)"):
        apply_kinds(raw_of(y=["1"]), columns)


@pytest.mark.parametrize(
    "record",
    [{}, {"categories": 3}, {"name": "x", "kind": "colour", "why": "", "categories": []},
     {"name": 1, "kind": "text", "why": "", "categories": []}, {"name": "x", "kind": "text", "categories": [], "z": 1}],
)  # fmt: skip
def test_a_record_that_is_no_column_is_refused(record):
    with pytest.raises(DataError, match="not the record of a column"):
        Column.from_json(record)


# Parquet


@pytest.fixture
def write(tmp_path):
    """Writes arrays into a Parquet file, with its footer changed if told, and gives the path."""

    def writer(*, footer=lambda footer: footer, **columns) -> Path:
        path = tmp_path / "table.parquet"
        parquet.write_table(pa.table(columns), path)
        data = path.read_bytes()
        size = struct.unpack("<I", data[-8:-4])[0]
        new = footer(data[-8 - size : -8])
        path.write_bytes(data[: -8 - size] + new + struct.pack("<I", len(new)) + b"PAR1")
        return path

    return writer


def varint(number: int) -> bytes:
    """A number as the footer of Parquet holds it (Thrift's compact protocol: zigzag, 7 bits a byte)."""
    number *= 2
    parts = []
    while number > 127:
        parts.append(number % 128 + 128)
        number //= 128
    return bytes([*parts, number])


def test_parquet_gives_native_columns_of_every_plain_type(write):
    moment = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    path = write(
        text=pa.array(["a", None, "b"]), whole=pa.array([1, 2, 3], pa.int16()), gap=pa.array([1, None, 3]),
        big=pa.array([2**60, None, 2**60 + 1]), huge=pa.array([2**64 - 1, 0, 1], pa.uint64()),
        real=pa.array([1.5, None, float("nan")], pa.float32()), flag=pa.array([True, False, True]),
        maybe=pa.array([True, None, False]), word=pa.array(["x", "y", "x"]).dictionary_encode(),
        price=pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("2.25")]), nothing=pa.nulls(3),
        day=pa.array([datetime.date(1970, 1, 2), None, datetime.date(1970, 1, 3)]),
        time=pa.array([moment, None, moment], pa.timestamp("ns", "Europe/Berlin")), raw=pa.array([b"a", b"b", None]),
    )  # fmt: skip
    raw = read_raw(path)
    kinds = {name: column.dtype.kind for name, column in raw.columns.items()}
    assert kinds == {
        "text": "O", "whole": "i", "gap": "f", "big": "O", "huge": "O", "real": "f", "flag": "b", "maybe": "O",
        "word": "O", "price": "O", "nothing": "O", "day": "M", "time": "M", "raw": "O",
    }  # fmt: skip
    assert texts(raw)["big"] == [str(2**60), "", str(2**60 + 1)]
    assert texts(raw)["text"] == ["a", "", "b"]
    table = type_table(raw, target=None)
    assert {column.name: column.kind for column in table.columns} == {
        "text": "category", "whole": "number", "gap": "number", "big": "category", "huge": "category",
        "real": "constant", "flag": "boolean", "maybe": "boolean", "word": "category", "price": "number",
        "nothing": "constant", "day": "date", "time": "constant", "raw": "category",
    }  # fmt: skip
    np.testing.assert_array_equal(table.values["day"], [1, np.nan, 2])
    np.testing.assert_array_equal(table.values["price"], [1.1, np.nan, 2.25])
    assert any("Europe/Berlin, read as UTC" in note for note in raw.notes)


def test_parquet_and_csv_of_the_same_table_agree(write, read):
    numbers = np.random.default_rng(0).normal(size=50)
    path = write(
        x=pa.array(numbers), c=pa.array(["a", "b"] * 25), n=pa.array(range(50)), b=pa.array([True, False] * 25)
    )
    rows = [f"{x!r},{'ab'[i % 2]},{i},{i % 2 == 0}" for i, x in enumerate(numbers.tolist())]
    ours, theirs = (type_table(raw, target=None) for raw in (read_raw(path), read("\n".join(["x,c,n,b", *rows]))))
    assert [column.kind for column in ours.columns] == [column.kind for column in theirs.columns]
    for name in ours.values:
        np.testing.assert_array_equal(ours.values[name], theirs.values[name])
    again, notes = apply_kinds(read_raw(path), theirs.columns)
    assert notes == ()
    np.testing.assert_array_equal(again.values["b"], theirs.values["b"])


def test_nested_columns_are_left_out_and_said(write):
    raw = read_raw(
        write(
            x=pa.array([1, 2]), s=pa.array([{"a": 1}, {"a": 2}]), l=pa.array([[1], [2]]),
            b=pa.array([b"\xff", b"\xfe"]),
            u=pa.array([bytes(16), bytes(16)], pa.uuid()),
            j=pa.array(["{}", "[]"], pa.json_()),
        )
    )  # fmt: skip
    assert raw.names == ("x", "j")
    said = "\n".join(raw.notes)
    assert all(f"\n{name} is left out" in said for name in "slbu")
    assert "j is of the type" in said
    with pytest.raises(DataError, match="no usable column: s is left out"):
        read_raw(write(s=pa.array([{"a": 1}])))


def test_truncated_parquet_is_refused(write):
    path = write(x=pa.array(range(1000)))
    whole = path.read_bytes()
    for size in (4, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="not a whole Parquet file"):
            read_raw(path)
    path.write_bytes(whole[:100] + bytes(200) + whole[300:])
    with pytest.raises(DataError, match="damaged"):
        read_raw(path)
    path = write(name=pa.array([1, 2]))
    path.write_bytes(path.read_bytes().replace(b"name", b"n\xa7me"))
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read_raw(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="does not begin with PAR1"):
        read_raw(path)


def test_rows_that_are_declared_and_not_there_are_refused(write):
    column = pa.array(np.random.default_rng(0).normal(size=12_345))
    with pytest.raises(DataError, match=r"needs about 160000\.0 GB of memory"):
        read_raw(write(x=column, footer=lambda footer: footer.replace(varint(12_345), varint(10**13))))
    with pytest.raises(DataError, match=r"damaged|declares 20000 rows"):
        read_raw(write(x=column, footer=lambda footer: footer.replace(varint(12_345), varint(20_000))))
    with pytest.raises(DataError, match=r"declares .* rows and its parts"):
        read_raw(write(x=column, footer=lambda footer: footer.replace(varint(12_345), varint(20_000), 1)))
    with pytest.raises(DataError, match="has no rows"):
        read_raw(write(x=column[:0]))


# Real tables


def test_the_columns_of_adult_are_understood(tables):
    raw = read_raw(tables / "adult_train.csv")
    table = type_table(raw, target="income")
    assert table.num_rows == 32_561
    numbers = {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"}
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {name: "number" if name in numbers else "category" for name in raw.names if name != "income"}
    missing = {column.name: column.missing for column in table.columns if column.missing}
    assert missing == {"workclass": 1836, "occupation": 1843, "native_country": 583}
    assert "'?' read as missing: 4,262 in workclass, occupation, native_country" in table.notes
    later, notes = apply_kinds(read_raw(tables / "adult_test.csv"), table.columns, beside=["income"])
    assert later.num_rows == 16_281
    assert notes == ()
    assert not any((values == UNSEEN).any() for values in later.values.values())


def test_the_columns_of_abalone_and_phoneme_are_understood(tables):
    kinds = [column.kind for column in type_table(read_raw(tables / "abalone.csv"), target="rings").columns]
    assert kinds == ["category", *["number"] * 7]
    kinds = [column.kind for column in type_table(read_raw(tables / "phoneme.csv"), target="label").columns]
    assert kinds == ["number"] * 5
