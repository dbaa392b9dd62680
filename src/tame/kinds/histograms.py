"""How the values of a column are spread, by class."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from tame.kinds.examples import Column

BINS, MOST_CATEGORIES, MOST_CLASSES = 20, 12, 9
Plain = dict[str, object]


def histogram(column: Column, rows: Sequence[int], labels: Sequence[str], classes: Sequence[str]) -> Plain:
    """The counts of a column in these rows: `bins` by name, and for each of `names` as many counts.

    labels: of the rows; classes: by which they are counted, () or too many for all together. `missing`: rows without a
    value.
    """
    picked = column.values[np.asarray(rows, dtype=np.int64)] if rows else column.values[:0]
    code, names = _codes(column, picked)
    groups = list(classes) if 0 < len(classes) <= MOST_CLASSES else [""]
    own = np.array(labels, dtype=object)
    counts = [
        np.bincount(code[(code >= 0) & ((own == name) if name else True)], minlength=len(names)).tolist()
        for name in groups
    ]
    return {"name": column.name, "bins": names, "names": groups, "counts": counts, "missing": int((code < 0).sum())}


def _codes(column: Column, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(n,) the bin of each value, -1 where it is missing, and the names of the bins."""
    if column.categories:
        known = min(len(column.categories), MOST_CATEGORIES)  # the commonest come first
        more = len(column.categories) > known
        code = np.where(values < 0, -1, np.minimum(values, known if more else known - 1))
        return code.astype(np.int64), [*column.categories[:known], *(["all others"] if more else [])]
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(len(values), -1), []
    different = np.unique(values[finite])
    if len(different) <= BINS:
        code = np.where(finite, np.searchsorted(different, values), -1)
        return code, [_shown(column, own) for own in different.tolist()]
    edges = np.linspace(different[0], different[-1], BINS + 1)
    code = np.where(finite, np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1), -1)
    return code, [f"{_shown(column, a)} to {_shown(column, b)}" for a, b in pairwise(edges.tolist())]


def _shown(column: Column, value: float) -> str:
    return str(date(1970, 1, 1) + timedelta(days=round(value))) if column.is_date else f"{value:.4g}"
