"""How much of the data the checks with models look at: all of it where that takes seconds, less under a short clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tame.core.rng import stream

MOST_CELLS = 500_000  # rows times columns: about five seconds of trees on one core
CELLS_PER_S = 4_000  # under a clock, for each of its seconds: a share of about a twentieth
LEAST_CELLS = 20_000  # below it nothing is looked at with trees
MOST_COLUMNS = 500


@dataclass(frozen=True, slots=True)
class Look:
    """rows: which are looked at; trees: whether models of all columns are; skipped: in words, what is not."""

    rows: np.ndarray
    trees: bool
    skipped: str


def look_at(rows: np.ndarray, num_columns: int, *, clock_s: float | None, seed: int) -> Look:
    """Which of these rows (n,) are looked at, by how long a study may take, and not by how fast the machine is."""
    cells = MOST_CELLS if clock_s is None else min(MOST_CELLS, int(clock_s * CELLS_PER_S))
    if num_columns > MOST_COLUMNS:
        said = f"{num_columns:,} columns are too many to look for wrong labels and for parts that differ"
        return Look(rows, False, said)
    if cells < LEAST_CELLS and cells < len(rows) * num_columns:
        return Look(rows, False, "there is no time to look for wrong labels and for parts that differ; tame check does")
    most = max(cells // max(num_columns, 1), 1)
    if most >= len(rows):
        return Look(rows, True, "")
    some = np.sort(stream(seed, "look").choice(rows, most, replace=False))
    return Look(some, True, f"{most:,} of {len(rows):,} rows were looked at for wrong labels and parts that differ")
