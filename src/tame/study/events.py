"""The events of a study besides decisions, curves and findings: a frozen value for each kind.

Defaults for keys that older studies lack are here and nowhere else. `read_event` reads what `event_of` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from tame.adjust.guard import Rest
from tame.core.edits import Edit, Edited
from tame.core.evaluation import Difference
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value
from tame.core.records import Event, TrialState
from tame.core.result_parts import MoreData
from tame.trial.commands import How

Number = int | float
Plain = Mapping[str, object]
DataFacts = Mapping[str, object]  # from the source of a kind of data; the kind has a type for it
Wish = Literal["pause", "go_on", "stop", "time", "mute", "space", "edit"]
ResultPlain = Mapping[str, object]  # the content of report.json; core/result.py has the type for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The study was started with this config. id: random, by which the user who started it is recognised."""

    event_kind: ClassVar[str] = "opened"
    sparse: ClassVar[frozenset[str]] = frozenset({"id"})
    id: str | None = None
    config: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A resume gave the study another clock before anything was trained."""

    event_kind: ClassVar[str] = "clock"
    time_s: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEvent:
    """The plan as it was drafted, in JSON values.

    fixed: fields that are not searched; left_out: dimensions left out because there are too few recipes; recipes: how
    many the clock or the user allows, if known; search_until_s, end_s, other_size_s, tuning_s: as in `Plan`; epoch_s:
    of fine-tuning at the least cost; cohort, pair, company_s, inputs_s: known only after a rehearsal.
    """

    event_kind: ClassVar[str] = "plan"
    sparse: ClassVar[frozenset[str]] = frozenset({"cohort", "pair", "company_s", "inputs_s", "reasons", "tuning_s"})
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
    tuning_s: Number | None = None
    reasons: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUpProbed:
    """The user's own network was tried before the search. wall_s: what that took; not_run: probes that were not run."""

    event_kind: ClassVar[str] = "set_up"
    wall_s: Number = 0.0
    not_run: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceKept:
    """The space of the study from here on, and why it changed."""

    event_kind: ClassVar[str] = "space"
    space: Plain
    reason: str = ""
    evidence: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceAsked:
    """The space that a resume asks for, until the study has checked it; empty texts afterwards."""

    event_kind: ClassVar[str] = "space_asked"
    texts: tuple[str, ...] = ()
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked of the study while it runs. id: random, so that nothing is taken twice.

    seconds: of more time; code: of the finding that is to be left out; texts: new or wider dimensions; edit: of an
    example, for the next study.
    """

    event_kind: ClassVar[str] = "asked"
    sparse: ClassVar[frozenset[str]] = frozenset({"seconds", "code", "texts", "edit"})
    id: str = ""
    what: Wish = "go_on"
    seconds: Number | None = None
    code: str | None = None
    texts: tuple[str, ...] | None = None
    edit: Edit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of what was asked just before. done: whether it was done; reason: why, or why not."""

    event_kind: ClassVar[str] = "answered"
    id: str = ""
    done: bool = False
    reason: str = ""
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The bounds of new proposals from here on: "low" or "high" by dimension."""

    event_kind: ClassVar[str] = "region"
    bounds: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    reason: str = ""
    evidence: Plain = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A remedy: the changed field, its value before and after, and the trials with it, one per seed.

    is_free: whether the curve of the patient already shows what comes of it, so that nothing is trained.
    """

    field: str
    before: Value
    after: Value
    trials: tuple[int, ...]
    is_free: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescribed:
    """Remedies are tried against a finding. code, seen, epoch: the finding, its title, and the epoch it was seen at.

    patient: the trial with the finding; beside: trials of its recipe with the seeds of the remedies, in their order;
    epochs: that all of these train.
    """

    event_kind: ClassVar[str] = "prescribed"
    code: str = ""
    seen: str = ""
    epoch: int = 0
    evidence: Plain = field(default_factory=dict)
    patient: int = 0
    beside: tuple[int, ...] = ()
    tried: tuple[Tried, ...] = ()
    epochs: int = 0

    @property
    def first(self) -> int:
        """The first trial of the first remedy, by which a case is known."""
        return self.tried[0].trials[0]

    @property
    def trials(self) -> tuple[int, ...]:
        """All trials that are there for it alone."""
        every = (*self.beside, *(number for each in self.tried for number in each.trials))
        return tuple(number for number in every if number != self.patient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a remedy. trial: its first; difference: of the validation loss, below 0 where it is lower; chance:
    the p-value, raised for all remedies of the case; kept: whether it is a candidate from here on."""

    trial: int
    verdict: Literal["helped", "no real difference", "hurt", "diverged", "not finished"]
    kept: bool = False
    difference: Difference | None = None
    chance: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedied:
    """The remedies of a case were judged. trial: the first trial of its first remedy."""

    event_kind: ClassVar[str] = "remedied"
    trial: int = 0
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEnded:
    """The search has ended. worthless: whether because further trials were unlikely to help."""

    event_kind: ClassVar[str] = "search_ended"
    used_s: Number = 0.0
    reason: str = ""
    worthless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistsChosen:
    """The trials whose recipes are trained again, and their first seeds. over: whether no more trials join."""

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
class RecipePriced:
    """What a network takes once it is delivered, or several together. shape: all that it depends on, as a text;
    latency_s: of one example alone; size_bytes: of its files."""

    event_kind: ClassVar[str] = "priced"
    shape: str = ""
    latency_s: Number = 0.0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChanged:
    """A resume gave the study other limits, by objective; they take the place of those before."""

    event_kind: ClassVar[str] = "limits"
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJudged:
    """Whether fine-tuning is kept, and why; the difference from the best frozen network if it was trained."""

    event_kind: ClassVar[str] = "tuning_judged"
    sparse: ClassVar[frozenset[str]] = frozenset({"difference", "trial"})
    kept: bool = False
    why: str = ""
    difference: Difference | None = None
    trial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreDataJudged:
    """What more examples would be worth."""

    event_kind: ClassVar[str] = "more_data"
    found: MoreData = field(default_factory=lambda: MoreData(metric=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class SealOpened:
    """The labels of the sealed part were read.

    trial: the network that is scored, the first of `members` where several judge together; temperature: by which its
    logits are divided, None for 1.
    """

    event_kind: ClassVar[str] = "test_opened"
    sparse: ClassVar[frozenset[str]] = frozenset({"members", "temperature"})
    n: int = 0
    trial: int = 0
    used_s: Number = 0.0
    members: tuple[int, ...] | None = None
    temperature: Number | None = None

    @property
    def trials(self) -> tuple[int, ...]:
        """All networks that are scored together."""
        return self.members or (self.trial,)


class Answer(NamedTuple):
    """What is said of the example in a row; probability: of the predicted class, None of a number."""

    row: int
    predicted: str
    probability: Number | None


class Odd(NamedTuple):
    """An example that is unlike the training examples. distance: above 1."""

    row: int
    distance: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPart:
    """Answers on a part. n: its examples; wrong: how many of them were wrong, or far off; right: as many others as
    there are mistakes here, drawn at random."""

    n: int = 0
    wrong: int = 0
    mistakes: tuple[Answer, ...] = ()
    right: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """What the delivered model says of single examples, kept once the test part was opened. valid: of the validation
    examples, by networks that were not trained on them; odd: examples outside the test part, and in it, that are unlike
    the training examples; also_wrong: rows of mistakes in the test part beyond those of `test`, None where there are
    none, or where an older study does not tell."""

    event_kind: ClassVar[str] = "judgements"
    sparse: ClassVar[frozenset[str]] = frozenset({"also_wrong"})
    valid: OfPart = field(default_factory=OfPart)
    test: OfPart = field(default_factory=OfPart)
    odd: tuple[Odd, ...] = ()
    also_wrong: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The model was written. files: with their SHA-256; checked: examples with the same prediction as when scored."""

    event_kind: ClassVar[str] = "delivered"
    files: Mapping[str, str] = field(default_factory=dict)
    checked: int = 0
    largest_difference: Number = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. needs: peak of all processes; available: what they already use plus what is free."""

    needs: int
    available: int | None

    @property
    def is_short(self) -> bool:
        return self.available is not None and self.needs > self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of a study. epoch_s, alone_s: an epoch of the default recipe with its folds, trained with others and
    alone; mean_s: of all recipes, overhead included; slower: factor by which other programs slow it down now, already
    included in these seconds.

    recipes, whole: how many start, and how many of them are trained to the end; search_until_s: of the clock, None
    without one; used_s: of it by then, unknown in older studies; all_s: the whole study, without a clock; features_s:
    by input size, computed once; memory: of this machine, device: of its accelerator; None if unknown or absent;
    words: all this in sentences.
    """

    event_kind: ClassVar[str] = "forecast"
    sparse: ClassVar[frozenset[str]] = frozenset({"used_s"})
    epoch_s: Number = 0.0
    alone_s: Number = 0.0
    mean_s: Number = 0.0
    slower: Number = 1.0
    recipes: int = 0
    whole: int = 0
    search_until_s: Number | None = None
    clock_s: Number | None = None
    used_s: Number | None = None
    all_s: Number | None = None
    memory: Memory | None = None
    device: Memory | None = None
    features_s: Mapping[str, Number] = field(default_factory=dict)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastCorrected:
    """The forecast after the first round of training. all_s: the whole study, without a clock."""

    event_kind: ClassVar[str] = "forecast_corrected"
    sparse: ClassVar[frozenset[str]] = frozenset({"all_s"})
    mean_s: Number = 0.0
    recipes: int = 0
    whole: int = 0
    all_s: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HowChosen:
    """These trials begin now, and are trained in this way whenever they are trained; None in no event."""

    event_kind: ClassVar[str] = "how"
    trials: tuple[int, ...] = ()
    how: How | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementKept:
    """What was measured of the engines for one kind of recipes. key: names it; value: plain values, which only the
    worker reads."""

    event_kind: ClassVar[str] = "measured"
    key: str = ""
    value: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesUsed:
    """Which engine trains which group of recipes: all choices so far."""

    event_kind: ClassVar[str] = "engines"
    used: tuple[Plain, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Trials were trained for this many seconds, without preparing inputs."""

    event_kind: ClassVar[str] = "trained"
    trained_s: Number = 0.0
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersHired:
    """Several workers train from here on. threads: of each while all of them train; gpus: one for each, or none; ray:
    "local" or the address of a cluster, None where they are children of the coordinator."""

    event_kind: ClassVar[str] = "workers"
    sparse: ClassVar[frozenset[str]] = frozenset({"ray"})
    workers: int = 1
    threads: int = 1
    gpus: tuple[str, ...] = ()
    ray: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRestarted:
    """The training process ended and was started again."""

    event_kind: ClassVar[str] = "worker_restarted"
    how: str = ""


class Row(NamedTuple):
    """A trial in a few values: epochs trained; loss and metric of the weights that are judged; what its recipe
    changes."""

    number: int
    origin: str
    state: TrialState
    epochs: int
    loss: Number | None
    metric: Number | None
    changes: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All trials as the events before this one tell them. base: the recipe that theirs change."""

    event_kind: ClassVar[str] = "summary"
    base: Mapping[str, Value] = field(default_factory=dict)
    trials: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The user stopped the study; it can be resumed."""

    event_kind: ClassVar[str] = "stopped"
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The study ended without a result. code: the exit code."""

    event_kind: ClassVar[str] = "ended"
    why: str = ""
    code: int = 0
    used_s: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The trials come from another program. names: the recipe field of each of its parameters; absent: trials that do
    not have a dimension."""

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
    Opened | Edited | Clock | PlanEvent | SetUpProbed | SpaceKept | SpaceAsked | Asked | Answered | Region | Rest
    | Prescribed | Remedied | SearchEnded | FinalistsChosen | MoreSeeds | RecipePriced | LimitsChanged | TuningJudged
    | MoreDataJudged | SealOpened | Judgements | Delivered | Forecast | ForecastCorrected | HowChosen | MeasurementKept
    | EnginesUsed | Trained | WorkersHired | WorkerRestarted | Summary | Stopped | Ended | Imported
)  # fmt: skip

# The study's state holds the last event of each kind, under the name of the kind, and all cases.
EVENTS: Mapping[str, type[StudyEvent]] = {
    kind.event_kind: kind
    for kind in (
        Opened, Edited, Clock, PlanEvent, SetUpProbed, SpaceKept, SpaceAsked, Asked, Answered, Region, Rest, Prescribed,
        Remedied, SearchEnded, FinalistsChosen, MoreSeeds, RecipePriced, LimitsChanged, TuningJudged, MoreDataJudged,
        SealOpened, Judgements, Delivered, Forecast, ForecastCorrected, HowChosen, MeasurementKept, EnginesUsed,
        Trained, WorkersHired, WorkerRestarted, Summary, Stopped, Ended, Imported,
    )
}  # fmt: skip


def event_of(value: StudyEvent) -> Event:
    """The event that stores a value; sparse fields are left out if they are None or False."""
    sparse: frozenset[str] = getattr(value, "sparse", frozenset())
    plain = to_plain(value)
    said = {k: v for k, v in plain.items() if k not in sparse or not (v is None or v is False)}
    return Event(value.event_kind, said)


def read_event(event: Event) -> StudyEvent | None:
    """The value of an event; None for a kind not defined here. Raises StorageError for a damaged one."""
    kind = EVENTS.get(event.kind)
    return None if kind is None else from_plain(kind, event.data, what=f"event {event.id} ({event.kind})")
