"""The single examples of a study as people see them: pictures, rows and labels, for the page on the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from tame.core.config import StudyConfig
from tame.kinds.kind import Kind, Known, referred


def nothing(row: int) -> Mapping[str, str]:
    """An example without cells."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that can be counted. values: (N,) numbers, NaN where missing, or codes of its categories, below 0 where
    missing; categories: () of numbers; is_date: whether the numbers are days since 1970."""

    name: str
    values: np.ndarray
    categories: tuple[str, ...] = ()
    is_date: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """All examples of a study, in the order of its rows, with the labels that the data has, those of the test part too.

    labels: as `edits.csv` has them; "" where that is not known any more; digest_of: as an edit holds it; cells_of: the
    columns of a row as text, in their order; picture_of: a small JPEG of an example, its longer side at most so many
    pixels, None where it is gone, damaged or another one now.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    digest_of: Callable[[int], str]
    cells_of: Callable[[int], Mapping[str, str]] = nothing
    picture_of: Callable[[int, int], bytes | None] | None = None
    columns: Sequence[Column] = field(default_factory=tuple)


class OpenExamples(Protocol):
    """Finds the examples of a study again. folder: of the study. Raises DataError where the data has changed."""

    def __call__(self, config: StudyConfig, known: Known, folder: Path) -> Examples: ...


def examples_of(kind: Kind, config: StudyConfig, known: Known, folder: Path) -> Examples | None:
    """The examples of a study of this kind of data; None where the kind cannot show them."""
    if not kind.examples:
        return None
    found: OpenExamples = referred(kind.examples)
    return found(config, known, folder)
