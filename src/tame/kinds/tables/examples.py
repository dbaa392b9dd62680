"""The rows of a study, one by one, as its table has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, RawTable, Table
from tame.kinds.examples import Column, Examples
from tame.kinds.kind import Known
from tame.kinds.tables.rows import Rows, cells_of, digest_of_row, target_of
from tame.kinds.tables.source import files_of, read_rows

MOST_CELL = 400  # characters of a cell that are shown


def read(config: StudyConfig, known: Known, folder: Path) -> Examples:
    """The rows in the order in which the study has them. Raises DataError where the table has changed."""
    found = read_rows(config)
    known.require_same(found.rows.digests, "table")
    raws = [read_raw(path) for path, _ in files_of(config)]
    starts = np.cumsum([0, *(raw.num_rows for raw in raws)])

    def as_it_came(row: int) -> Mapping[str, str]:
        place = int(found.kept[row])
        number = int(np.searchsorted(starts, place, side="right")) - 1
        return _raw_cells(raws[number], place - int(starts[number]))

    return of_rows(found.rows, cells=as_it_came)


def of_rows(
    own: Rows, *, cells: Callable[[int], Mapping[str, str]] | None = None, digest: Callable[[int], str] | None = None
) -> Examples:
    """Rows that were read. cells: of a row as it came; those that are trained on where it is not given; digest: as in
    `split_rows`."""
    return Examples(
        ids=own.ids, labels=[target_of(own, row) for row in range(len(own.ids))],
        digest_of=digest or partial(digest_of_row, own), cells_of=cells or partial(cells_of, own.table),
        columns=_columns(own.table),
    )  # fmt: skip


def _columns(table: Table) -> tuple[Column, ...]:
    return tuple(
        Column(name=each.name, values=table.values[each.name], categories=each.categories, is_date=each.kind == "date")
        for each in table.columns
        if each.kind in LEARNT and each.kind != "text" and each.name in table.values
    )


def _raw_cells(raw: RawTable, row: int) -> dict[str, str]:
    return {name: _text(raw.columns[name][row])[:MOST_CELL] for name in raw.names}


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return "" if isinstance(value, np.datetime64) and np.isnat(value) else str(value)
