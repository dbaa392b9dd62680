"""Tables with their targets, from files and from Python: what is read of the rows of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError
from tame.data.arrays import read_arrays
from tame.kinds.arrays.source import keep_arrays, read_kept
from tame.kinds.tables.rows import Rows
from tame.kinds.tables.source import read_rows


@pytest.mark.parametrize(
    ("file", "target", "classes", "rows"),
    [
        ("towns.csv", "klasse", ("dorf", "stadt"), 200), ("regions.parquet", "region", ("AS", "EU", "NA", "SA"), 200),
        ("continent.csv", "continent", ("AF", "AS", "EU", "NA", "OC", "SA"), 300), ("pm1.csv", "y", ("-1", "+1"), 300),
        ("total.csv", "y", ("0", "1"), 300), ("catcase.csv", "y", ("cat", "dog"), 300),
        ("nfd.csv", "y", ("né", "x"), 300), ("pct.csv", "p", (), 300),
    ],
)  # fmt: skip
def test_the_cases_come_out_right(file, target, classes, rows, shared):
    path = shared / "cases" / "tables" / file
    if not path.exists():
        pytest.skip("needs the shared cases")
    found = read_rows(StudyConfig(data=str(path), target=target)).rows
    assert (found.classes, len(found.values)) == (classes, rows)
    if file == "towns.csv":
        assert {54016.0, 257.0} <= set(found.table.values["einwohner"].tolist())
    if file == "total.csv":
        assert [(column.name, column.kind) for column in found.table.columns] == [("a", "number"), ("b", "number")]
        assert any("row 301: 'Total'" in note for note in found.notes)


def test_a_part_with_decimal_commas_is_the_same_part(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"{x:.3f}", f"{1 + z:.3f}", f"{x + z:.3f}") for x, z in rng.random((200, 2)) * 3]
    lines = [",".join(("x", "z", "y")), *map(",".join, rows)]
    (tmp_path / "all.csv").write_text("\n".join(lines[:120]) + "\n")
    (tmp_path / "point.csv").write_text("\n".join([lines[0], *lines[120:]]) + "\n")
    comma = [line.replace(",", ";").replace(".", ",") for line in [lines[0], *lines[120:]]]
    (tmp_path / "comma.csv").write_text("\n".join(comma) + "\n")
    found = [
        read_rows(StudyConfig(data=str(tmp_path / "all.csv"), val=str(tmp_path / f"{name}.csv"), target="y")).rows
        for name in ("point", "comma")
    ]
    for name, values in found[0].table.values.items():
        np.testing.assert_array_equal(values, found[1].table.values[name])
    np.testing.assert_array_equal(found[0].values, found[1].values)
    assert any(note.startswith("comma.csv: x, z: the decimal mark is ','") for note in found[1].notes)


def test_what_is_said_of_columns_that_are_not_trained_on_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("g,x,y\n" + "".join(f"{i % 7},{i / 3},{i % 2}\n" for i in range(60)))
    about = {"data": str(tmp_path / "a.csv"), "target": "y", "groups": "g"}
    with pytest.raises(UsageError, match="'g' splits the rows and is not trained on; leave out --column g=category"):
        read_rows(StudyConfig(**about, columns={"g": "category"}))
    with pytest.raises(UsageError, match="'y' is the target and cannot be 'ignore'"):
        read_rows(StudyConfig(**about, columns={"y": "ignore"}))
    with pytest.raises(DataError, match="no column named 'xx'"):
        read_rows(StudyConfig(**about, columns={"xx": "number"}))


def kept(x: object, y: object, folder: Path, **told: str) -> Rows:
    keep_arrays(read_arrays(x, y), "auto", folder, plain=False, told=told)
    return read_kept(folder)


def test_a_target_in_texts_is_read_as_a_column_of_a_file_is(tmp_path):
    x = {"a": np.arange(60) / 7}
    found = kept(x, [f"${1000 + 3 * i:,}" for i in range(60)], tmp_path)
    assert (found.task, found.values.tolist()) == ("regression", [1000 + 3 * i for i in range(60)])
    assert kept(x, ["Cat", "dog", "cat", "cat"] * 15, tmp_path).classes == ("cat", "dog")
    assert kept(x, ["NA", "EU", "AS"] * 20, tmp_path).classes == ("AS", "EU", "NA")
    with pytest.raises(DataError, match=r"y has no number in 2 rows, first in row 58 \('unknown'\): leave these rows"):
        kept(x, [*(str(i / 4) for i in range(58)), "unknown", "unknown"], tmp_path)


def test_what_is_said_of_columns_from_python_is_kept(tmp_path):
    x = {"id": list(range(60)), "a": np.arange(60) / 7}
    y = [0.5, 1.5, 2.5] * 20
    assert [column.kind for column in kept(x, y, tmp_path).table.columns] == ["identifier", "number"]
    told = kept(x, y, tmp_path, id="number")
    assert [column.kind for column in told.table.columns] == ["number", "number"]
    assert told.table.values["id"].tolist() == list(range(60))
