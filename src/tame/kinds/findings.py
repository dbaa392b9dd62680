"""What sources have in common: the metric of a task, and findings about data in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tame.core.config import (
    CLASSIFICATION_METRICS,
    LANGUAGE,
    LANGUAGE_METRICS,
    REGRESSION_METRICS,
    StudyConfig,
    default_metric,
)
from tame.core.errors import UsageError, require, unknown
from tame.core.records import Confidence, Finding, Severity
from tame.monitor.remedies import CHANGES

UNEQUAL = 3  # times as many examples of one class as of another, from which on it is told
RARE = 19  # times, as 95 to 5 is: from there on accuracy says little of the rare class
BALANCED = "balanced_accuracy"
SMALL_CLASS = 10  # examples; with fewer a class can hardly be learned
MOST_NAMED = 20  # examples that a finding names; the rest is counted


def metric_for(config: StudyConfig, task: str, sizes: Sequence[int] = ()) -> str:
    """The metric of a study. sizes: examples that are not sealed, of each class that is judged.

    Where nothing was asked for, and one class is so much more frequent than another that naming it always has a high
    accuracy, it is the balanced accuracy. Raises UsageError for a metric that does not fit the task.
    """
    if config.metric == "auto":
        return BALANCED if sizes and max(sizes) >= RARE * max(min(sizes), 1) else default_metric(task)
    others = {"regression": REGRESSION_METRICS, LANGUAGE: LANGUAGE_METRICS}
    fitting = others.get(task, CLASSIFICATION_METRICS)
    if config.metric not in fitting:
        raise UsageError(f"{config.metric} does not fit a {task} target: {unknown('metric', config.metric, fitting)}")
    return config.metric


def finding(
    code: str, title: str, severity: Severity, evidence: Mapping[str, object], *, change: str = "",
    confidence: Confidence | None = None,
) -> Finding:  # fmt: skip
    """Something that the doctor has to say about the data.

    change: what it suggests, of a code of another package's own. confidence: None where it was counted. Raises
    UsageError for an unknown code without a change.
    """
    require(bool(change) or code in CHANGES, f"{unknown('finding', code, CHANGES)}; say what to change")
    return Finding(code, title, severity, evidence, change=change or CHANGES[code], confidence=confidence)


def count(number: int, thing: str) -> str:
    """A number with its thing, which is more than one where the number is."""
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"


def of_classes(
    sizes: Mapping[str, int], things: str, *, metric: str, asked: bool, unjudged: Collection[str] = ()
) -> list[Finding]:
    """What there is to say of classes by how many examples each has that are not sealed.

    things: what examples are called; metric: of the study; asked: whether the user named it; unjudged: classes that
    are trained on and have no example to judge by.
    """
    found = []
    judged = [size for name, size in sizes.items() if name not in unjudged]
    common, rare = max(judged, default=0), min(judged, default=0)
    if common > UNEQUAL * rare:
        title = f"the most common class has {common / max(rare, 1):.1f} times as many {things} as the rarest"
        change = ""
        if metric == BALANCED and not asked:
            title += "; recipes are chosen by balanced accuracy"
            change = (
                "balanced accuracy chooses, since always naming the common class has a high accuracy; collect more "
                "examples of the rare classes, or name another metric with --metric"
            )
            if len(sizes) == 2:
                change += ", such as average_precision, which judges how well the rare class is ranked"
        most = dict(sorted(sizes.items(), key=lambda item: -item[1])[:MOST_NAMED])
        found.append(finding("imbalance", title, "warning", most, change=change))
    few = {name: size for name, size in sorted(sizes.items(), key=lambda item: item[1]) if size < SMALL_CLASS}
    if few:
        first = next(iter(few))
        what = f"class {first!r:.60} has" if len(few) == 1 else f"{len(few)} classes have"
        title = f"{what} fewer than {SMALL_CLASS} {things} to train on"
        alone = [name for name in few if name in unjudged]
        if alone:
            which = "1 of them is" if len(alone) == 1 else f"{len(alone)} of them are"
            which = "it is" if len(few) == 1 else "they are" if len(few) == len(alone) else which
            title += f"; {which} trained on and not judged"
        named = [{name: size} for name, size in few.items()][:MOST_NAMED]
        found.append(finding("small_classes", title, "warning", {"count": len(few), "classes": named}))
    return found
