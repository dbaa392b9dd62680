"""The commands of a study to its worker, their answers, and the messages on the way. Does not load torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tame.core.probed import Probed
from tame.core.rate_range import RateRange
from tame.core.recipe import Recipe
from tame.core.records import Point

Fold = int | None  # the fold that a member leaves out; None: it trains on all examples
Plain = Mapping[str, object]  # JSON values whose types only one kind of data knows
Outputs = Sequence[Sequence[float]]  # (n, C) canonical outputs of examples


# Requests


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsealed:
    """The examples that are not sealed. rows: of the data; targets: (N,) class numbers, or numbers, or (N, C) shares.

    folds: the fold that validates each example, -1 for none; num_classes: 0 for a regression; costs: (C, C), of
    confusing a true class with another; weights: (N,) above 0, where an example counts as so many.
    """

    rows: Sequence[int]
    targets: Sequence[int | float | Sequence[float]]
    folds: Sequence[int]
    num_classes: int
    task: str  # binary, multiclass or regression
    costs: Sequence[Sequence[float]] | None = None
    weights: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """How a trial is trained, as measurements chose it when it began: stacked or serial, and its matrix products.

    Numbers differ in their last digits between these, so a trial keeps the way in which it began.
    """

    stacked: bool
    onednn: bool = False
    half: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A trial to train. inherited: epochs that a copy has from its parent; how: None if it has not begun; group: which
    trials it is trained with, where that was arranged."""

    trial: int
    recipe: Recipe
    inherited: int = 0
    how: How | None = None
    group: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCopy:
    """A new trial that starts from the state of another, its source, after this epoch."""

    trial: int
    recipe: Recipe
    source: int
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StateOf:
    """The weights of a trial after a number of epochs.

    losses: its validation losses, one per epoch, if its rates depended on them; how: None if that is not known.
    """

    trial: int
    recipe: Recipe
    epochs: int
    losses: Sequence[float | None] | None = None
    how: How | None = None


@dataclass(frozen=True, slots=True)
class MemberOf:
    """One network of a trial: the one that leaves out this fold."""

    state: StateOf
    fold: Fold


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """The place of a process among those that train one network together. number: from 0; count: how many they are.

    folder: an empty one, through which they find each other.
    """

    number: int
    count: int
    folder: str


# Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUse:
    """How recipes of a shape are trained: how many members together, by which engine, and why."""

    group: str
    members: int
    engine: Literal["stacked", "serial"]
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Arranged:
    """Trials in groups, those that take longest first, and in which way each group is trained.

    at_once: how many groups one of several workers trains side by side; is_shared: whether all workers may train the
    only group together; engines, preparing_s: as in `Advanced`.
    """

    groups: tuple[tuple[int, ...], ...]
    hows: tuple[How, ...]
    at_once: int
    is_shared: bool
    engines: tuple[EngineUse, ...]
    preparing_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Advanced:
    """The engines chosen so far, and the seconds until the inputs of the trials were ready."""

    engines: tuple[EngineUse, ...]
    preparing_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """Seconds per epoch of one member in a group, of one alone, and of two alone; and those that its inputs took, which
    are ready afterwards."""

    epoch_s: float
    alone_s: float
    pair_s: float
    prepare_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceMemory:
    """Of an accelerator: the most bytes used so far, and its total memory."""

    peak_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUse:
    """The most bytes that the training process has used so far, and those that training will add.

    process: its id; peak_bytes: None if the system does not report it; device: None if there is none.
    """

    process: int
    peak_bytes: int | None
    adds_bytes: int
    device: DeviceMemory | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Outputs for the validated examples, each from the member that has not seen it. rows: of the data, in order."""

    rows: Sequence[int]
    outputs: Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """What networks that are delivered together take. latency_s: of one example alone; size_bytes: of their files."""

    latency_s: float
    size_bytes: int


# Messages on the way


@dataclass(frozen=True, slots=True)
class Chosen:
    """These trials begin now, and are trained in this way."""

    trials: Sequence[int]
    how: How


@dataclass(frozen=True, slots=True)
class EngineMeasured:
    """What was measured of the engines for one kind of recipes, which is not measured again in this study.

    key: names the kind; value: plain values, which only the worker reads.
    """

    key: str
    value: object


@dataclass(frozen=True, slots=True)
class PointMeasured:
    """A trial was trained for one more epoch; sent again for epochs that a checkpoint holds."""

    trial: int
    point: Point


@dataclass(frozen=True, slots=True)
class EndedEarly:
    """A trial stopped before its last epoch; the weights of its best epoch are kept."""

    trial: int
    best: int


@dataclass(frozen=True, slots=True)
class Saved:
    """The measurements of these trials can no longer be lost, or need not be kept."""

    trials: Sequence[int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many steps of some work are done."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Doing:
    """Which of the user's own code runs next, "" for none, and its time limit in seconds, None for no limit."""

    what: str
    limit_s: float | None


Message = Chosen | EngineMeasured | PointMeasured | EndedEarly | Saved | Progress | Note | Doing


