"""The report's sections on the sealed test: correct and wrong classes, errors of numbers, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from tame.core.evaluation import (
    Calibration,
    ClassAnswers,
    ClassScore,
    ExpectedCost,
    Mistake,
    NumberAnswers,
    NumberError,
    Residuals,
)
from tame.core.result import Result
from tame.report import formats, words
from tame.report.charts import Row, Spot, agreement, intervals
from tame.report.pictures import Strip, source_of, strips
from tame.report.svg import WIDE, both

MATRIX_CLASSES = 30  # a larger matrix is unreadable; its most confused pairs are listed instead
COST_CLASSES = 12
MOST_PAIRS = 25
Counts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix. shade: percent of its row."""

    count: int
    shade: int
    is_right: bool
    words: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    name: str
    cells: list[Cell]
    total: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """The confusion matrix. totals: of its columns."""

    rows: list[MatrixRow]
    totals: list[int]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two classes that are confused: count of the examples of the true class, and how many it has."""

    true: str
    predicted: str
    count: int
    of: int


@dataclass(frozen=True, slots=True)
class MistakeLine:
    """A wrong answer. source: a data URL of its picture, "" if it has none; alt: in words."""

    id: str
    true: str
    predicted: str
    probability: str
    source: str
    alt: str


@dataclass(frozen=True, slots=True)
class CalibrationWords:
    """verdict: whether the probabilities are off; words: what was compared."""

    chart: Markup
    verdict: str
    words: str
    brier: str


@dataclass(frozen=True, slots=True)
class CostRow:
    """What the answers for one true class cost."""

    name: str
    cells: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostWords:
    """The expected cost. rows: the table of costs; empty if it is too large to read."""

    value: str
    span: str
    how: str
    n: int
    rows: list[CostRow]
    aware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSection:
    """What the templates print about a classification. withheld: the matrix did not agree with the accuracy."""

    withheld: bool
    matrix: Matrix | None
    pairs: list[Pair]
    class_chart: Markup
    strips: list[Strip]
    most_typical: int
    mistakes: list[MistakeLine]
    calibration: CalibrationWords | None
    refusal: str
    costs: CostWords | None


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """A prediction with a large error. source, alt: as of a mistake."""

    id: str
    true: str
    predicted: str
    error: str
    source: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberSection:
    """What the templates print about a regression."""

    agreement_chart: Markup
    bias: str
    spread: str
    points_shown: int
    points_all: int
    errors: list[ErrorLine]


def of_classes(result: Result, answers: ClassAnswers, thumbnails: Mapping[str, bytes]) -> ClassSection:
    """The sections on a classification's answers. thumbnails: JPEG files by picture id."""
    counts = answers.confusion
    return ClassSection(
        withheld=counts is None,
        matrix=None if counts is None or len(counts) > MATRIX_CLASSES else _matrix(result.classes, counts),
        pairs=_pairs(result.classes, counts or ()),
        class_chart=_class_chart(answers.per_class, words.noun(result.kind)),
        strips=strips(result, answers, thumbnails),
        most_typical=max(
            (sum(each.is_right for each in own.samples) for own in strips(result, answers, {})), default=0
        ),
        mistakes=[_mistake(each, thumbnails) for each in answers.mistakes],
        calibration=_calibration(result, answers.calibration) if answers.calibration else None,
        refusal=words.refusing(result, answers.refusal) if answers.refusal else "",
        costs=_costs(result.classes, answers.costs) if answers.costs else None,
    )


def of_numbers(result: Result, answers: NumberAnswers, thumbnails: Mapping[str, bytes]) -> NumberSection:
    """The sections on a regression's answers. thumbnails: JPEG files by picture id."""
    about, size = answers.residuals, formats.significant
    return NumberSection(
        agreement_chart=_agreement(result, about),
        bias=_bias(about),
        spread=f"{words.error_spread(about)}, {100 * about.within_rmse:.0f} % by no more than the RMSE of "
        f"{size(about.rmse)}",
        points_shown=len(about.points),
        points_all=about.n,
        errors=[_error(each, thumbnails) for each in answers.errors],
    )


def _error(each: NumberError, thumbnails: Mapping[str, bytes]) -> ErrorLine:
    true, predicted = formats.significant(each.true), formats.significant(each.predicted)
    return ErrorLine(
        each.id, true, predicted, formats.shown_signed("rmse", each.error), source_of(each.id, thumbnails),
        f"{true}, predicted as {predicted}",
    )  # fmt: skip


