"""What a study keeps beside decisions, curves and findings: a frozen value for each kind of event.

Missing keys of older studies have their defaults here and nowhere else. What `event_of` writes, `read_event` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tame.adjust.guard import Rest
from tame.core.answers import Difference
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value
from tame.core.records import Event

Number = int | float
Plain = Mapping[str, object]
DataFacts = Mapping[str, object]  # what the source of a kind of data tells; the kind has a type for it
ResultPlain = Mapping[str, object]  # what report.json holds; core/result.py has the type for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The study was begun, with this config. id: random, by which the user who began it knows it again."""

    event_kind: ClassVar[str] = "opened"
    sparse: ClassVar[frozenset[str]] = frozenset({"id"})
    id: str | None = None
    config: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A resume gave the study another clock, before anything was trained."""

    event_kind: ClassVar[str] = "clock"
    time_s: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEvent:
    """The plan as it was drafted, in values that JSON holds.

    fixed: fields that are not searched; left_out: dimensions that so few recipes cannot tell apart; recipes: how many
    the clock or the user allows, where it is known; search_until_s, end_s, other_size_s: as of the plan; epoch_s: of
    fine-tuning at the smallest size; cohort, pair, company_s, inputs_s: known after a rehearsal only.
    """

    event_kind: ClassVar[str] = "plan"
    sparse: ClassVar[frozenset[str]] = frozenset({"cohort", "pair", "company_s", "inputs_s", "reasons"})
    base: Mapping[str, Value] = field(default_factory=dict)
    portfolio: tuple[Mapping[str, Value], ...] = ()
    fixed: tuple[str, ...] = ()
    space: Plain = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    recipes: int | None = None
    trials: int | None = None
    sizes: tuple[int, ...] = ()
    search_until_s: Number | None = None
    to_the_end: bool = False
    epoch_s: Number | None = None
    smallest: int | None = None
    end_s: Number = 0.0
    other_size_s: Number = 0.0
    tunes: bool = False
    speed: Plain | None = None
    cohort: int | None = None
    pair: Number | None = None
    company_s: Number | None = None
    inputs_s: Number | None = None
    reasons: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceKept:
    """The space of the study from here on, and why it is another."""

    event_kind: ClassVar[str] = "space"
    space: Plain
    reason: str = ""
    evidence: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceAsked:
    """What a resume asks to be searched, until the study has checked it; no texts once it has."""

    event_kind: ClassVar[str] = "space_asked"
    texts: tuple[str, ...] = ()
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Between which values new recipes are proposed from here on: "low" or "high" by dimension."""

    event_kind: ClassVar[str] = "region"
    bounds: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    reason: str = ""
    evidence: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEnded:
    """Nothing of the search trains any more. worthless: whether because further trials were unlikely to help."""

    event_kind: ClassVar[str] = "search_ended"
    used_s: Number = 0.0
    reason: str = ""
    worthless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistsChosen:
    """The trials whose recipes are trained again, and the seeds at first. over: whether no more trials join them."""

    event_kind: ClassVar[str] = "finalists"
    sparse: ClassVar[frozenset[str]] = frozenset({"over"})
    trials: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreSeeds:
    """Further seeds of all finalists. over: whether there will be no more."""

    event_kind: ClassVar[str] = "more_seeds"
    seeds: tuple[int, ...] = ()
    over: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJudged:
    """Whether fine-tuning is kept, and why; the difference from the best frozen network, where it was trained."""

    event_kind: ClassVar[str] = "tuning_judged"
    sparse: ClassVar[frozenset[str]] = frozenset({"difference", "trial"})
    kept: bool = False
    why: str = ""
    difference: Difference | None = None
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealOpened:
    """The labels of the sealed part were looked at."""

    event_kind: ClassVar[str] = "test_opened"
    n: int = 0
    trial: int = 0
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The model was written. files: with their SHA-256; checked: examples that it judged as it was scored."""

    event_kind: ClassVar[str] = "delivered"
    files: Mapping[str, str] = field(default_factory=dict)
    checked: int = 0
    largest_difference: Number = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. needs: of all processes at their peak; available: what they hold already and what is left beside it."""

    needs: int
    available: int | None

    @property
    def is_short(self) -> bool:
        return self.available is not None and self.needs > self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a study will take. epoch_s, alone_s: an epoch of the default recipe with its folds, in company and without;
    mean_s: of all recipes, with what is done beside training; slower: how many times as long other programs make that
    now, which is in these seconds.

    recipes, whole: how many are begun, and how many of them trained to their end; search_until_s: of the clock, None
    without one; all_s: the whole study, where no clock holds; features_s: by input size, computed once; memory: of
    this machine, device: of its accelerator; None where the system does not tell, or there is none; words: the
    sentences that tell all this.
    """

    event_kind: ClassVar[str] = "forecast"
    epoch_s: Number = 0.0
    alone_s: Number = 0.0
    mean_s: Number = 0.0
    slower: Number = 1.0
    recipes: int = 0
    whole: int = 0
    search_until_s: Number | None = None
    clock_s: Number | None = None
    all_s: Number | None = None
    memory: Memory | None = None
    device: Memory | None = None
    features_s: Mapping[str, Number] = field(default_factory=dict)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastCorrected:
    """The forecast after the first round that trained. all_s: the whole study, where no clock holds."""

    event_kind: ClassVar[str] = "forecast_corrected"
    sparse: ClassVar[frozenset[str]] = frozenset({"all_s"})
    mean_s: Number = 0.0
    recipes: int = 0
    whole: int = 0
    all_s: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesUsed:
    """What trains which group of recipes here, all that was chosen so far."""

    event_kind: ClassVar[str] = "engines"
    used: tuple[Plain, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Trials were trained for so many seconds, their inputs aside."""

    event_kind: ClassVar[str] = "trained"
    trained_s: Number = 0.0
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRestarted:
    """The process that trains ended, and was started again."""

    event_kind: ClassVar[str] = "worker_restarted"
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The user stopped the study; it can be resumed."""

    event_kind: ClassVar[str] = "stopped"
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The study ended without a result. code: of the exit."""

    event_kind: ClassVar[str] = "ended"
    why: str = ""
    code: int = 0
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The trials are those of another program. names: the recipe field of each of its parameters; absent: trials in
    whose recipe a dimension plays no part."""

    event_kind: ClassVar[str] = "imported"
    source: str = ""
    kind: str = ""
    name: str = ""
    metric: str = ""
    mode: Literal["min", "max"] = "min"
    names: Mapping[str, str] = field(default_factory=dict)
    space: Plain = field(default_factory=dict)
    absent: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: int = 0
    notes: tuple[str, ...] = ()


StudyEvent = (
    Opened | Clock | PlanEvent | SpaceKept | SpaceAsked | Region | Rest | SearchEnded | FinalistsChosen | MoreSeeds
    | TuningJudged | SealOpened | Delivered | Forecast | ForecastCorrected | EnginesUsed | Trained | WorkerRestarted
    | Stopped | Ended | Imported
)  # fmt: skip

# Of each kind the last one is held by the study's state, under the kind's own name.
EVENTS: Mapping[str, type[StudyEvent]] = {
    kind.event_kind: kind
    for kind in (
        Opened, Clock, PlanEvent, SpaceKept, SpaceAsked, Region, Rest, SearchEnded, FinalistsChosen, MoreSeeds,
        TuningJudged, SealOpened, Delivered, Forecast, ForecastCorrected, EnginesUsed, Trained, WorkerRestarted,
        Stopped, Ended, Imported,
    )
}  # fmt: skip


def event_of(value: StudyEvent) -> Event:
    """The event that keeps a value; what is sparse stands in it only where it says something."""
    sparse: frozenset[str] = getattr(value, "sparse", frozenset())
    plain = to_plain(value)
    said = {k: v for k, v in plain.items() if k not in sparse or not (v is None or v is False)}
    return Event(value.event_kind, said)


def read_event(event: Event) -> StudyEvent | None:
    """What an event says; None for a kind that is not held here. Raises StorageError for a damaged one."""
    kind = EVENTS.get(event.kind)
    return None if kind is None else from_plain(kind, event.data, what=f"event {event.id} ({event.kind})")
