"""Columns that name what rows belong to, such as a patient or a user: rows of one value are alike beyond chance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from tame.core.rng import stream
from tame.data.unseen import Values, beyond

TARGET = ""  # in place of the name of a column
LEAST_ROWS = 60
LEAST_GROUPS = 8
# Groups, as a share of the rows: a category with few values is an input, not a name, unless its column says otherwise.
LEAST_SHARE, LEAST_SHARE_NAMED = 0.02, 0.001
TWICE = 2.0  # rows that the median row's group has, at least
LARGEST = 0.2  # of the rows, in one group
# How much more alike rows of one value are than rows of neighbouring values, as a share of all variance.
LEAST_ALIKE = 0.3
MOST_ALIKE_BY_CHANCE = 2  # other columns that must show it, where neither the target nor the name does
NAMED = re.compile(
    r"(^|[^a-z])(id|ids|uid|uuid|key|nr|no|number|code|patient|subject|person|participant|user|customer|client|account|"
    r"household|family|session|visit|device|sensor|machine|site|hospital|centre|center|school|store|shop|group|batch|"
    r"donor|animal|owner|author|speaker|writer|student|player|team|well|plate|slide|scene|video|track|trip)([^a-z]|$)"
)


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """A column that rows may belong together by. groups: different values; alike: the share of variance of the target
    and of the other columns that lies between groups, beyond what lies between neighbours; by: the column in which it
    shows most, "" for the target."""

    column: str
    groups: int
    rows: int
    alike: float
    by: str


def group_columns(
    columns: Sequence[Values], names: Sequence[Values], target: np.ndarray, *, seed: int
) -> list[GroupColumn]:
    """The columns by which rows may belong together, the clearest first.

    columns: those that are looked at for likeness; names: those that may name groups, as codes in the order of their
    values; target: (N,) of the same rows. A name is no measurement: neighbouring values of it are no more alike than
    others. Where the name of the column says what it is (patient, user_id), half of the likeness is enough; elsewhere
    the target must show it, or several columns.
    """
    if len(target) < LEAST_ROWS:
        return []
    z = beyond(max(len(names), 1) * (len(columns) + 1))
    others = {TARGET: _ranks(target.astype(float)), **{c.name: _ranks(_numbers(c)) for c in columns}}
    found = [_judged(name, {o: v for o, v in others.items() if o != name.name}, z, seed=seed) for name in names]
    return sorted((each for each in found if each is not None), key=lambda each: -each.alike)


def _judged(name: Values, others: Mapping[str, np.ndarray], z: float, *, seed: int) -> GroupColumn | None:
    """What a column groups rows by, and how it shows; None where it does not."""
    is_named = bool(NAMED.search(_words(name.name)))
    groups = _grouped(name, LEAST_SHARE_NAMED if is_named else LEAST_SHARE)
    if groups is None:
        return None
    least = LEAST_ALIKE / 2 if is_named else LEAST_ALIKE
    shown = {}
    for other, values in others.items():
        own, error = _beyond_neighbours(groups, values, seed=seed)
        if own >= least and own > z * error and not _is_same(groups, values):
            shown[other] = own
    if not shown or (not is_named and TARGET not in shown and len(shown) < MOST_ALIKE_BY_CHANCE):
        return None
    best = max(shown, key=lambda other: shown[other])
    known = groups >= 0
    return GroupColumn(name.name, len(np.unique(groups[known])), int(known.sum()), shown[best], best)


def _is_same(groups: np.ndarray, values: np.ndarray) -> bool:
    """Whether two columns tell the same under two names: each value of one goes with one of the other."""
    known = groups >= 0
    codes = np.unique(values[known], return_inverse=True)[1]
    num = int(codes.max()) + 1
    pairs = len(np.unique(groups[known] * num + codes))
    return pairs == num == len(np.unique(groups[known])) and num > 2


def _words(name: str) -> str:
    """patientId and PATIENT_ID as "patient id"."""
    return re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).lower()


def _grouped(name: Values, share: float) -> np.ndarray | None:
    """(N,) codes of groups in the order of their values, -1 for nothing; None where it cannot name groups."""
    values = name.values
    known = np.isfinite(values) if name.is_number else values >= 0
    if known.mean() < 0.5 or (name.is_number and bool((values[known] != np.round(values[known])).any())):
        return None
    codes = np.full(len(values), -1, dtype=np.int64)
    _, codes[known], counts = np.unique(values[known], return_inverse=True, return_counts=True)
    of_row = np.sort(counts[codes[known]])
    large = counts.max() > LARGEST * len(values)
    many = max(LEAST_GROUPS, share * len(values))
    if len(counts) < many or np.median(of_row) < TWICE or large or len(counts) > 0.6 * len(values):
        return None
    return codes


def _numbers(column: Values) -> np.ndarray:
    return column.values if column.is_number else np.where(column.values >= 0, column.values, np.nan).astype(float)


def _ranks(values: np.ndarray) -> np.ndarray:
    """(N,) ranks with mean 0 and variance 1, missing ones in the middle; all 0 where nothing varies."""
    known = np.isfinite(values)
    found = np.zeros(len(values))
    if known.any():
        found[known] = rankdata(values[known])
        found[known] -= found[known].mean()
    spread = float(found.std())
    return found / spread if spread > 0 else found


def _beyond_neighbours(groups: np.ndarray, values: np.ndarray, *, seed: int) -> tuple[float, float]:
    """How much more alike two rows of one group are than two of neighbouring groups, and its standard error.

    values: (N,) with variance 1. Half of the mean squared difference of two rows is 1 by chance.
    """
    rng = stream(seed, "groups")
    rows = np.flatnonzero(groups >= 0)
    mixed = rows[rng.permutation(len(rows))]
    order = mixed[np.argsort(groups[mixed], kind="stable")]
    own = groups[order]
    starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(own)]]))
    first = order[starts]
    pairs = sizes >= 2
    within = (values[order[starts[pairs]]] - values[order[starts[pairs] + 1]]) ** 2 / 2
    last = order[starts + sizes - 1]
    between = (values[last[:-1]] - values[first[1:]]) ** 2 / 2
    if len(within) < LEAST_GROUPS or len(between) < LEAST_GROUPS:
        return 0.0, math.inf
    error = math.hypot(within.std() / math.sqrt(len(within)), between.std() / math.sqrt(len(between)))
    return float(between.mean() - within.mean()), max(error, 1e-9)
