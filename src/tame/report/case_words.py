"""What the doctor tried and what came of it, in words: the same in the terminal and in the report."""

from __future__ import annotations

from tame.core.recipe import Value
from tame.core.result_parts import CaseRow, RemedyRow
from tame.report.fields import name_of
from tame.report.formats import compact, count, listed

AGAINST = {  # a finding, after "against"; others by their names
    "overconfident": "overconfidence", "memorised": "memorised examples", "rate_too_high": "too high a rate",
    "rate_too_low": "too low a rate", "diverged": "divergence", "still_improving": "too little progress",
    "over_regularised": "too much regularization",
}  # fmt: skip


def against(case: CaseRow) -> str:
    """The finding and its trial, after a remedy."""
    return f"against {AGAINST.get(case.code, case.code.replace('_', ' '))} of trial {case.patient}"


def change_words(field: str, before: Value, after: Value) -> str:
    """A changed field: dropout 0 → 0.3."""
    return f"{name_of(field)} {compact(before)} → {compact(after)}"


def tries(case: CaseRow) -> str:
    """What is tried against a finding."""
    return f"{against(case)}: trying {listed(remedies(case))}"


def remedies(case: CaseRow) -> list[str]:
    """The changes that are tried."""
    return [change_words(each.field, each.before, each.after) for each in case.remedies]


def came_of_it(case: CaseRow) -> list[str]:
    """For each remedy a line that says what came of it."""
    against = f"against {case.code.replace('_', ' ')} of trial {case.patient}"
    return [f"{change_words(each.field, each.before, each.after)} {against}: {outcome(each)}" for each in case.remedies]


def outcome(remedy: RemedyRow) -> str:
    """What came of a remedy: validation loss -0.41 (-0.52 to -0.30), 3 seeds: kept."""
    own = remedy.difference
    if own is None:
        return f"{_UNCOMPARED.get(remedy.verdict, remedy.verdict)}: not kept"
    how = "at no cost" if remedy.is_free else count(len(remedy.trials), "seed")
    said = f"validation loss {change(own.value)} ({change(own.low)} to {change(own.high)}), {how}"
    if remedy.kept:
        return f"{said}: {'kept' if remedy.verdict == 'helped' else 'too little to tell, kept as a candidate'}"
    return f"{said}: {'worse' if remedy.verdict == 'hurt' else 'no real difference'}, not kept"


_UNCOMPARED = {"diverged": "it diverged", "not finished": "the time ended before it was trained"}


def change(value: float) -> str:
    """A change of a loss, with its sign."""
    text = f"{value:+.2f}" if abs(value) >= 0.095 else f"{value:+.2g}"
    return text.replace("-", "−")
