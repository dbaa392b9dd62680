"""The parts of a study's result: frozen values, their fields in the order in which `report.json` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tame.core.answers import Difference, Number
from tame.core.recipe import Value

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What the winner reached on the examples that chose it. stderr: over folds, None where there is one part."""

    value: float
    n: int
    how: str
    stderr: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessing:
    """What guessing without looking scores on the sealed test, and how much better the winner is."""

    value: float
    low: float
    high: float
    n: int
    how: str
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultScore:
    """What the default recipe scores on the sealed test, and how much better the winner is."""

    value: float
    low: float
    high: float
    n: int
    how: str
    difference: Difference
    is_winner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """What the score is held against. default: None where that recipe could not be trained to its end."""

    dummy: Guessing
    default: DefaultScore | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The recipe that won. trial: whose weights are delivered; from_trial: of the search, whose recipe it has."""

    recipe: Mapping[str, Value]
    from_trial: int
    trial: int
    seeds: tuple[int, ...]
    epochs: int

    @property
    def is_retrained(self) -> bool:
        """Whether it was trained again with seeds that the search had not seen."""
        return self.trial != self.from_trial


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistRow:
    """A finalist: the metric of each seed and their mean, the loss, and how far the winner is ahead of it."""

    from_trial: int
    origin: str
    value: float
    values: tuple[float, ...]
    recipe: Mapping[str, Value]
    is_winner: bool
    loss: float
    behind: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestWorth:
    """What the rest of the search was worth: the best loss, what as many epochs again would gain, and its noise.

    stopped_because: why the search ended early, "" where it did not.
    """

    recipes: int
    epochs: int
    best: Number | None
    gain: Number | None
    noise: Number | None
    stopped_because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FewerDimensions:
    """That a search has so few recipes that it left dimensions out. of: dimensions there are."""

    dimensions: int
    of: int
    recipes: Number
    left_out: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """What the study was forecast to take, and the correction after its first round; None where there was none."""

    forecast: Mapping[str, object] | None = None
    forecast_corrected: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Whether the fine-tuned network was kept and why, with its gain over the best frozen one where it was trained."""

    kept: bool
    why: str
    difference: Difference | None = None
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """A column of a table as it is understood, and why. categories: how many; learnt: whether it is an input."""

    name: str
    kind: str
    why: str
    missing: int = 0
    categories: int = 0
    learnt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The column that is predicted, and why it was taken for its task."""

    name: str
    task: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What is known of the data; None where a kind of data has no such fact.

    counts: examples of each class by part of the split, or "rows" of a regression; twins: examples that equal another;
    side: median shorter side of pictures, in pixels; pairs: of pictures that are the same or nearly.
    """

    kind: str | None = None
    classes: tuple[str, ...] | None = None
    examples: int | None = None
    pictures: int | None = None
    counts: Mapping[str, Mapping[str, int]]
    skipped: int | None = None
    skipped_first: tuple[SkippedFile, ...] | None = None
    columns: tuple[ColumnFacts, ...] | None = None
    notes: tuple[str, ...] = ()
    target: TargetFacts | None = None
    unlabelled: int | None = None
    split: str = ""
    folds: int = 1
    twins: int | None = None
    side: int | None = None
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFacts:
    """What is known of the backbone that makes features of examples.

    size: pixels of one side that its weights were trained on, fixed_size: whether it takes no other; stages: that
    fine-tuning may unfreeze; crop: the share of a side that it was judged on.
    """

    name: str
    digest: str
    size: int
    fixed_size: bool = False
    num_features: int = 0
    stages: int = 1
    crop: float = 0.875
    license: object = None  # as its file says
    architecture: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which engine trained a group of trials, how many of them at once, and why."""

    group: str
    members: int
    engine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The model's folder, the SHA-256 of its files, and how it judged when it was loaded again.

    largest_difference: of a probability, or of a number in standard deviations of the target.
    """

    folder: str
    files: Mapping[str, str]
    checked: int
    largest_difference: Number
