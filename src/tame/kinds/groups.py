"""Examples that a column keeps together: of every kind of data that has columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.config import LEAST_GROUPS
from tame.core.errors import DataError, require
from tame.data.split import LEAST_JUDGED, groups_of
from tame.data.table_order import group_codes
from tame.kinds.findings import count


def named_groups(
    cells: np.ndarray, name: str, *, given: Sequence[str], values: np.ndarray, classes: Sequence[str], nouns: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) groups of examples by a column, and what was found in it.

    cells: (N,) of the column; given: the part that each example came in, or ""; values: (N,) targets. Raises DataError
    where a class lies in too few of them to be split, unless it has hardly an example: such a class is not judged.
    """
    groups, said = group_codes(cells, name)
    free = np.array([part == "" for part in given])
    least = LEAST_GROUPS - len({part for part in given if part})
    for number, label in enumerate(classes or ("the target",)):
        own = free & (values == number) if classes else free
        if classes and own.sum() < LEAST_JUDGED:
            continue
        found = len(np.unique(groups[own]))
        what = f"the {nouns} of class {label!r} lie" if classes else f"the {nouns} lie"
        need = f"at least {least} are needed to learn, choose and test by different ones"
        require(found >= least, f"{what} in {count(found, 'group')} of {name!r}; {need}", error=DataError)
    return groups, (said,) if said else ()


def joined(groups: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N,) groups that hold both what a column says and pairs together."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    rows = np.arange(len(groups))
    named = [*zip(first[place].tolist(), rows.tolist(), strict=True)]
    return groups_of(len(groups), [*named, *pairs])