def _agreement(result: Result, about: Residuals) -> Markup:
    """Predicted over true numbers. Predictions far outside the true range lie on the edge."""
    true, predicted = [pair[0] for pair in about.points], sorted(pair[1] for pair in about.points)
    ends = [*true, predicted[len(predicted) // 50], predicted[-1 - len(predicted) // 50]]
    air = 0.04 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 1.0
    what = result.target or "target"
    return both("agreement-chart", partial(
        agreement, [Spot(*pair) for pair in about.points],
        title=f"Predicted over true {formats.short(what, 40)}",
        desc="One point per test example shown; predictions on the dotted line are exact.",
        x_label="true", y_label="predicted", low=min(ends) - air, high=max(ends) + air,
    ))  # fmt: skip


def _bias(about: Residuals) -> str:
    """Whether predictions are too high or too low on average."""
    mean, low, high = (formats.shown_signed("rmse", v) for v in (about.mean_error, about.mean_low, about.mean_high))
    said = f"the mean error is {mean} ({low} to {high})"
    if about.mean_low <= 0 <= about.mean_high:
        return f"{said}, so no bias is shown: predictions are neither too high nor too low on average"
    return f"{said}: predictions are too {'high' if about.mean_error > 0 else 'low'} on average"


def _calibration(result: Result, about: Calibration) -> CalibrationWords:
    """The reliability chart and what it says."""
    spots = [
        Spot(
            part.confidence, part.right, part.low, part.high,
            f"{words.examples(result, part.n)} with a probability of {formats.number(part.confidence)} "
            f"on average: {formats.number(part.right)} correct",
        )
        for part in about.bins
    ]  # fmt: skip
    least = min([min(part.confidence, part.low) for part in about.bins], default=0.0)
    chart = both("reliability", partial(
        agreement, spots, title="Share correct over predicted probability, with 95 % intervals",
        desc="; ".join(spot.note for spot in spots), x_label="predicted probability", y_label="share correct",
        low=math.floor(10 * least) / 10, high=1.0, height=380,
    ))  # fmt: skip
    said = f"the network's average probability for its prediction is {formats.number(about.confidence)}, and a share "
    said += f"of {formats.number(about.right)} of the predictions is correct"
    brier = "" if about.brier is None else (
        f"Brier score {formats.number(about.brier)} ({formats.number(about.brier_low)} to "
        f"{formats.number(about.brier_high)}): lower is better, 0 is the best"
    )  # fmt: skip
    return CalibrationWords(chart, words.calibration(result, about), said, brier)


def _costs(classes: Sequence[str], about: ExpectedCost) -> CostWords:
    """The expected cost of the answers, and what deciding by the costs would change."""
    aware, size = about.aware, formats.significant
    rows = [
        CostRow(name, [formats.compact(float(cell)) for cell in row])
        for name, row in zip(classes, about.matrix, strict=True)
    ]
    instead = aware and (
        f"choosing the class of the lowest expected cost would change {formats.count(aware.changed, 'prediction')} and "
        f"cost {size(aware.value)} ({size(aware.low)} to {size(aware.high)})"
    )
    return CostWords(
        value=size(about.value),
        span=f"{size(about.low)} to {size(about.high)}",
        how=about.how,
        n=about.n,
        rows=rows if len(rows) <= COST_CLASSES else [],
        aware=instead or "",
    )


def _matrix(classes: Sequence[str], counts: Counts) -> Matrix:
    """The confusion matrix with the shade of each cell, as a share of its row."""
    rows = []
    for truth, (name, row) in enumerate(zip(classes, counts, strict=True)):
        total = sum(row)
        cells = [
            Cell(
                amount, round(100 * amount / total) if total else 0, truth == column,
                f"{amount} of {total} {name} predicted as {classes[column]}",
            )
            for column, amount in enumerate(row)
        ]  # fmt: skip
        rows.append(MatrixRow(name, cells, total))
    return Matrix(rows, [sum(column) for column in zip(*counts, strict=True)])


def _pairs(classes: Sequence[str], counts: Counts) -> list[Pair]:
    """The most confused pairs of classes, the most frequent first."""
    found = [
        Pair(classes[t], classes[p], amount, sum(row))
        for t, row in enumerate(counts)
        for p, amount in enumerate(row)
        if t != p and amount
    ]
    return sorted(found, key=lambda pair: (-pair.count, pair.of))[:MOST_PAIRS]


def _class_chart(per_class: Sequence[ClassScore], many: str) -> Markup:
    """The share of each class that was predicted correctly, the worst first if there are many classes."""
    classes = list(per_class)
    if len(classes) > 8:
        classes.sort(key=lambda each: (2.0 if each.value is None else each.value, each.name))
    rows = [
        Row(
            formats.inert(each.name), each.value, each.low if each.n else None, each.high if each.n else None,
            _class_note(each, many), "each",
        )
        for each in classes
    ]  # fmt: skip
    low = min([each.low for each in classes if each.n], default=0.0)
    label_width = min(40 + 7 * max(len(row.label) for row in rows), 230)
    return both("class-shares", partial(
        intervals, rows, title="Share of each class that was predicted correctly, with 95 % intervals",
        desc="; ".join(f"{row.label} {row.note}" for row in rows[:12]), low=max(0.0, low - 0.04), high=1.0,
        width=WIDE, label_width=label_width, note_width=230, row_height=34 if len(rows) <= 12 else 26,
    ))  # fmt: skip


def _class_note(each: ClassScore, many: str) -> str:
    if not each.n:
        return f"no test {many}"
    return f"{each.right} of {each.n} · {formats.number(each.value)} ({words.span(each)})"


def _mistake(mistake: Mistake, thumbnails: Mapping[str, bytes]) -> MistakeLine:
    share = f"{100 * mistake.probability:.1f} %"
    alt = f"{mistake.true}, predicted as {mistake.predicted} with a probability of {share}"
    return MistakeLine(mistake.id, mistake.true, mistake.predicted, share, source_of(mistake.id, thumbnails), alt)
