"""Curves as a chart draws them: all of a small study, of a large one how many pass through each place."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tame.core.records import DEFAULT
from tame.pages.views import best_trial, finite
from tame.study.columns import EPOCH, METRIC, TRAIN, VALID, Columns, Points

FIELDS = {"loss": VALID, "train": TRAIN, "metric": METRIC}
MOST_LINES = 200  # that are drawn one by one
LEADERS = 12  # of a larger study that are still drawn
WIDE, HIGH = 160, 100  # cells of the picture of all
PIECE = 500  # curves that are counted at once: all of 10,000 would take 100 MB
MOST_SHARE = 0.98  # of the values, that fit into it: one lost trial must not press all others flat
Curve = dict[str, object]


def chart(columns: Columns, field: str, *, asked: Sequence[int] = ()) -> dict[str, object]:
    """The curves of a study. field: loss, train or metric; asked: trials that are drawn whatever their rank."""
    column = FIELDS[field]
    numbers = [number for number, row in columns.rows.items() if row.spans]
    best = best_trial(columns)
    default = next((row.number for row in columns.rows.values() if row.origin == DEFAULT and row.spans), None)
    few = len(numbers) <= MOST_LINES
    leaders = numbers if few else _leaders(columns, numbers)
    drawn = dict.fromkeys([*leaders, *(n for n in (best, default, *asked) if n is not None and n in columns.rows)])
    return {
        "field": field, "count": len(numbers), "best": best, "default": default,
        "curves": [_curve(columns, number, column) for number in drawn],
        "density": None if few else density(columns, numbers, column),
    }  # fmt: skip


def _leaders(columns: Columns, numbers: Sequence[int]) -> list[int]:
    return sorted(numbers, key=lambda number: (columns.rows[number].loss, number))[:LEADERS]


def _curve(columns: Columns, number: int, column: int) -> Curve:
    points = columns.points(number)
    values = [finite(value) for value in points[:, column]]
    return {
        "trial": number, "state": columns.rows[number].state, "epochs": [int(each) for each in points[:, EPOCH]],
        "values": [None if value is None else float(f"{value:.5g}") for value in values],
    }  # fmt: skip


def density(columns: Columns, numbers: Sequence[int], column: int) -> dict[str, object] | None:
    """How many curves pass through each cell, as bytes on a log scale; None where nothing is finite.

    Lines are drawn from point to point, so that a curve of a few epochs is no row of dots.
    """
    parts = [columns.points(number) for number in numbers]
    values = np.concatenate([points[:, column] for points in parts])
    good = values[np.isfinite(values)]
    if not len(good):
        return None
    low, high = float(good.min()), float(np.quantile(good, MOST_SHARE))
    high = high if high > low else low + 1.0
    last = max(int(max(points[-1, EPOCH] for points in parts)), 2)
    counts = _counted(parts, column, low=low, high=high, last=last)
    scaled = np.round(255 * np.log1p(counts) / np.log1p(max(counts.max(), 1))).astype(np.uint8)
    cells = base64.b64encode(scaled.tobytes()).decode("ascii")
    return {"wide": WIDE, "high": HIGH, "low": low, "top": high, "last": last, "cells": cells}


def _counted(
    parts: Sequence[Points], column: int, *, low: float, high: float, last: int
) -> NDArray[np.float64]:  # fmt: skip
    """(HIGH, WIDE): the first row is the highest value. Curves of the same epochs are drawn together."""
    counts = np.zeros((HIGH, WIDE))
    at = np.linspace(1, last, WIDE)
    groups: dict[tuple[int, int], list[Points]] = {}
    for points in parts:
        groups.setdefault((len(points), int(points[-1, EPOCH])), []).append(points)
    pieces = [own[i : i + PIECE] for own in groups.values() for i in range(0, len(own), PIECE)]
    for piece in pieces:
        stacked = np.stack(piece)  # (curves, epochs, 4)
        epochs = stacked[0, :, EPOCH]
        inside = np.nonzero((at >= epochs[0] - 0.5) & (at <= epochs[-1] + 0.5))[0]
        right = np.clip(np.searchsorted(epochs, at[inside]), 1, max(len(epochs) - 1, 1))
        if len(epochs) == 1:
            values = np.repeat(stacked[:, :, column], len(inside), axis=1)
        else:
            share = np.clip((at[inside] - epochs[right - 1]) / (epochs[right] - epochs[right - 1]), 0, 1)
            values = stacked[:, right - 1, column] * (1 - share) + stacked[:, right, column] * share
        rows = np.clip(np.floor((high - values) / (high - low) * HIGH), 0, HIGH - 1)
        good = np.isfinite(rows) & (values <= high)
        places = np.broadcast_to(inside, values.shape)
        np.add.at(counts, (rows[good].astype(int), places[good]), 1)
    return counts
