"""The result of a study: the frozen values behind the terminal, the report, the model card and `report.json`.

`Result.to_json` writes the keys in the order of the fields; `Result.from_json` reads what any version has written, and
is the only place that knows what older versions did not write, or wrote otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from tame.core.answers import Answers, ClassAnswers, Difference, Number, NumberAnswers
from tame.core.errors import StorageError, require
from tame.core.importance import Mattered
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value
from tame.core.records import Finding, Score
from tame.core.space import Space

Task = Literal["binary", "multiclass", "regression"]
LEARNT = ("number", "category", "boolean", "date")  # kinds of columns that older versions learnt from


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
    """The pretrained network under a head. size: pixels of its input; stages: that can be fine-tuned."""

    name: str
    digest: str
    size: int
    fixed_size: bool | None = None
    num_features: int | None = None
    stages: int = 1
    crop: Number | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that terminal, JSON and report show. task: binary, multiclass or regression."""

    schema: str = "tame/1"
    study: str
    data: str
    kind: str
    task: Task
    classes: tuple[str, ...]
    metric: str
    score: Score
    metrics: Mapping[str, float]
    test_openings: int
    validation: Validation
    optimism: float
    baselines: Baselines
    winner: Winner
    finalists: tuple[FinalistRow, ...]
    findings: tuple[Finding, ...]
    rest: RestWorth | None
    searched: FewerDimensions | None
    forecast: Forecasts
    all_findings: int
    answers: Answers  # in JSON its fields stand here, among those of the result
    trials: int
    trial_states: Mapping[str, int]
    whole: int = 1  # trials that were trained to their end; older results do not tell
    epochs: int
    fine_tuning: FineTuning | None
    space: Space
    mattered: Mattered | None  # None: of an older result, so that it must be measured
    sizes: tuple[int, ...] = ()
    speed: Mapping[str, Value] | None = None
    data_facts: DataFacts
    backbone: BackboneFacts | None = None
    engines: tuple[EngineChoice, ...] = ()
    delivered: Delivered
    wall_s: Number
    model: str
    report: str
    command: str
    machine: Mapping[str, str | int | None]
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_regression(self) -> bool:
        return self.task == "regression"

    @property
    def default_recipe(self) -> Mapping[str, Value]:
        """The fields of the default recipe; none where it is not a finalist."""
        return next((each.recipe for each in self.finalists if each.origin == "default"), {})

    @property
    def target(self) -> str:
        """The name of what is predicted; "" where it has none."""
        return self.data_facts.target.name if self.data_facts.target else ""

    def to_json(self) -> dict[str, object]:
        """Plain values in the order in which `report.json` has them; what a kind of result has not is left out."""
        found: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "answers":
                found |= answers_json(value)
            elif each.name == "space":
                found["space"] = self.space.to_json()
            else:
                found[each.name] = without_none(value) if each.name in SPARSE else to_plain(value)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Result:
        """The result that `to_json` wrote, now or in an older version. Raises StorageError where it is damaged."""
        try:
            plain = _as_of_now(values)
        except (AttributeError, KeyError, TypeError) as problem:
            raise StorageError(f"the result is damaged: {type(problem).__name__} {problem}") from None
        hints = get_type_hints(cls)
        for each in fields(cls):
            optional = each.default is not MISSING or each.default_factory is not MISSING
            require(each.name in plain or optional, f"the result has no {each.name}", error=StorageError)
        kept = [each.name for each in fields(cls) if each.name in plain]
        return cls(**{name: _read(name, hints[name], plain[name]) for name in kept})


SPARSE = ("data_facts", "fine_tuning")  # parts that leave out what they have not
NAMES = {"per_class": {"name": "class"}, "bins": {"start": "from", "end": "to"}}  # in JSON, of fields of these lists


def _read(name: str, kind: Any, plain: Any) -> Any:
    """A field of a result from its plain value."""
    what = f"the result ({name})"
    if name == "space":
        return Space.from_json(plain)
    if name == "answers":
        return from_plain(NumberAnswers if "residuals" in plain else ClassAnswers, plain, what=what)
    return from_plain(kind, plain, what=what)


def without_none(value: DataFacts | FineTuning | None) -> dict[str, object] | None:
    """Plain values, without the facts that are not there."""
    return None if value is None else {name: each for name, each in to_plain(value).items() if each is not None}


def answers_json(answers: Answers) -> dict[str, object]:
    """The plain values of the answers, as they stand among those of the result."""
    plain: dict[str, Any] = to_plain(answers)
    if isinstance(answers, NumberAnswers):
        return plain
    plain["per_class"] = [_renamed(each, NAMES["per_class"]) for each in plain["per_class"]]
    for name in ("calibration", "costs"):
        if plain[name] is None:
            del plain[name]
    if answers.calibration is not None:
        plain["calibration"]["bins"] = [_renamed(each, NAMES["bins"]) for each in plain["calibration"]["bins"]]
    return plain


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _as_of_now(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a result of any version as this one writes them, the answers apart.

    The first versions were for pictures only: they named no kind, and their task was "images".
    """
    plain = {"kind": "images", "classes": [], "metrics": {}, "test_openings": 1, "versions": {}, **values}
    plain |= {name: plain.get(name) for name in ("rest", "searched", "fine_tuning", "mattered", "speed", "backbone")}
    plain |= {name: plain.get(name) or [] for name in ("engines", "sizes")}
    plain["forecast"] = plain.get("forecast") or {}
    if plain["task"] == "images":
        plain["task"] = "binary" if len(plain["classes"]) == 2 else "multiclass"
    plain["finalists"] = [{"loss": each.get("log_loss"), **each} for each in plain["finalists"]]
    plain["data_facts"] = _facts_of_now(plain["data_facts"])
    plain["answers"] = _answers_of_now(plain)
    return plain


def _facts_of_now(values: Mapping[str, Any]) -> dict[str, Any]:
    """Older facts have a number for a part that has no classes, and the list of a column's categories."""
    parts = {part: {"rows": own} if isinstance(own, int) else own for part, own in values["counts"].items()}
    facts = {**values, "counts": parts, "notes": values.get("notes") or []}
    if values.get("columns") is not None:
        facts["columns"] = [_column_of_now(each) for each in values["columns"]]
    if values.get("target") is not None:
        facts["target"] = {"task": "", **values["target"], "name": values["target"].get("name") or ""}
    return facts


def _column_of_now(values: Mapping[str, Any]) -> dict[str, Any]:
    categories = values.get("categories") or 0
    return {
        "learnt": values["kind"] in LEARNT, **values, "missing": values.get("missing") or 0,
        "categories": categories if isinstance(categories, int) else len(categories),
    }  # fmt: skip


def _answers_of_now(values: Mapping[str, Any]) -> dict[str, Any]:
    if values["task"] == "regression":
        return {name: values[name] for name in ("errors", "residuals")}
    found = {name: values.get(name) for name in ("confusion", "mistakes", "calibration", "costs")}
    found["per_class"] = [_renamed(each, {"class": "name"}) for each in values["per_class"]]
    if found["calibration"] is not None:
        bins = [_renamed(each, {"from": "start", "to": "end"}) for each in found["calibration"]["bins"]]
        found["calibration"] = {**found["calibration"], "bins": bins}
    return found
