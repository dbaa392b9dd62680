"""How good a network's answers on the sealed test part are: the frozen values that evaluation returns.

`Number` is written back as it was read: 1 stays 1, and 1.0 stays 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Number = int | float
Verdict = Literal["", "real", "no real difference", "one seed each"]
RARE_FIRST = 1 / 3 - 1e-9  # share of the examples, below which the first of two classes is the rare one
ONE_SEED: Verdict = "one seed each"  # the interval is that of two networks; it says nothing about their recipes


def rare_of_two(share_of_first: float) -> int:
    """The class, of two, that average precision is of: the second, as is usual, unless the first is clearly rare.

    Not simply the rarer one, which of classes of nearly equal size would be another in each fold.
    """
    return 0 if share_of_first < RARE_FIRST else 1


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better `a` is than `b`, with its 95 % interval.

    verdict: follows from the interval, unless it is of two recipes of which one seed each was trained.
    """

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
        """Whether the interval excludes zero, and counts all that varies."""
        return (self.low > 0 or self.high < 0) and self.verdict != ONE_SEED


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: how many examples it has, how many were recognised, and their share with its interval.

    value: None if the test part has no example of the class.
    """

    name: str
    n: int
    right: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer: the id of its example, the true class, the predicted class and its probability."""

    id: str
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer that stands for others of its class, right or wrong; probability: of the predicted class."""

    id: str
    true: str
    predicted: str
    probability: float

    @property
    def is_right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True, slots=True)
class NumberError:
    """The error of a predicted number: predicted minus true, with the id of the example."""

    id: str
    true: float
    predicted: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """The distribution of a regression's errors, predicted minus true, in the units of the target.

    mean_error: with its 95 % interval; median_size, size_90: 50 and 90 % of the absolute errors are smaller;
    within_rmse: the share of errors no larger than the rmse; points: (true, predicted), evenly spaced over the ranking
    of the true values.
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


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """A number of a model before it was adapted, and after."""

    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherText:
    """How a fixed text that has nothing to do with the data is foretold, in bits per character: what adapting cost of
    what the model knew. characters: of the part that was judged."""

    bits: BeforeAfter
    perplexity: BeforeAfter
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a model wrote after the beginning of a text, before and after, with the same seed.

    copied: the longest run of words that what it wrote after shares with the texts it was trained on, and those words;
    known: the share of its runs of eight words that are in those texts; repeated: the share of its runs of four words
    that it had written before, of both.
    """

    prompt: str
    before: str
    after: str
    copied: int
    words: str
    known: float
    repeated: BeforeAfter


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageAnswers:
    """What an adapted language model does beside its score.

    perplexity: for each token of the sealed passages; tokens, characters: of them; other: None where there was no time;
    written: what it writes, at a temperature and from a seed; trained: numbers that are trained; rate: tokens a second
    that it writes here.
    """

    perplexity: BeforeAfter
    tokens: int
    characters: int
    other: OtherText | None
    written: tuple[Written, ...]
    temperature: float
    seed: int
    trained: int
    rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """The answers whose probability lies above `start` and is at most `end`.

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
    """How often answers are right, compared with their predicted probability.

    ece: the expected calibration error; confidence, right: of all answers; bins: the non-empty ones. usual, most: the
    mean and the 95 % quantile of the error that a calibrated network shows on as many examples; least_gap, most_gap:
    between which its confidence minus right lies in 95 of 100. brier: the Brier score, with its 95 % interval.
    """

    n: int
    ece: float
    confidence: float
    right: float
    bins: tuple[CalibrationBin, ...]
    usual: float | None = None  # this and the rest: missing in older results, and for examples with shares of classes
    most: float | None = None
    least_gap: float | None = None
    most_gap: float | None = None
    brier: float | None = None
    brier_low: float | None = None
    brier_high: float | None = None

    @property
    def is_off(self) -> bool:
        """Whether the probabilities are further off than chance explains; False if that was not measured."""
        return self.most is not None and self.ece > self.most

    @property
    def lean(self) -> str:
        """Overconfident or underconfident, where that is more than chance; else ""."""
        if self.least_gap is None or self.most_gap is None:
            return ""
        gap = self.confidence - self.right
        return "overconfident" if gap > self.most_gap else "underconfident" if gap < self.least_gap else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempering:
    """The temperature by which the logits of the delivered network are divided, so that its probabilities are right.

    value: 1 where it was not kept; fitted: the best one on the validation examples; difference: of the log loss on
    those of them that it was not fitted on, below 0 where the temperature lowers it.
    """

    value: float
    fitted: float
    difference: Difference

    @property
    def is_kept(self) -> bool:
        return self.value != 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AwareCost:
    """The mean cost of deciding for the lowest expected cost, with its 95 % interval. changed: answers that differ."""

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
    aware: AwareCost | None = None  # missing in older results


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What "I do not know" below a probability leaves of the test.

    coverage: the share of the n examples that is still answered; risk: the share of wrong ones among the answered;
    both with their 95 % intervals. risk_of_all: the share of wrong answers if all are given.
    """

    threshold: float
    n: int
    answered: int
    coverage: float
    coverage_low: float
    coverage_high: float
    risk: float
    risk_low: float
    risk_high: float
    risk_of_all: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAnswers:
    """What is reported of a classification besides its score.

    confusion: counts, row the true class, column the answer; None if they did not agree with the accuracy. samples: of
    each class, typical right answers and the most confident mistakes; missing in older results and for many classes.
    """

    confusion: tuple[tuple[int, ...], ...] | None
    per_class: tuple[ClassScore, ...]
    mistakes: tuple[Mistake, ...]
    calibration: Calibration | None = None  # missing in older results
    costs: ExpectedCost | None = None  # None if no costs were given
    samples: tuple[Sample, ...] = ()
    refusal: Refusal | None = None  # None in older results, and where validation has too few mistakes
    refusals: tuple[Refusal, ...] = ()  # at other probabilities; missing in older results
    temperature: Tempering | None = None  # None in older results, and where validation has too few examples


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberAnswers:
    """What is reported of a regression besides its score: its largest errors, and the distribution of all of them."""

    errors: tuple[NumberError, ...]
    residuals: Residuals


Answers = ClassAnswers | NumberAnswers | LanguageAnswers
