"""The result of a study: the frozen values behind the terminal, the report, the model card and `report.json`.

`Result.to_json` writes the keys in the order of the fields. `Result.from_json` reads the results of all versions, and
is the only place that knows what older versions wrote differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_type_hints

from tame.core.config import LANGUAGE
from tame.core.edits import EditCounts
from tame.core.errors import StorageError, require
from tame.core.evaluation import Answers, ClassAnswers, Difference, LanguageAnswers, Number, NumberAnswers
from tame.core.importance import Mattered
from tame.core.plain import from_plain, to_plain
from tame.core.quotes import Quotes
from tame.core.recipe import Value
from tame.core.records import Finding, Score, TrialState
from tame.core.result_parts import (
    BackboneFacts,
    Baselines,
    CaseRow,
    DataFacts,
    Delivered,
    EngineChoice,
    EnsembleRow,
    FewerDimensions,
    FinalistRow,
    FineTuning,
    Forecasts,
    MoreData,
    RestWorth,
    Task,
    Trade,
    UnlikeRow,
    Validation,
    Winner,
)
from tame.core.space import Space

Plain = Mapping[str, Any]  # JSON values
SPARSE = ("data_facts", "fine_tuning")  # parts that leave out missing values
UNSAID = ("optimism_interval", "ensemble", "trade", "unlike", "more_data", "edits", "quotes")  # where there are none
NAMES = {"per_class": {"name": "class"}, "bins": {"start": "from", "end": "to"}}  # fields with another name in JSON
MAYBE = ("confusion", "mistakes", "calibration", "costs", "refusal", "temperature")  # parts of a classification
INPUT_KINDS = ("number", "category", "boolean", "date")  # kinds of columns that older versions used as inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that the terminal, JSON and the report show. task: binary, multiclass or regression."""

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
    optimism_interval: Difference | None = None  # with the noise of both; missing in older results
    baselines: Baselines
    winner: Winner
    finalists: tuple[FinalistRow, ...]
    ensemble: EnsembleRow | None = None  # None where none was tried
    trade: Trade | None = None  # None where it was not asked what a model takes
    unlike: UnlikeRow | None = None  # None where the model cannot tell
    more_data: MoreData | None = None  # None where it was not asked for
    edits: EditCounts | None = None  # None where the data was not edited
    findings: tuple[Finding, ...]
    rest: RestWorth | None
    searched: FewerDimensions | None
    forecast: Forecasts
    cases: tuple[CaseRow, ...] = ()  # what the doctor tried; missing in older results
    all_findings: int
    answers: Answers  # in JSON its fields are listed here, among those of the result
    quotes: Quotes | None = None  # None where there are no texts
    trials: int
    trial_states: Mapping[str, int]
    whole: int = 1  # trials that were trained to their end; missing in older results
    epochs: int
    fine_tuning: FineTuning | None
    space: Space
    mattered: Mattered | None  # None: of an older result, so it must be computed
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
    def compares_early(self) -> bool:
        """Whether some trials were paused or stopped while others went on."""
        left: tuple[TrialState, ...] = ("paused", "stopped")
        return any(self.trial_states.get(state) for state in left)

    @property
    def is_regression(self) -> bool:
        return self.task == "regression"

    @property
    def is_language_model(self) -> bool:
        return self.task == LANGUAGE

    @property
    def default_recipe(self) -> Mapping[str, Value]:
        """The fields of the default recipe; empty if it is not a finalist."""
        return next((each.recipe for each in self.finalists if each.is_default), {})

    @property
    def target(self) -> str:
        """The name of what is predicted; "" if it has none."""
        return self.data_facts.target.name if self.data_facts.target else ""

    def to_json(self) -> dict[str, object]:
        """Plain values in the order of `report.json`; fields that this kind of result does not have are left out."""
        found: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "answers":
                found |= answers_json(value)
            elif each.name == "findings":
                found["findings"] = [to_plain(own.to_json()) for own in self.findings]
            elif each.name in ("space", "score"):
                found[each.name] = value.to_json()
            elif each.name in UNSAID and value is None:
                continue
            elif each.name == "cases" and not value:
                continue  # as in results from before there were remedies
            elif each.name == "baselines" and value is not None:
                absent = {name for name in ("linear", "trees", "single") if getattr(value, name) is None}
                found["baselines"] = {name: own for name, own in to_plain(value).items() if name not in absent}
            elif each.name == "backbone" and value is not None and not value.pooled:
                found["backbone"] = {name: own for name, own in to_plain(value).items() if name != "pooled"}
            else:
                found[each.name] = without_none(value) if each.name in SPARSE else to_plain(value)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Result:
        """The result that this or an older version wrote with `to_json`. Raises StorageError if it is damaged."""
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


