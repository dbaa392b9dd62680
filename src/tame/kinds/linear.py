"""The question after a linear model of the same inputs, which each kind of data answers in the process that trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.errors import WorkerError
from tame.core.plain import from_plain, to_plain
from tame.data.linear import linear_outputs
from tame.kinds.kind import Data, Port
from tame.trial.commands import Outputs, Plain

QUESTION = "linear"
MOST_COLUMNS = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """What a simple model is trained on and judged by. rows: to train on, with their targets (class numbers, or
    numbers) and what they count as; judged: rows that are predicted."""

    rows: Sequence[int]
    targets: Sequence[int | float]
    weights: Sequence[float] | None
    judged: Sequence[int]
    num_classes: int
    seed: int

    @property
    def truth(self) -> np.ndarray:
        """(n,) class numbers int64, or numbers float64."""
        return np.array(self.targets, dtype=np.int64 if self.num_classes else np.float64)

    @property
    def counts(self) -> np.ndarray | None:
        """(n,) what each row counts as; None where all count alike."""
        return None if self.weights is None else np.array(self.weights)


def fitting(data: Data, judged: Sequence[int], *, seed: int) -> Fitting:
    """Of all that is not sealed, to judge these rows."""
    weights = data.weights_of(data.rows)
    return Fitting(
        rows=data.rows, targets=data.learnt().tolist(), weights=None if weights is None else weights.tolist(),
        judged=judged, num_classes=len(data.classes), seed=seed,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearAsked:
    """size, crop: of pictures, as the winner sees them."""

    fitting: Fitting
    size: int = 0
    crop: float = 1.0


@dataclass(frozen=True, slots=True)
class LinearAnswer:
    """outputs: (m, C) canonical ones; None where there are too many inputs for it."""

    outputs: Outputs | None


def ask_linear(port: Port, data: Data, rows: Sequence[int], *, size: int, crop: float, seed: int) -> np.ndarray | None:
    """Canonical outputs (m, C) for these rows of a linear model of all that is not sealed.

    None where examples have shares of classes, or too many inputs.
    """
    if data.shares is not None:
        return None
    asked = LinearAsked(fitting=fitting(data, rows, seed=seed), size=size, crop=crop)
    answer = from_plain(LinearAnswer, port.ask(QUESTION, to_plain(asked)), what="a linear model", error=WorkerError)
    return None if answer.outputs is None else np.array(answer.outputs)


def read_asked(given: Plain) -> LinearAsked:
    """What was asked, in the process that trains."""
    return from_plain(LinearAsked, given, what="'linear'", error=WorkerError)


def answer_linear(asked: LinearAsked, x: np.ndarray, judged: np.ndarray) -> LinearAnswer:
    """The answer, from the inputs (n, D) of the rows to train on and those (m, D) of the judged ones."""
    if x.shape[1] > MOST_COLUMNS or not x.shape[1]:
        return LinearAnswer(None)
    own = asked.fitting
    outputs = linear_outputs(
        x.astype(np.float64), own.truth, judged.astype(np.float64), num_classes=own.num_classes, seed=own.seed,
        weights=own.counts,
    )  # fmt: skip
    return LinearAnswer(outputs.tolist())
