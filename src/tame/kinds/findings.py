"""What sources have in common: the metric of a task, and findings about data in words."""

from __future__ import annotations

from collections.abc import Mapping

from tame.core.config import CLASSIFICATION_METRICS, REGRESSION_METRICS, StudyConfig, default_metric
from tame.core.errors import UsageError, require, unknown
from tame.core.records import Finding, Severity
from tame.monitor.remedies import CHANGES


def metric_for(config: StudyConfig, task: str) -> str:
    """The metric of a study. Raises UsageError for one that does not fit the task."""
    if config.metric == "auto":
        return default_metric(task)
    fitting = REGRESSION_METRICS if task == "regression" else CLASSIFICATION_METRICS
    if config.metric not in fitting:
        raise UsageError(f"{config.metric} does not fit a {task} target: {unknown('metric', config.metric, fitting)}")
    return config.metric


def finding(
    code: str, title: str, severity: Severity, evidence: Mapping[str, object], *, change: str = ""
) -> Finding:  # fmt: skip
    """Something that the doctor has to say about the data.

    change: what it suggests, of a code of another package's own. Raises UsageError for an unknown code without it.
    """
    require(bool(change) or code in CHANGES, f"{unknown('finding', code, CHANGES)}; say what to change")
    return Finding(code, title, severity, evidence, change=change or CHANGES[code])


def count(number: int, thing: str) -> str:
    """A number with its thing, which is more than one where the number is."""
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"