def _read(name: str, kind: Any, plain: Any) -> Any:
    """A field of a result from its plain value."""
    what = f"the result ({name})"
    if name == "space":
        return Space.from_json(plain)
    if name == "answers":
        kinds = {"residuals": NumberAnswers, "written": LanguageAnswers}
        return from_plain(next((own for key, own in kinds.items() if key in plain), ClassAnswers), plain, what=what)
    return from_plain(kind, plain, what=what)


def without_none(value: DataFacts | FineTuning | None) -> dict[str, object] | None:
    """Plain values, without facts that are None."""
    return None if value is None else {name: each for name, each in to_plain(value).items() if each is not None}


def answers_json(answers: Answers) -> dict[str, object]:
    """The plain values of the answers, as they are listed among those of the result."""
    found: dict[str, object] = to_plain(answers)
    if isinstance(answers, NumberAnswers | LanguageAnswers):
        return found
    told = answers.calibration
    found["per_class"] = [_renamed(to_plain(each), NAMES["per_class"]) for each in answers.per_class]
    if told is not None:
        known = {name: value for name, value in to_plain(told).items() if value is not None}
        found["calibration"] = {**known, "bins": [_renamed(to_plain(own), NAMES["bins"]) for own in told.bins]}
    absent = {name for name in ("calibration", "costs", "samples", *MAYBE[-2:], "refusals") if not found[name]}
    return {name: value for name, value in found.items() if name not in absent}


def _renamed(values: Plain, names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): value for name, value in values.items()}


def _as_of_now(values: Plain) -> dict[str, object]:
    """The plain values of a result of any version as this version writes them, without the answers.

    The first versions supported only pictures: they stored no kind, and their task was "images".
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


def _facts_of_now(values: Plain) -> dict[str, object]:
    """Older facts hold a number for a part without classes, and the list of a column's categories."""
    parts = {part: {"rows": own} if isinstance(own, int) else own for part, own in values["counts"].items()}
    facts = {**values, "counts": parts, "notes": values.get("notes") or []}
    if values.get("columns") is not None:
        facts["columns"] = [_column_of_now(each) for each in values["columns"]]
    if values.get("target") is not None:
        facts["target"] = {"task": "", **values["target"], "name": values["target"].get("name") or ""}
    return facts


def _column_of_now(values: Plain) -> dict[str, object]:
    categories = values.get("categories") or 0
    return {
        "learnt": values["kind"] in INPUT_KINDS, **values, "missing": values.get("missing") or 0,
        "categories": categories if isinstance(categories, int) else len(categories),
    }  # fmt: skip


def _answers_of_now(values: Plain) -> dict[str, object]:
    if values["task"] == "regression":
        return {name: values[name] for name in ("errors", "residuals")}
    if values["task"] == LANGUAGE:
        return {each.name: values[each.name] for each in fields(LanguageAnswers)}
    found = {name: values.get(name) for name in MAYBE}
    found |= {name: values.get(name) or [] for name in ("samples", "refusals")}
    found["per_class"] = [_renamed(each, {"class": "name"}) for each in values["per_class"]]
    if found["calibration"] is not None:
        bins = [_renamed(each, {"from": "start", "to": "end"}) for each in found["calibration"]["bins"]]
        found["calibration"] = {**found["calibration"], "bins": bins}
    return found
