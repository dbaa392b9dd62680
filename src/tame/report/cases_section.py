"""The report's section on what the doctor tried: seen, tried, what came of it, with both curves side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from tame.core.records import History, Trial
from tame.core.result import Result
from tame.core.result_parts import CaseRow, RemedyRow
from tame.report import formats, words
from tame.report.case_words import change_words, outcome
from tame.report.charts import Kind, Line, curves
from tame.report.fields import in_plain_words
from tame.report.svg import HALF, both

MOST_DRAWN = 6  # cases with curves


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePart:
    """A case: what was seen, what was tried and what came of it, and the curves of the patient and of a remedy.

    remedies: the change, and what came of it; cost: how much was trained for it. patient, remedy: None without curves.
    """

    seen: str
    trial: int
    remedies: list[tuple[str, str, bool]]
    cost: str
    patient: Markup | None
    remedy: Markup | None


def of_cases(result: Result, history: History) -> list[CasePart]:
    """The cases in the order in which they were treated."""
    return [_part(case, place, result, history) for place, case in enumerate(result.cases)]


def _part(case: CaseRow, place: int, result: Result, history: History) -> CasePart:
    shown = next((each for each in case.remedies if each.kept), case.remedies[0] if case.remedies else None)
    before = history.trials.get(case.patient)
    after = None if shown is None else history.trials.get(shown.trials[0])
    charts: tuple[Markup, Markup] | None = None
    if place < MOST_DRAWN and shown is not None and before is not None and after is not None and after.curve.points:
        charts = _charts(before, after, shown, place, words.loss_unit(result))
    return CasePart(
        seen=in_plain_words(case.seen), trial=case.patient,
        remedies=[(change_words(e.field, e.before, e.after), outcome(e), e.kept) for e in case.remedies],
        cost=_cost(case), patient=charts[0] if charts else None, remedy=charts[1] if charts else None,
    )  # fmt: skip


def _cost(case: CaseRow) -> str:
    """How much was trained for a case, and beside what."""
    if not case.epochs:
        return "nothing was trained for it"
    said = f"{formats.count(case.epochs, 'epoch')} were trained for it"
    if not case.beside:
        return f"{said}, with the seed of trial {case.patient}"
    return f"{said}, beside the same recipe with {formats.count(len(case.beside), 'seed')}"


def _charts(before: Trial, after: Trial, shown: RemedyRow, place: int, unit: str) -> tuple[Markup, Markup]:
    """The losses of the patient and of a remedy, over the same axes."""
    # The patient's curve lies behind that of the remedy, so that both have the same axes.
    sides = [_lines(before, "default"), [Line(_valid(before), "faint"), *_lines(after, "winner")]]
    values = [value for lines in sides for line in lines for _, value in line.points if value is not None]
    first = [line.points[0][1] for lines in sides for line in lines if line.points]
    # What rises far above its start is cut off, so that the rest can be read.
    high = 1.05 * min(max(values), 3 * max((value for value in first if value is not None), default=max(values)))
    heads = (
        f"trial {before.number}, as it was",
        f"trial {after.number}, {change_words(shown.field, shown.before, shown.after)}",
    )
    patient, remedy = (
        both(f"case-{place}-{name}", partial(
            curves, lines, title=f"Losses of {head}", desc=_ends(trial), low=0.0, high=max(high, 1e-3),
            y_label=f"{head}: loss{unit}", width=HALF, height=240, label_width=84,
        ))
        for name, lines, head, trial in zip(("patient", "remedy"), sides, heads, (before, after), strict=True)
    )  # fmt: skip
    return patient, remedy


def _lines(trial: Trial, kind: Kind) -> list[Line]:
    """Both losses up to the epoch whose weights are kept."""
    kept = trial.curve.upto(trial.best_epoch).points
    label = "validation" if trial.kept_epoch is None else "kept here"
    return [
        Line(_valid(trial, trial.best_epoch), kind, label),
        Line(tuple((p.epoch, p.train_loss) for p in kept), "train", "training"),
    ]


def _valid(trial: Trial, until: int | None = None) -> tuple[tuple[float, float | None], ...]:
    points = trial.curve.points if until is None else trial.curve.upto(until).points
    return tuple((point.epoch, point.valid_loss) for point in points)


def _ends(trial: Trial) -> str:
    """What a curve says, for those who cannot see it."""
    known = [(p.valid_loss, p.epoch) for p in trial.curve.points if p.valid_loss is not None]
    if not known:
        return "It has no validation loss."
    (low, epoch), (last, _) = min(known), known[-1]
    kept = f"; the weights of epoch {trial.kept_epoch} were kept" if trial.kept_epoch is not None else ""
    return (
        f"The validation loss is lowest in epoch {epoch} ({formats.number(low)}) and {formats.number(last)} at the end"
        f"{kept}."
    )
