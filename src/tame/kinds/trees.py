"""The question after gradient boosting of trees, which tables answer in the process that trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.errors import WorkerError
from tame.core.plain import from_plain, to_plain
from tame.data.trees import trees_outputs
from tame.evaluate.score import BY_CLASS
from tame.kinds.kind import Data, Port
from tame.kinds.linear import Fitting, fitting
from tame.trial.commands import Outputs, Plain

TREES = "trees"


@dataclass(frozen=True, kw_only=True, slots=True)
class TreesAsked:
    """by_class, absolute, limit_s: as of `trees_outputs`."""

    fitting: Fitting
    by_class: bool
    absolute: bool
    limit_s: float | None


@dataclass(frozen=True, slots=True)
class TreesAnswer:
    """outputs: (m, C) canonical ones; iterations: that there was time for."""

    outputs: Outputs
    iterations: int


def ask_trees(port: Port, data: Data, rows: Sequence[int], *, seed: int, limit_s: float | None) -> TreesAnswer:
    """Canonical outputs for these rows of gradient boosting of all that is not sealed. limit_s: as of `TreesAsked`."""
    asked = TreesAsked(
        fitting=fitting(data, rows, seed=seed), by_class=data.metric in BY_CLASS, absolute=data.metric == "mae",
        limit_s=limit_s,
    )  # fmt: skip
    return from_plain(TreesAnswer, port.ask(TREES, to_plain(asked)), what="the trees", error=WorkerError)


def read_trees(given: Plain) -> TreesAsked:
    """What was asked, in the process that trains."""
    return from_plain(TreesAsked, given, what="'trees'", error=WorkerError)


def answer_trees(asked: TreesAsked, x: np.ndarray, judged: np.ndarray, is_code: np.ndarray) -> TreesAnswer:
    """The answer, from the inputs (n, D) of the rows to train on and those (m, D) of the judged ones."""
    own = asked.fitting
    outputs, iterations = trees_outputs(
        x, own.truth, judged, is_code=is_code, num_classes=own.num_classes, seed=own.seed, weights=own.counts,
        by_class=asked.by_class, absolute=asked.absolute, limit_s=asked.limit_s,
    )  # fmt: skip
    return TreesAnswer(outputs.tolist(), iterations)
