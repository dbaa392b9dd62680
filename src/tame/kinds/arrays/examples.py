"""The examples of arrays that were given from Python, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tame.core.config import StudyConfig
from tame.kinds.arrays.source import digest_of_input, inputs_of, read_kept
from tame.kinds.examples import Examples
from tame.kinds.kind import Known
from tame.kinds.tables.examples import of_rows

MOST_NUMBERS = 24  # of an input that are shown


def read(config: StudyConfig, known: Known, folder: Path) -> Examples:
    """The examples in the order in which the study has them. Raises StorageError where they cannot be read."""
    own = read_kept(folder)
    if own.table.columns:
        return of_rows(own)
    x = inputs_of(folder)

    def first_numbers(row: int) -> Mapping[str, str]:
        flat = x[row].reshape(-1)[:MOST_NUMBERS]
        return {f"input {place}": f"{float(value):.6g}" for place, value in enumerate(flat)}

    return of_rows(own, cells=first_numbers, digest=partial(digest_of_input, own, x))
