"""The report's section on what is delivered: which networks judge, how sure they are, and what they do not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tame.core.evaluation import ClassAnswers, Refusal, Tempering
from tame.core.exported import Exported, Quantized
from tame.core.result import Result
from tame.core.result_parts import EnsembleRow, UnlikeRow
from tame.report import formats, words

ALIKE = 1.25  # times as long, that a short measurement does not tell from as long


@dataclass(frozen=True, slots=True)
class SureRow:
    """What "I do not know" below a probability leaves of the test part."""

    threshold: str
    answered: str
    wrong: str
    interval: str


@dataclass(frozen=True, slots=True)
class DeliveredSection:
    """said: sentences; sure: a row for each threshold; of_all: the share of wrong answers if all are given."""

    said: list[str]
    sure: list[SureRow]
    of_all: str


def of_delivered(result: Result, exports: Sequence[Exported] = ()) -> DeliveredSection:
    """What the templates print about the delivered model. exports: the files that were written of it."""
    answers = result.answers
    rows = answers.refusals if isinstance(answers, ClassAnswers) else ()
    said = [*sentences(result), *(formats.sentence(of_export(each)) for each in exports)]
    return DeliveredSection(said, list(map(_row, rows)), _percent(rows[0].risk_of_all) if rows else "")


def sentences(result: Result, *, brief: bool = False) -> list[str]:
    """What is delivered, in sentences; the same in the report and in the model card, and some of them in brief."""
    answers, found = result.answers, [ensemble(result, result.ensemble) if result.ensemble else ""]
    if isinstance(answers, ClassAnswers) and answers.temperature is not None:
        found.append(temperature(result, answers.temperature))
    if result.unlike is not None and not brief:
        found.append(unlike(result, result.unlike))
    return [formats.sentence(each) for each in found if each]


def of_export(about: Exported) -> str:
    """What a file for other programs was compared on, and how far it was from TAME."""
    if (less := about.int8) is not None:
        size = f"{_size(about.size_bytes)}, {_percent(less.saved)} less than in 32 bits"
        speed = "about as long" if 1 / ALIKE < less.times < ALIKE else f"{less.times:.1f} times as long"
        said = of_int8(less, about.parity[0].what)
        return f"written as {about.file} ({size}), with weights in 8 bits: {said}; it takes {speed} ({about.runtime})"
    same = "numbers" if about.task == "regression" else "labels"
    parts = ", ".join(f"{each.n:,} {each.what}" for each in about.parity)
    largest = max((each.largest for each in about.parity), default=0.0)
    return (
        f"written as {about.file} ({_size(about.size_bytes)}), which gives the same {same} as tame predict on {parts}; "
        f"largest difference {largest:.1e} ({about.runtime})"
    )


def of_int8(about: Quantized, what: str) -> str:
    """What weights in 8 bits change. what: the examples that it was judged on."""
    change = f"{about.value:+.3f} ({about.low:+.3f} to {about.high:+.3f}, 95 % interval, paired)"
    have = "has" if about.changed == 1 else "have"
    return (
        f"{about.changed:,} of {about.n:,} {what} {have} another label, and the accuracy on them is {about.after:.3f} "
        f"instead of {about.before:.3f}, {change}"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{max(size_bytes // 1000, 1)} kB"


def ensemble(result: Result, about: EnsembleRow) -> str:
    """Whether several networks judge together, and by how much they are better than one."""
    loss = formats.metric_name(result.metric) if result.is_language_model else "log loss"
    loss = "RMSE" if result.is_regression else loss
    value, low, high = (formats.shown_signed("log_loss", each) for each in _of(about))
    change = f"{value} ({low} to {high}) beside one network of the winner"
    many = formats.count(len(about.members), "network")
    how = ""
    if about.optimism:
        off = formats.shown("log_loss", about.optimism)
        how = f", picked one by one; on the examples that they were picked on it is lower by {off} more"
    if about.kept:
        return f"the model is the mean of {many} of the finalists: validation {loss} {change}{how}"
    return f"the mean of {many} of the finalists was tried and not delivered: {about.why} (validation {loss} {change})"


def temperature(result: Result, about: Tempering) -> str:
    """Whether the probabilities were corrected, and what that is worth."""
    own = about.difference
    value, low, high = (formats.shown_signed("log_loss", each) for each in (own.value, own.low, own.high))
    change = f"{value} ({low} to {high}) on {words.examples(result, own.n, 'validation')} that it was not fitted on"
    if not about.is_kept:
        best = formats.significant(about.fitted)
        return f"the probabilities were not corrected: a temperature of {best} changes the log loss by {change}"
    way = "less sure" if about.value > 1 else "surer"
    return (
        f"the probabilities were made {way} by a temperature of {formats.significant(about.value)}, which changes the "
        f"log loss by {change}; the score has it"
    )


def unlike(result: Result, about: UnlikeRow) -> str:
    """How often the model takes what is like its training data to be unlike it."""
    ends, many = f"{_percent(about.low)} to {_percent(about.high)}", words.noun(result.kind)
    verb = "is" if about.flagged == 1 else "are"
    return (
        f"when the model predicts, it flags inputs that are unlike its training data: of "
        f"{words.examples(result, about.n, 'test')}, which are like it, {about.flagged:,} {verb} flagged, "
        f"{_percent(about.share)} ({ends}; 1 % is meant). What is flagged may be right, and what is not "
        f"may be wrong. For this the model keeps means and spreads of its training {many}, and none of the {many}"
    )


def _of(about: EnsembleRow) -> tuple[float, float, float]:
    return about.difference.value, about.difference.low, about.difference.high


def _row(about: Refusal) -> SureRow:
    return SureRow(
        formats.number(about.threshold, 2), f"{about.answered:,} ({_percent(about.coverage)})", _percent(about.risk),
        f"{_percent(about.risk_low)} to {_percent(about.risk_high)}",
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
