"""The examples that a lesson works on: those of a study, as the networks of its trials see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from tame.core.recipe import Recipe

if TYPE_CHECKING:  # what pictures need loads timm, which takes seconds
    from tame.kinds.pictures.tasks import TunedTask


@dataclass(frozen=True, slots=True)
class Whose:
    """What the examples of a lesson are called. name: of their study, which may be renamed; nouns: of many of them."""

    name: str
    nouns: str


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """Pictures and the backbone that they pass, cut before its last stage. rows, rows_valid: of the first examples that
    are trained on, and of the first of the others."""

    task: TunedTask
    recipe: Recipe
    rows: Tensor
    rows_valid: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """Pictures with their classes. pictures: (H, W, 3) bytes each; y: (n,) class numbers; is_drawn: for this lesson."""

    name: str
    classes: tuple[str, ...]
    pictures: Sequence[np.ndarray]
    y: np.ndarray
    is_drawn: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """Examples that networks are trained and judged on in a lesson; none of the sealed part.

    x, x_valid: (N, D) and (V, D), float64; y, y_valid: (N,) class numbers, or numbers with mean 0 and standard
    deviation 1 on the training examples. names: of the inputs, () where they have none. of: how many examples the
    study trains on and is validated on, of which these are some. tuning: of pictures that pass a backbone;
    album: of pictures in classes, none of the sealed part.
    """

    name: str
    nouns: str
    classes: tuple[str, ...]
    x: Tensor
    y: Tensor
    x_valid: Tensor
    y_valid: Tensor
    names: tuple[str, ...] = ()
    of: tuple[int, int]
    tuning: Callable[[], Tuning] | None = None
    album: Callable[[], Album] | None = None

    @property
    def num_outputs(self) -> int:
        """Outputs of a network for these examples."""
        return len(self.classes) or 1
