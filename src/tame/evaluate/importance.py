"""How much each hyperparameter mattered for being among the best: PED-ANOVA, compared with chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from tame.core.importance import LEAST, Importance, Importances
from tame.core.rng import stream
from tame.core.space import Choice, Dimension, Space
from tame.evaluate.outcomes import Outcome

TOP = 0.1  # share of the trials that count as the best
LEAST_TOP = 8  # the fewest trials that count as the best
CELLS = 50  # parts of a dimension's range
RESAMPLES = 100
SHUFFLES = 200
SHOWN = 0.99  # share of shuffled studies that must have less for an importance to count as shown


def importances(found: Sequence[Outcome], space: Space, *, seed: int = 0) -> Importances:
    """How much each dimension sets the best trials apart from all, as shares of one.

    found: the trials, the best first. The measure is the Pearson divergence between the density of a dimension's
    values among the best and among all trials. A dimension that is active only in some recipes counts by its effect
    among these, weighted by their share. The seed is for the resampling, so that the same study gives the same result.
    Sources: Watanabe, Bansal and Hutter, PED-ANOVA (2023); Ito et al., Conditional PED-ANOVA (2026).
    """
    num = len(found)
    names = [name for name in space.searched if len({repr(each.values.get(name)) for each in found}) > 1]
    enough = max(50, 10 * len(names))
    top = min(max(math.ceil(TOP * num), LEAST_TOP), num)
    if num < LEAST or not names:
        return Importances(n=num, top=top, enough=enough, is_enough=num >= enough, each=())
    columns = [_Column.of(name, space.dimensions[name], found) for name in names]
    once, rng = np.ones((1, num)), stream(seed, "importance")
    first = _best(once, top)
    drawn = rng.integers(num, size=(RESAMPLES, num))
    again = np.stack([np.bincount(row, minlength=num).astype(float) for row in drawn])
    shuffled = rng.permuted(np.repeat(first, SHUFFLES, axis=0), axis=1)
    own = _measured(columns, once, first)
    limits = np.quantile(_measured(columns, once, shuffled), SHOWN, axis=0)
    low, high = np.quantile(_shares(_measured(columns, again, _best(again, top))), (0.05, 0.95), axis=0)
    shares = _shares(own)[0]
    each = [
        Importance(
            c.name, float(shares[i]), float(min(low[i], shares[i])), float(max(high[i], shares[i])),
            int((c.cells >= 0).sum()), bool(own[0, i] > limits[i]),
        )
        for i, c in enumerate(columns)
    ]  # fmt: skip
    ranked = tuple(sorted(each, key=lambda one: (-one.value, one.name)))
    return Importances(n=num, top=top, enough=enough, is_enough=num >= enough, each=ranked)


@dataclass(frozen=True, slots=True)
class _Column:
    """A dimension's values as cells of its range. cells: (N,), -1 where it is not active."""

    name: str
    cells: np.ndarray
    size: int
    is_choice: bool

    @classmethod
    def of(cls, name: str, dim: Dimension, found: Sequence[Outcome]) -> _Column:
        values = [each.values.get(name) for each in found]
        if isinstance(dim, Choice):
            # A recipe of the portfolio may have a value outside the space.
            known = list(dict.fromkeys([*map(repr, dim.values), *(repr(v) for v in values if v is not None)]))
            cells = [-1 if value is None else known.index(repr(value)) for value in values]
            return cls(name, np.array(cells), len(known), True)
        size = int(min(CELLS, dim.count))
        places = [-1 if value is None else round(dim.where(value) * (size - 1)) for value in values]
        return cls(name, np.array(places), size, False)


def _best(weights: np.ndarray, top: int) -> np.ndarray:
    """The weights (K, N) of the best trials, `top` in total; the trials are in the order of their ranks."""
    before = np.cumsum(weights, axis=1) - weights
    return np.asarray(np.clip(top - before, 0, weights))


def _measured(columns: Sequence[_Column], everyone: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(K, D) divergences between the best trials (K, N) and all of them (K or 1, N), given as weights of the trials."""
    return np.stack([_divergence(column, everyone, best) for column in columns], axis=1)


def _divergence(column: _Column, everyone: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(K,) over the trials in which the dimension is active: alpha^2 / beta of the Pearson divergence."""
    plays = column.cells >= 0
    alpha, beta = (weights[:, plays].sum(axis=1) / weights.sum(axis=1) for weights in (best, everyone))
    cells = np.eye(column.size)[column.cells[plays]]
    density = _frequencies if column.is_choice else _density
    own, other = (density(weights[:, plays] @ cells) + 1e-12 for weights in (best, everyone))
    apart = (other * (own / other - 1) ** 2).sum(axis=1)
    return np.asarray(np.where((alpha > 0) & (beta > 0), alpha**2 / np.where(beta > 0, beta, 1) * apart, 0.0))


def _frequencies(counts: np.ndarray) -> np.ndarray:
    """The shares (K, C) of categories, each example smoothed slightly over all, plus one spread evenly."""
    size, total = counts.shape[1], counts.sum(axis=1, keepdims=True)
    kernels = (counts > 0).sum(axis=1, keepdims=True) + 1
    return np.asarray(((counts + total / kernels) / (1 + size / kernels) + 1 / size) / (total + 1))


def _density(counts: np.ndarray) -> np.ndarray:
    """A Parzen estimate (K, G) on a grid: truncated normal kernels with a width by Scott's rule, plus a flat one.

    Source: Scott, Multivariate density estimation (1992).
    """
    size, total = counts.shape[1], counts.sum(axis=1)
    whole = np.maximum(total, 1)
    cells, edges = np.arange(size), np.arange(size + 1) - 0.5
    mean = counts @ cells / whole
    spread = np.sqrt((counts * (cells - mean[:, None]) ** 2).sum(axis=1) / np.maximum(total - 1, 1))
    sums = np.cumsum(counts, axis=1)
    low = ((sums >= (total // 4)[:, None]) & (sums > 0)).argmax(axis=1)
    last = size - 1 - (counts[:, ::-1] > 0).argmax(axis=1)
    above = sums > (total * 3 // 4)[:, None]
    high = np.where(above.any(axis=1), above.argmax(axis=1), last)
    width = np.maximum(1.059 * np.minimum((high - low) / 1.34, spread) * whole**-0.2, 0.5 / 1.64)
    kernels = _kernels(edges, cells[None, :, None], width[:, None, None])
    flat = _kernels(edges, (size - 1) / 2, float(size))
    return np.asarray((np.einsum("kg,kgh->kh", counts, kernels) + flat) / (total + 1)[:, None])


def _kernels(edges: np.ndarray, centre: np.ndarray | float, width: np.ndarray | float) -> np.ndarray:
    """Shares of a normal distribution, truncated to the first and last edge, between the edges."""
    below = ndtr((edges - centre) / width)
    return np.asarray(np.diff(below, axis=-1) / (below[..., -1:] - below[..., :1]))


def _shares(found: np.ndarray) -> np.ndarray:
    """The rows of (K, D) scaled to sum to one; equal shares if all are zero."""
    sums = found.sum(axis=1, keepdims=True)
    return np.where(sums > 0, found / np.where(sums > 0, sums, 1), 1 / found.shape[1])
