"""What columns are: the same through every entrance, by nearly all cells, or as the user said."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tame.core.errors import DataError, UsageError
from tame.data.arrays import read_arrays, read_columns
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import Column, RawTable, Table, require_learnt
from tame.data.targets import read_target

Rows = Mapping[str, Sequence[object]]


CLAUSES = (
    "屏幕非常清晰",
    "电池可以用两天",
    "物流很快",
    "包装没有破损",
    "拍照效果让我满意",
    "客服态度很好",
    "价格便宜",
    "下次还会再来",
)


def raw_of(separator: str = ",", **columns: Sequence[str]) -> RawTable:
    """A table of text that did not come from a file."""
    arrays = {name: np.array(cells, dtype=object) for name, cells in columns.items()}
    return RawTable(tuple(columns), arrays, (), len(next(iter(arrays.values()))), "", separator)


def column_of(cells: Sequence[str], separator: str = ",", told: str = "") -> tuple[Column, Table]:
    table = type_table(raw_of(separator, x=cells), target=None, told={"x": told} if told else None)
    return table.columns[0], table


# Entrances: the same values through each of them


def as_csv(rows: Rows, folder: Path, separator: str = ",", mark: str = ".") -> RawTable:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return repr(value).replace(".", mark) if np.isfinite(value) else ""
        return "" if value is None else str(value)

    def quoted(text: str) -> str:
        return f'"{text}"' if separator in text else text

    lines = [
        separator.join(rows),
        *(separator.join(quoted(cell(v)) for v in row) for row in zip(*rows.values(), strict=True)),
    ]
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_raw(path)


def as_parquet(rows: Rows, folder: Path) -> RawTable:
    parquet.write_table(pa.table(dict(rows)), folder / "rows.parquet")
    return read_raw(folder / "rows.parquet")


def as_pandas(rows: Rows, folder: Path) -> RawTable:
    return read_columns(pytest.importorskip("pandas").DataFrame(dict(rows)))


def as_polars(rows: Rows, folder: Path) -> RawTable:
    return read_columns(pytest.importorskip("polars").DataFrame(dict(rows)))


ENTRANCES: dict[str, Callable[[Rows, Path], RawTable]] = {
    "comma": as_csv,
    "semicolon": lambda rows, folder: as_csv(rows, folder, ";", ","),
    "tab": lambda rows, folder: as_csv(rows, folder, "\t"),
    "parquet": as_parquet,
    "pandas": as_pandas,
    "polars": as_polars,
    "arrow": lambda rows, folder: read_columns(pa.table(dict(rows))),
    "dict": lambda rows, folder: read_columns(dict(rows)),
    "rows": lambda rows, folder: read_columns([list(row) for row in zip(*rows.values(), strict=True)]),
}


def every_kind(num: int, seed: int) -> Rows:
    """A column of each kind, with holes."""
    rng = np.random.default_rng(seed)
    holes = set(rng.choice(num, 3, replace=False).tolist())
    days = [datetime.datetime(2024, 1, 1) + datetime.timedelta(int(day)) for day in rng.integers(0, 900, num)]
    words = ["red", "blue", "dark green"]
    return {
        "row": list(range(1, num + 1)),
        "real": [None if i in holes else float(np.round(x, 5)) for i, x in enumerate(rng.normal(size=num))],
        "count": rng.integers(0, 30, num).tolist(),
        "gap": [None if i in holes else int(x) for i, x in enumerate(rng.integers(10, 40, num))],
        "flag": (rng.random(num) < 0.4).tolist(),
        "bit": rng.integers(0, 2, num).tolist(),
        "when": days,
        "word": [None if i in holes else words[k] for i, k in enumerate(rng.integers(0, 3, num))],
        "as_text": [f"{x:.4f}1" for x in rng.normal(size=num)],
        "same": [4.5] * num,
        "key": [f"k{i:05x}x" for i in rng.permutation(10**5)[:num]],
        "note": [f"{words[k]} seen near the old mill {i}" for i, k in enumerate(rng.integers(0, 3, num))],
    }


KINDS = {
    "row": "identifier", "real": "number", "count": "number", "gap": "number", "flag": "boolean", "bit": "boolean",
    "when": "date", "word": "category", "as_text": "number", "same": "constant", "key": "identifier", "note": "text",
}  # fmt: skip


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_same_values_are_typed_alike_through_every_entrance(entrance, tmp_path):
    rows = every_kind(120, seed=1)
    if entrance == "semicolon":
        rows = {**rows, "as_text": [str(text).replace(".", ",") for text in rows["as_text"]]}
    raw = ENTRANCES[entrance](rows, tmp_path)
    table = type_table(raw, target=None)
    assert dict(zip(KINDS, (column.kind for column in table.columns), strict=True)) == KINDS
    assert all(column.why for column in table.columns)


@pytest.mark.parametrize("first", ENTRANCES)
@pytest.mark.parametrize("then", ENTRANCES)
def test_a_table_learned_through_one_entrance_is_read_the_same_through_any_other(first, then, tmp_path):
    rows = {name: own for name, own in every_kind(60, seed=2).items() if name != "as_text"}
    table = type_table(ENTRANCES[first](rows, tmp_path), target=None)
    names = {column.name: name for column, name in zip(table.columns, rows, strict=True)}
    raw = ENTRANCES[then](rows, tmp_path)
    own = dict(zip(raw.names, names, strict=True))
    raw = RawTable(
        tuple(own.values()), {own[name]: raw.columns[name] for name in raw.names}, (), raw.num_rows, "", raw.separator
    )
    again, notes = apply_kinds(raw, table.columns)
    for column in table.columns:
        if column.name in table.values:
            np.testing.assert_array_equal(again.values[column.name], table.values[column.name], err_msg=column.name)
    assert [note for note in notes if "decimal mark" not in note] == []


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_any_numbers_and_words_are_typed_alike(tmp_path, data):
    num = data.draw(st.integers(12, 40))
    several = {"min_size": num, "max_size": num}
    rows = {
        "real": data.draw(st.lists(st.floats(-1e6, 1e6) | st.none(), **several)),
        "whole": data.draw(st.lists(st.integers(-5000, 5000), **several)),
        "word": data.draw(st.lists(st.sampled_from(["a", "Bb", "c d", "naïve", None]), **several)),
        "other": [0.5, 1.25] * (num // 2) + [0.5] * (num % 2),
    }
    if all(value is None for value in rows["real"]) or all(value is None for value in rows["word"]):
        return
    found = {}
    for entrance in ("comma", "semicolon", "tab", "parquet", "arrow", "dict"):
        table = type_table(ENTRANCES[entrance](rows, tmp_path), target=None)
        found[entrance] = [(column.kind, column.missing, column.low, column.high) for column in table.columns]
    assert all(own == found["comma"] for own in found.values()), found


def test_a_numbering_in_a_frame_is_left_out(shared):
    path = shared / "cases" / "tables" / "sortedid.csv"
    if not path.exists():
        pytest.skip("needs the shared cases")
    frame = pytest.importorskip("pandas").read_csv(path)
    columns = type_table(read_columns(frame[["Id", "a", "b"]]), target=None).columns
    assert [column.kind for column in columns] == ["identifier", "number", "number"]


def test_a_word_for_nothing_is_a_mark_in_text_alone_and_not_where_types_are_declared(tmp_path):
    words = ["NA", "null", "east", "west"] * 10
    assert column_of(words)[0].categories == ("east", "west")
    declared = type_table(read_columns({"x": words}), target=None).columns[0]
    assert (declared.categories, declared.missing) == (("NA", "east", "null", "west"), 0)
    numbers = type_table(read_columns({"x": ["1.5", "NA", "2.5", *map(str, range(9))]}), target=None).columns[0]
    assert (numbers.kind, numbers.missing) == ("number", 1)  # beside numbers it can only be a mark


def test_categories_of_numbers_are_believed_where_a_frame_declares_them():
    pd = pytest.importorskip("pandas")
    raw = read_columns(pd.DataFrame({"x": pd.Categorical([2019, 2020, 2021] * 10)}))
    assert type_table(raw, target=None).columns[0].kind == "category"


# Marks that separate thousands


@pytest.mark.parametrize(("separator", "mark"), [(";", "."), ("\t", "."), (",", "."), (";", ",")])
def test_marks_beside_small_whole_numbers_separate_thousands(separator, mark):
    cells = [cell.replace(".", mark) for cell in ("257", "54.016", "35.430", "800", "1.250")]
    column, table = column_of(cells, separator)
    assert table.values["x"].tolist() == [257, 54016, 35430, 800, 1250]
    assert "thousands separated" in column.why


def test_points_that_may_mean_either_are_refused_in_a_file_of_semicolons():
    for cells in (["257", "54.016", "31.467"], ["1.639", "2.345", "3.111"]):
        with pytest.raises(DataError, match=r"'x' is ambiguous.*the point may separate.*--column x=number:point"):
            column_of(cells, ";")
        assert column_of(cells, ";", "number:point")[1].values["x"].tolist() == [float(cell) for cell in cells]
        thousands = [float(cell.replace(".", "")) for cell in cells]
        assert column_of(cells, ";", "number:comma")[1].values["x"].tolist() == thousands
    assert column_of(["1.639", "2.345", "3.5"], ";")[1].values["x"].tolist() == [1.639, 2.345, 3.5]


# NA that is a name


@pytest.mark.parametrize(
    ("words", "is_name"),
    [
        (["AF", "AS", "EU", "NA", "OC", "SA"], True), (["EMEA", "APAC", "LATAM", "NA"], True),
        (["red", "blue", "NA"], False), (["a", "b", "c", "NA"], False),
    ],
)  # fmt: skip
def test_na_among_codes_of_regions_is_a_name(words, is_name):
    cells = words * 8
    assert ("NA" in column_of(cells)[0].categories) is is_name
    assert ("NA" in read_target(raw_of(y=cells), "y")[0].classes) is is_name


def test_na_that_may_be_either_in_a_target_is_asked_about():
    cells = ["MALE", "FEMALE", "NA"] * 8
    with pytest.raises(DataError, match=r"'NA' in 8 rows.*name or a missing value\? Say --column y=category"):
        read_target(raw_of(y=cells), "y")
    assert read_target(raw_of(y=cells), "y", told="category")[0].classes == ("FEMALE", "MALE", "NA")
    marked = raw_of(y=cells, x=["1.5", "NA", "2.5"] * 8)  # which shows what NA is in this file
    assert read_target(marked, "y")[0].classes == ("FEMALE", "MALE")


# Targets that look like numbers


@pytest.mark.parametrize("form", ["${:,}", "{}%", "{} €", "{:,}", "USD {}"])
def test_targets_with_a_unit_are_numbers(form):
    numbers = [1000 + 37 * i for i in range(60)]
    target, _ = read_target(raw_of(y=[form.format(number) for number in numbers]), "y")
    assert (target.task, target.values.tolist()) == ("regression", numbers)


def test_a_few_words_among_numbers_leave_their_rows_out_and_many_are_asked_about():
    cells = [str(i / 4) for i in range(295)] + ["unknown"] * 5
    target, labelled = read_target(raw_of(y=cells), "y")
    assert (target.task, int(labelled.sum())) == ("regression", 295)
    assert "5 rows have no label and are left out: 'unknown' (5)" in target.why
    with pytest.raises(DataError, match=r"mixes numbers and words: 60 of 100 .*--column y=number"):
        read_target(raw_of(y=[str(i / 4) for i in range(60)] + ["none of these", "other"] * 20), "y")


# Dates


def test_dates_with_names_of_months_and_halves_of_days_are_read():
    for cells in (
        ["5 Nov 2019", "17 Dec 2020", "1 Mar 2021"], ["Nov 5, 2019", "Dec 17, 2020", "March 1, 2021"],
        ["05-Nov-2019", "17-Dec-2020", "01-Mar-2021"], ["Tue, 5 Nov 2019", "Thu, 17 Dec 2020", "Mon, 1 Mar 2021"],
        ["5. November 2019", "17. Dezember 2020", "1. März 2021"],
    ):  # fmt: skip
        column, table = column_of(cells)
        days = [
            (datetime.date(*day) - datetime.date(1970, 1, 1)).days
            for day in ((2019, 11, 5), (2020, 12, 17), (2021, 3, 1))
        ]
        assert (column.kind, table.values["x"].tolist()) == ("date", days)
    _, table = column_of(["11/13/2019 12:30 AM", "11/14/2019 12:30 PM", "11/15/2019 3:00 pm"])
    np.testing.assert_allclose(table.values["x"] % 1, [1 / 48, 25 / 48, 15 / 24], atol=1e-9)  # float64


@pytest.mark.parametrize(
    "form", ["{1:02d}.{0:02d}.{2:02d}", "20{2:02d}-W{0:02d}", "Q{3} 20{2:02d}", "20{2:02d}-{0:02d}"], ids=str
)
def test_dates_that_are_not_read_are_not_called_identifiers(form):
    cells = [
        form.format(month, day, year, (month + 2) // 3)
        for year in range(20, 24)
        for month in range(1, 13)
        for day in (1, 2)
    ]
    column, table = column_of(list(dict.fromkeys(cells)))
    assert (column.kind, "dates" in column.why) in {("text", True), ("category", True)}
    assert any("dates" in note for note in table.notes)


# What the user says


@pytest.mark.parametrize(
    ("cells", "told", "kind"),
    [
        ([str(2000 + i % 5) for i in range(30)], "category", "category"),
        ([str(i) for i in range(30)], "number", "number"),
        ([f"k{i}" for i in range(30)], "category", "category"), (["yes", "no"] * 10, "category", "category"),
        (["0", "1"] * 10, "number", "number"), (["007", "012", "001"] * 5, "number", "number"),
        (["01/02/2024", "03/04/2024"], "date:dmy", "date"), (["01/02/2024", "03/04/2024"], "date:mdy", "date"),
        (["1", "0"] * 9, "boolean", "boolean"), ([f"{i}.5" for i in range(30)], "ignore", "ignored"),
        ([*(str(i) for i in range(12)), "a", "b", "c", "d", "e"], "number", "number"),
    ],
)  # fmt: skip
def test_what_the_user_says_is_obeyed_and_kept(cells, told, kind):
    raw = raw_of(x=cells, z=[f"{i % 2}.5" for i in range(len(cells))])
    table = type_table(raw, target=None, told={"x": told})
    columns = table.columns
    assert (columns[0].kind, columns[0].told) == (kind, True)
    assert ("said to be" in columns[0].why) is (told != "ignore")
    assert Column.from_json(columns[0].to_json()) == columns[0]
    again, _ = apply_kinds(raw, columns)
    if "x" in table.values:
        np.testing.assert_array_equal(again.values["x"], table.values["x"])


@pytest.mark.parametrize(
    ("cells", "told", "words"),
    [
        (["a", "b", "c", "1"] * 5, "number", "was said to be a number, and most of its cells are not"),
        (["a", "b", "c"] * 5, "date", "was said to be a date, and most of its cells are not"),
        (["01/02/2024", "03/04/2024"], "date", "not sure whether the day.*--column x=date:dmy"),
        (["1", "2", "3"] * 5, "boolean", "its cells are not all words for yes and no"),
        (["a"] * 9, "category", "nothing to learn from it; say --column x=ignore"),
    ],
)
def test_what_the_user_says_and_the_cells_do_not_is_refused(cells, told, words):
    with pytest.raises(DataError, match=words):
        column_of(cells, told=told)


def test_a_target_is_what_the_user_says():
    years = [str(2000 + i % 20) for i in range(80)]
    assert read_target(raw_of(y=years), "y")[0].task == "regression"
    assert len(read_target(raw_of(y=years), "y", told="category")[0].classes) == 20
    assert read_target(raw_of(y=["1", "2", "3"] * 9), "y", told="number")[0].task == "regression"
    with pytest.raises(UsageError, match="cannot both be"):
        read_target(raw_of(y=years), "y", task="regression", told="category")
    with pytest.raises(UsageError, match="is the target and cannot be 'ignore'"):
        read_target(raw_of(y=years), "y", told="ignore")


def test_columns_of_python_come_with_the_arrays():
    arrays = read_arrays({"a": [1.5, 2.5, 3.5], "b": ["x", "y", "x"]}, [1, 2, 3])
    assert arrays.raw is not None
    assert arrays.raw.names == ("a", "b")


def test_spans_categories_and_large_numbers_are_alike_through_every_entrance(tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    spans = [datetime.timedelta(hours=i % 90) for i in range(300)]
    codes = [i % 5 for i in range(300)]
    large = np.array([2**63 + 7 * i for i in range(300)], dtype=np.uint64)
    times = [datetime.time(i % 24, i % 60) for i in range(300)]
    dictionary = pa.array(codes).dictionary_encode()
    of: dict[str, list[object]] = {
        "number": [{"x": spans}, {"x": np.array(spans, "timedelta64[us]")}, pandas.DataFrame({"x": spans}),
                   pandas.DataFrame({"x": pandas.Series(spans, dtype=object)}), polars.DataFrame({"x": spans}),
                   pa.table({"x": spans})],
        "category": [pandas.DataFrame({"x": pandas.Categorical(codes)}), pa.table({"x": dictionary}),
                     pandas.DataFrame({"x": pandas.Categorical([str(code) for code in codes])}),
                     polars.DataFrame({"x": polars.Series([str(code) for code in codes], dtype=polars.Categorical)})],
        "identifier": [pandas.DataFrame({"x": large}), polars.DataFrame({"x": large}), pa.table({"x": large}),
                       {"x": large}],
    }  # fmt: skip
    for kind, frames in of.items():
        found = [type_table(read_columns(frame), target=None, told={}).columns[0] for frame in frames]
        assert {(column.kind, len(column.categories), column.low, column.high) for column in found} == {
            (kind, 5 if kind == "category" else 0, found[0].low, found[0].high)
        }
    table = type_table(as_parquet({"span": spans, "time": times}, tmp_path), target=None)
    assert [column.kind for column in table.columns] == ["number", "category"]
    assert table.columns[0].high == pytest.approx(89 / 24)


def test_a_long_cell_is_looked_at_in_no_time():
    cells = ["1" + "." * 200_000 + "x", "-" * 200_000, *(f"a{i}" for i in range(40))]
    start = time.process_time()
    assert column_of(cells)[0].kind == "identifier"
    assert time.process_time() - start < 5


def test_of_texts_without_blanks_it_is_said_how_they_are_learnt_from():
    reviews = ["，".join(own) + "。" for own in itertools.permutations(CLAUSES, 3)][:60]
    table = type_table(raw_of(**{"the review": reviews}), target=None)
    with pytest.raises(DataError, match="if these are texts, say --text 'the review'"):
        require_learnt(table.columns)
    table = type_table(raw_of(review=reviews), target=None, told={"review": "text"})
    assert [column.kind for column in table.columns] == ["text"]


@pytest.mark.parametrize("key", ["{:08x}-5f3a-4e21-9c0b-8d7e6f5a4b3c", "A{:05d}", "10-2024-{:06d}"])
def test_keys_are_not_said_to_be_texts(key):
    column, _ = column_of([key.format(each * 7919) for each in range(60)])
    assert column.kind == "identifier"
    assert "--text" not in column.why
