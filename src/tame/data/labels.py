"""The order of classes: class k is logit k, so that it must be the same wherever the labels come from."""

from __future__ import annotations

import re

import numpy as np

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def numbers_in_order(codes: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (N,) int64 and the names of classes, in the order of numbers where all names are numbers.

    Numbers below 0 are no class, and stay. Other names stay in their order.
    """
    if not all(_NUMBER.fullmatch(name) for name in classes):
        return codes, classes
    order = sorted(range(len(classes)), key=lambda k: (float(classes[k]), classes[k]))
    place = np.empty(len(classes), dtype=np.int64)
    place[order] = np.arange(len(classes))
    return np.where(codes >= 0, place[codes], codes), tuple(classes[k] for k in order)