class Commands(Protocol):
    """The commands of a worker: one method per command.

    Any command may raise a TameError of its own, StoppedError after the user stopped the study, and WorkerError if no
    worker is left to carry it out.
    """

    # What the study is about

    def open(self, kind: str, given: Plain) -> Plain:
        """Opens data of this kind, described by its source. Returns the facts about it."""
        ...

    def ask(self, question: str, given: Plain) -> Plain:
        """The answer to a question that only this kind of data can answer."""
        ...

    def tell(self, question: str, given: Plain) -> None:
        """As `ask`, if later commands depend on it: a restarted process gets it again."""
        ...

    def learn(self, examples: Unsealed) -> None:
        """Passes the examples that are not sealed; later commands are about them."""
        ...

    # Before training

    def check(self, recipes: Sequence[Recipe], *, also: Sequence[Recipe] = (), given: Sequence[str] = ()) -> None:
        """Checks that every part that these recipes name exists and fits. Raises UsageError with the fix.

        also: more recipes that may be trained; given: fields that the user fixed or searches; each must have an effect
        in at least one of these recipes.
        """
        ...

    def rehearse(self, recipe: Recipe, *, folds: Sequence[Fold]) -> Rehearsed:
        """How long an epoch of a recipe takes here, measured in a few steps."""
        ...

    def memory(
        self, recipes: Sequence[Recipe], *, folds: Sequence[Fold], tuning: Recipe | None, rehearsed: Recipe | None
    ) -> MemoryUse:
        """The memory that training these recipes together will need.

        tuning: the recipe that a backbone may be fine-tuned with; rehearsed: for a network from scratch, the recipe
        that was rehearsed.
        """
        ...

    def probe(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> Probed:
        """What a rehearsal of an untrained network of this recipe measures within so many seconds."""
        ...

    def rates(self, recipe: Recipe, *, folds: Sequence[Fold], limit_s: float) -> RateRange:
        """What the loss of an untrained network of this recipe does while its learning rate rises, step by step, within
        so many seconds."""
        ...

    def slowdown(self, recipe: Recipe) -> float:
        """The factor by which other processes on this machine slow down the steps of a recipe; 1 where what is
        measured of them already includes it."""
        ...

    # Training

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        """Trains trials to a total number of epochs, each as one member per fold.

        final: whether they may be delivered, so that their states are kept. Sends Chosen for trials that begin,
        PointMeasured for every epoch of every trial, EndedEarly for one that stops early, and Saved once all of this is
        safe.
        """
        ...

    def advance_together(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool, seat: Seat
    ) -> None:
        """As `advance`, by several processes that train the same group together, as they were arranged.

        All begin with the last checkpoint. The first one sends messages and saves for all. Raises ApartError where one
        of them is gone.
        """
        ...

    def arrange(self, trials: Sequence[Asked], *, folds: Sequence[Fold], workers: int) -> Arranged:
        """How these trials are divided among so many workers, with the engines that were measured once for all of them.

        Sends Chosen for trials that begin.
        """
        ...

    def hand_over(self, trials: Sequence[int]) -> None:
        """Saves what this worker alone knows of these trials, so that another can continue from it."""
        ...

    def take_over(self, trials: Sequence[int]) -> None:
        """Forgets what this worker knows of these trials: another one has trained them since, and saved them."""
        ...

    def copy(self, trials: Sequence[AskedCopy], *, folds: Sequence[Fold]) -> None:
        """Creates new trials from the states of others, with recipes of their own, and saves them.

        A trial that already exists, from before a kill, is left as it is. Raises StorageError if the source's state is
        lost.
        """
        ...

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        """Drops trials that will never continue, and the checkpoints that contain none of `keep`."""
        ...

    # Judging

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        """A trial's outputs for the validated examples, each from the member that has not seen it."""
        ...

    def on_fewer(self, state: StateOf, *, folds: Sequence[Fold], rows: Sequence[int]) -> Validation:
        """As `validation`, of networks with that recipe which are trained from the first epoch on these rows of the
        data alone, of those that they train on. Nothing of them is kept."""
        ...

    def price(self, recipes: Sequence[Recipe], *, fold: Fold, labels: Sequence[str], row: int) -> Priced:
        """What networks with these recipes take that are delivered together. None of them is trained for it.

        fold: that they would leave out; row: of the data, for the example that they judge.
        """
        ...

    def train_again(self, members: Sequence[MemberOf]) -> None:
        """Trains members that were dropped or never trained, so that they can be judged."""
        ...

    def network(
        self, members: Sequence[MemberOf], *, labels: Sequence[str], temperature: float = 1.0, remembers: bool = False
    ) -> None:
        """Makes these members together the network that is judged and delivered from now on.

        temperature: by which their logits are divided; remembers: whether it is also to tell inputs that are unlike
        its training examples.
        """
        ...

    def distances(self, rows: Sequence[int]) -> Sequence[float]:
        """How unlike that network's training examples rows of the data are, above 1 where one is flagged; empty where
        that is not known."""
        ...

    def judge(self, rows: Sequence[int]) -> Outputs:
        """Canonical outputs of that network for rows of the data."""
        ...

    def deliver(self, folder: str) -> Mapping[str, str]:
        """Writes that network as a model folder, and returns its files with their SHA-256."""
        ...

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        """Canonical outputs of the network in a model folder, from the folder and the raw examples alone."""
        ...
