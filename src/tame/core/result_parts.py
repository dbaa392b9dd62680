"""The parts of a study's result: frozen values, with fields in the order of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tame.core.evaluation import Difference, Number
from tame.core.recipe import Value
from tame.core.records import DEFAULT

Task = Literal["binary", "multiclass", "regression", "language-model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The winner's score on the validation examples that chose it. stderr: over folds, None without folds."""

    value: float
    n: int
    how: str
    stderr: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineScore:
    """The score of what the winner is compared with on the sealed test part, and how much better the winner is."""

    value: float
    low: float
    high: float
    n: int
    how: str
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultScore(BaselineScore):
    """That of the default recipe."""

    is_winner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """What the score is compared with. dummy: guessing without the inputs; default: None if that recipe could not be
    trained to its end; linear: a linear model of the same inputs, None in older results, and where they suit none;
    trees: gradient boosting, None where it was not asked for; single: one network of the winner, None where that is
    what is delivered."""

    dummy: BaselineScore
    default: DefaultScore | None
    linear: BaselineScore | None = None
    trees: BaselineScore | None = None
    single: BaselineScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The recipe that won. trial: its weights are delivered; from_trial: the trial of the search with its recipe."""

    recipe: Mapping[str, Value]
    from_trial: int
    trial: int
    seeds: tuple[int, ...]
    epochs: int

    @property
    def is_retrained(self) -> bool:
        """Whether it was trained again with seeds that the search had not used."""
        return self.trial != self.from_trial

    @property
    def is_fine_tuned(self) -> bool:
        """Whether a part of what was pretrained was trained as well."""
        return bool(self.recipe.get("model.unfrozen"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleRow:
    """Several networks of the finalists together, tried in place of one. members: their trials; value: the validation
    metric of their mean; difference: of the validation loss from that of one network of the winner, below 0 where the
    ensemble is better; optimism: how much lower the members' loss is on the examples that they were picked on, which is
    taken away from the difference, 0 where none was picked by it; kept: whether it is delivered and scored."""

    members: tuple[int, ...]
    value: float
    difference: Difference
    kept: bool
    why: str
    optimism: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikeRow:
    """How often the delivered model takes an example of the sealed test part to be unlike its training data, with the
    95 % interval: false alarms, if the test part is like the rest."""

    n: int
    flagged: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePoint:
    """The winner's recipe on a share of its training examples. loss: on the validation examples, the mean over
    `networks` that each had others of the examples or another seed, with the 95 % interval."""

    share: float
    examples: int
    networks: int
    loss: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGrowth:
    """How a class gains from more examples. examples: of it, that all are trained on; recognised: the share of its
    validation examples at each of the shares; gain: from the last doubling, with its 95 % interval."""

    name: str
    examples: int
    recognised: tuple[float, ...]
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreData:
    """What more examples would be worth. points: in the order of their shares, the last of all examples.

    gain: by how much twice as many examples would lower the loss, if it goes on falling as it does; epochs: of all
    networks trained for it; why: why it is not known, "" if it is.
    """

    metric: str
    points: tuple[SharePoint, ...] = ()
    gain: Difference | None = None
    classes: tuple[ClassGrowth, ...] = ()
    epochs: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistRow:
    """A finalist: the metric of each seed and their mean, the loss, and how far it is behind the winner."""

    from_trial: int
    origin: str
    value: float
    values: tuple[float, ...]
    recipe: Mapping[str, Value]
    is_winner: bool
    loss: float
    behind: Difference | None

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedRow:
    """What a finalist takes once it is delivered. value: its validation metric; latency_s: of one example alone;
    is_on_front: whether no other one is as good and takes as little, and better in one of both."""

    from_trial: int
    value: float
    latency_s: float
    size_bytes: int
    is_within: bool
    is_on_front: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A choice that counts what a model takes. limits: in seconds and bytes, by objective; latency_s, size_bytes: of
    what is delivered. instead_of: the trial that would have won by its metric alone, None if it has won; difference: of
    the winner's validation metric from its."""

    objective: str | None
    limits: Mapping[str, float]
    latency_s: float
    size_bytes: int
    instead_of: int | None = None
    difference: Difference | None = None
    rows: tuple[PricedRow, ...] = ()

    @property
    def by(self) -> str:
        """By what the finalists are laid out beside their metric."""
        return self.objective or next(iter(self.limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class RestWorth:
    """What continuing the search was worth: the best loss, the gain of as many epochs again, and the noise.

    stopped_because: why the search ended early, "" if it did not.
    """

    recipes: int
    epochs: int
    best: Number | None
    gain: Number | None
    noise: Number | None
    stopped_because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FewerDimensions:
    """The search had so few recipes that it left dimensions out. of: how many dimensions there are."""

    dimensions: int
    of: int
    recipes: Number
    left_out: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """How long the study was expected to take, and the correction after its first round; None if there was none."""

    forecast: Mapping[str, object] | None = None
    forecast_corrected: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Whether the fine-tuned network was kept and why, with its gain over the best frozen one if it was trained."""

    kept: bool
    why: str
    difference: Difference | None = None
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyRow:
    """A remedy and what came of it. field: what was changed, from `before` to `after`; trials: one per seed.

    is_free: whether the patient's own curve shows the outcome; difference: of the validation loss, below 0 where the
    remedy lowers it, None if it could not be compared; kept: whether it became a candidate.
    """

    field: str
    before: Value
    after: Value
    trials: tuple[int, ...]
    is_free: bool = False
    verdict: str = ""
    kept: bool = False
    difference: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """What the doctor saw in a trial, the patient, and what it tried. seen: the title of the finding, at this epoch.

    beside: the trials of the patient's recipe that the remedies were compared with; epochs: trained for all of it.
    """

    code: str
    seen: str
    patient: int
    epoch: int
    beside: tuple[int, ...] = ()
    epochs: int = 0
    remedies: tuple[RemedyRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """How a column of a table was interpreted and why, whether it is an input, and its number of categories."""

    name: str
    kind: str
    why: str
    missing: int = 0
    categories: int = 0
    learnt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The column that is predicted, and how its task was determined."""

    name: str
    task: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """Texts and the language model that is adapted to them.

    parameters: of the model; context: tokens that it sees at once at most; block: that it is trained on at once; slots:
    blocks in an epoch; batch: blocks in a step; epochs: of a recipe at most; judged: passages of each part; texts:
    files by part; tokens, characters: of all texts; unknown: share of tokens for what the tokenizer does not know.
    """

    model: str
    parameters: int
    context: int
    block: int
    slots: int
    batch: int
    epochs: int
    judged: Mapping[str, int]
    texts: Mapping[str, int]
    tokens: int
    characters: int
    unknown: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Facts about the data; None if this kind of data does not have that fact.

    counts: examples of each class by part of the split, or "rows" for a regression; twins: examples that equal another;
    side: median shorter side of the pictures, in pixels; pairs: pairs of identical or nearly identical pictures.
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
    language: TextFacts | None = None
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFacts:
    """Facts about the backbone that turns examples into features.

    size: side in pixels that its weights were trained on; fixed_size: whether it accepts no other; stages: how many
    fine-tuning may unfreeze; crop: the share of a side that it was evaluated on; pooled: stages that may be averaged.
    """

    name: str
    digest: str
    size: int
    fixed_size: bool = False
    num_features: int = 0
    stages: int = 1
    crop: float = 0.875
    pooled: int = 0
    license: object = None  # as stated in its file
    architecture: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which engine trained a group of trials, how many at once, and why."""

    group: str
    members: int
    engine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The model's folder, the SHA-256 of its files, and how its predictions compared after loading it again.

    largest_difference: between probabilities, or between numbers in standard deviations of the target.
    """

    folder: str
    files: Mapping[str, str]
    checked: int
    largest_difference: Number
