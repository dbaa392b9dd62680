"""What a study knows of its data once it is read and split: the same for pictures, tables and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tame.core.config import CLASSIFICATION_METRICS, REGRESSION_METRICS, StudyConfig, default_metric
from tame.core.errors import UsageError, require, unknown
from tame.core.records import Finding
from tame.data.costs import parse_costs
from tame.data.split import Sealed, Split
from tame.monitor.remedies import CHANGES
from tame.study.session import Study
from tame.trial.commands import Unsealed


@dataclass(frozen=True, slots=True)
class Data:
    """The examples of a study in their order, and how they are split. Targets of the test part are in `sealed` only.

    kind: images, table or arrays; task: binary, multiclass or regression. targets: (N,) class numbers, -1 in the test
    part; or numbers, NaN there. shares: (N, C) of classes, NaN there, where examples come with probabilities; `targets`
    are then the likeliest. side: median shorter side of pictures, in pixels.
    """

    kind: str
    task: str
    metric: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    targets: np.ndarray
    split: Split
    sealed: Sealed
    side: int = 0
    backbone: dict[str, Any] | None = None
    columns: int = 0  # of a table, that are learnt from
    refits: bool = False  # whether what is delivered also learns from the part that chose
    shares: np.ndarray | None = None

    @property
    def rows(self) -> list[int]:
        """The examples that are learnt and chosen from."""
        return self.split.rows("train", "val")

    @property
    def whole(self) -> bool:
        """Whether what is delivered learns from all that is not sealed: after folds, or after a part that TAME cut."""
        return self.split.folds > 1 or self.refits

    @property
    def num_valid(self) -> int:
        """Examples that recipes are judged on while searching."""
        return sum(fold >= 0 for fold in self.split.fold)

    def truth(self, rows: Sequence[int]) -> np.ndarray:
        """What is known of these examples: targets (n,), or shares of classes (n, C)."""
        return np.asarray((self.targets if self.shares is None else self.shares)[list(rows)])

    def learnt(self) -> np.ndarray:
        """What is known of the examples that are not sealed: targets (n,), or shares of classes (n, C)."""
        return self.truth(self.rows)


def learn(study: Study, data: Data) -> None:
    """Hands the worker what is not sealed."""
    text = str(study.config.set.get("loss.costs", ""))
    require(not text or bool(data.classes), "loss.costs is about confusing classes, and the target is a number")
    study.worker.learn(
        Unsealed(
            rows=data.rows,
            targets=data.learnt().tolist(),
            folds=[data.split.fold[row] for row in data.rows],
            num_classes=len(data.classes),
            task=data.task,
            costs=parse_costs(text, data.classes) if text else None,
        )
    )


def metric_for(config: StudyConfig, task: str) -> str:
    """The metric of a study. Raises UsageError for one that does not fit the task."""
    if config.metric == "auto":
        return default_metric(task)
    fitting = REGRESSION_METRICS if task == "regression" else CLASSIFICATION_METRICS
    if config.metric not in fitting:
        raise UsageError(f"{config.metric} does not fit a {task} target: {unknown('metric', config.metric, fitting)}")
    return config.metric


def finding(code: str, title: str, severity: Any, evidence: dict[str, Any]) -> Finding:
    """Something that the doctor has to say about the data."""
    return Finding(code, title, severity, evidence, change=CHANGES[code])


def count(number: int, thing: str) -> str:
    """A number with its thing, which is more than one where the number is."""
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"
