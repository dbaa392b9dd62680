"""What the answers of a network on the sealed test part are worth: the frozen values that evaluation returns.

`Number` is a number that is written back as it was read: 1 stays 1, and 1.0 stays 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Number = int | float
Verdict = Literal["", "real", "no real difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better `a` is than `b`, with its 95 % interval. verdict: follows from the interval."""

    value: float
    low: float
    high: float
    n: int
    how: str = ""
    verdict: Verdict = ""

    def __post_init__(self) -> None:
        if not self.verdict:
            object.__setattr__(self, "verdict", "real" if self.is_real else "no real difference")

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: how many examples it has, how many of them were recognised, and their share with its interval.

    value: None where the test part has no example of the class.
    """

    name: str
    n: int
    right: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer: the id of its example, the true class, the one that was named and the probability given to it."""

    id: str
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class NumberError:
    """How far a predicted number is off: predicted minus true, with the id of the example."""

    id: str
    true: float
    predicted: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """How the errors of a regression, predicted minus true, are spread, in the units of the target.

    mean_error: with its 95 % interval; median_size, size_90: sizes of errors that 50 and 90 % stay below; within_rmse:
    the share of errors no larger than the rmse; points: (true, predicted), evenly over the ranking of the true values.
    """

    n: int
    rmse: float
    mean_error: float
    mean_low: float
    mean_high: float
    median_size: float
    size_90: float
    within_rmse: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """The answers whose probability lies above `start` and not above `end`.

    confidence: their mean probability; right: the share that is right, with Wilson's 95 % interval.
    """

    start: float
    end: float
    n: int
    confidence: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How often answers are right beside the probability that they were given.

    ece: the expected calibration error; confidence, right: of all answers; bins: those that hold an answer.
    """

    n: int
    ece: float
    confidence: float
    right: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwareCost:
    """The mean cost, with its 95 % interval, of deciding for the lowest expected cost. changed: answers that differ."""

    value: float
    low: float
    high: float
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCost:
    """The mean cost of the answers with its 95 % interval. matrix: (C, C), row the true class, column the answer."""

    value: float
    low: float
    high: float
    n: int
    how: str
    matrix: tuple[tuple[Number, ...], ...]
    aware: AwareCost | None = None  # older results do not have it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAnswers:
    """What a classification has to show besides its score.

    confusion: counts, row the true class, column the answer; None where they did not agree with the accuracy.
    """

    confusion: tuple[tuple[int, ...], ...] | None
    per_class: tuple[ClassScore, ...]
    mistakes: tuple[Mistake, ...]
    calibration: Calibration | None = None  # older results do not have it
    costs: ExpectedCost | None = None  # None where no costs were given


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberAnswers:
    """What a regression has to show besides its score: its largest errors, and how all of them are spread."""

    errors: tuple[NumberError, ...]
    residuals: Residuals


Answers = ClassAnswers | NumberAnswers
