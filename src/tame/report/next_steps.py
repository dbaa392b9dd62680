"""What to do next: at most three commands with their reasons, from the findings and the result of a study.

The terminal, the report and the JSON documents all show these. They are worked out when they are shown, so that a study
from a stranger cannot say which programs to run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tame.core.config import DEFAULT_TIME_S
from tame.core.errors import UsageError
from tame.core.options import parse_time
from tame.core.records import Finding
from tame.core.result import Result
from tame.report import formats, words
from tame.report.fields import in_plain_words

MOST = 3
LONGER, TWICE = 4.0, 2.0  # times the clock, where a training was cut short and where more may help
ROUND_S = 10
NAMED = 3  # columns that a command names
OF_THE_DATA = (  # what tame check takes too
    "--target", "--image", "--text", "--label-pattern", "--column", "--groups", "--order", "--task", "--val", "--test",
    "--edits",
)  # fmt: skip
Words = list[tuple[str, ...]]  # of a command line: each option with its value


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and why to run it."""

    command: str
    why: str


def next_steps(result: Result) -> list[Step]:
    """At most three steps, the most useful first; the last one uses the model if it is better than guessing."""
    use = [_use(result)] if words.beats_dummy(result) else []
    found: list[Step] = []
    for step in _repairs(result):
        if step.command not in [each.command for each in found]:
            found.append(step)
    return [*found[: MOST - len(use)], *use]


def document(result: Result) -> dict[str, object]:
    """The result as plain values, with what to do next."""
    steps = [{"command": each.command, "why": each.why} for each in next_steps(result)]
    return {**result.to_json(), "findings": [each.document() for each in result.findings], "next": steps}


def _repairs(result: Result) -> Iterator[Step]:
    """Steps that may lead to a better model, the most useful first."""
    found = {finding.code: finding for finding in reversed(result.findings) if not finding.outcome}
    for code, step in STEPS.items():
        if code in found and (own := step(result, found[code])) is not None:
            yield own
    if (more := _search_longer(result)) is not None:
        yield more


def _use(result: Result) -> Step:
    command = words.predict_command(result, shlex.quote)
    return Step(command, f"use the model on new {words.noun(result.kind)}")


def _without_columns(result: Result, finding: Finding) -> Step | None:
    leaks = finding.evidence.get("columns")
    if not isinstance(leaks, Sequence) or isinstance(leaks, str):
        return None
    names = [str(each["column"]) for each in leaks if isinstance(each, Mapping) and "column" in each][:NAMED]
    command = _fit(result, [("--column", f"{name}=ignore") for name in names])
    named = formats.listed([formats.short(name, 40) for name in names])
    thing = "the column" if len(names) == 1 else "the columns"
    why = f"{thing} {named} may give the target away; what is not known when you predict must not be used"
    return Step(command, why) if command and names else None


def _look(result: Result, finding: Finding) -> Step | None:
    """Reads the data again, which lists what is wrong with it."""
    own = _words(result)
    if own is None:
        return None
    # Only a language model's data cannot be read without it.
    taken = {*OF_THE_DATA, *(["--backbone"] if result.is_language_model else [])}
    kept = [each for each in own if each[0] in taken]
    return Step(_joined("check", result.data, kept), _why(finding, finding.change))


def _to_the_end(result: Result, finding: Finding) -> Step | None:
    command = _with_more_time(result, LONGER)
    return Step(command, _why(finding, "with more time its training can end")) if command else None


def _longer(result: Result, finding: Finding) -> Step | None:
    command = _with_more_time(result, TWICE)
    return Step(command, _why(finding, "more epochs may lower it further")) if command else None


def _balanced(result: Result, finding: Finding) -> Step | None:
    command = _fit(result, [("--metric", "balanced_accuracy")]) if result.metric == "accuracy" else ""
    return Step(command, _why(finding, "this metric counts every class alike")) if command else None


Make = Callable[[Result, Finding], Step | None]
STEPS: Mapping[str, Make] = {  # by the code of a finding that the study has not dealt with, the most useful first
    "target_leak": _without_columns,
    "no_better_than_dummy": _look,
    "cut_short": _to_the_end,
    "label_conflict": _look,
    "skipped_files": _look,
    "skipped_rows": _look,
    "still_improving": _longer,
    "imbalance": _balanced,
    "near_duplicates": _look,
    "duplicate_rows": _look,
}


def _why(finding: Finding, more: str) -> str:
    return f"{in_plain_words(formats.short(finding.title, 110))}; {more}"


def _search_longer(result: Result) -> Step | None:
    """Searching twice as long, where that is expected to gain more than another seed would change."""
    best = result.mattered.best_of if result.mattered else None
    if result.mattered is None or best is None or best.gain is None or best.noise is None or best.gain <= best.noise:
        return None
    objective = result.mattered.objective
    command, way = _with_more_time(result, TWICE), "lower" if objective.sign > 0 else "raise"
    why = (
        f"twice as many recipes are expected to {way} the best {objective.name} by about "
        f"{formats.significant(best.gain, 2)}; another seed changes it by {formats.significant(best.noise, 2)}"
    )
    return Step(command, why) if command else None


def _words(result: Result) -> Words | None:
    """The options of the command of the study, each with its value; None if it is a call from Python or no command."""
    try:
        own = shlex.split(result.command)
    except ValueError:
        return None
    if own[:2] != ["tame", "fit"]:
        return None
    found: Words = []
    for word in own[3:]:
        if word.startswith("--"):
            found.append((word,))
        elif found:
            found[-1] = (*found[-1], word)
    return found


def _fit(result: Result, changes: Words) -> str:
    """The command of the study with these options, which replace those of the same name, columns aside; "" where there
    is no command."""
    own = _words(result)
    if own is None:
        return ""
    replaced = {flag for flag, *_ in changes} - {"--column"}
    return _joined("fit", result.data, [*(each for each in own if each[0] not in replaced), *changes])


def _joined(verb: str, data: str, options: Words) -> str:
    every = ("tame", verb, data, *(word for each in options for word in each))
    return " ".join(shlex.quote(formats.inert(word)) for word in every)


def _with_more_time(result: Result, times: float) -> str:
    """The study again with so many times its clock, from its best recipes on; "" if it has no clock."""
    own = _words(result)
    if own is None:
        return _call_with_more_time(result.command, times)
    given = dict(each for each in own if len(each) == 2)
    if "--time" not in given and ("--trials" in given or "--epochs" in given):
        return ""
    time = _more(given.get("--time"), times)
    return _fit(result, [("--time", time), ("--start-from", result.study)]) if time else ""


def _call_with_more_time(command: str, times: float) -> str:
    """The same for a study of arrays: a call from Python."""
    call = re.fullmatch(r"(tame\.fit\(\(X, y\).*?)(?:, time='([0-9.]+s)'(.*))?\)", formats.inert(command))
    if call is None or (call[2] is None and re.search(r", (trials|epochs)=", call[1])):
        return ""
    time = _more(call[2], times)
    return f"{call[1]}, time={time!r}{call[3] or ''})" if time else ""


def _more(time: str | None, times: float) -> str:
    """So many times this time, or the default one, as a person writes it: 90s, 10m. "" if it cannot be read."""
    try:
        seconds = DEFAULT_TIME_S if time is None else parse_time(time)
    except UsageError:
        return ""
    whole = ROUND_S * max(1, round(times * seconds / ROUND_S))
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"
