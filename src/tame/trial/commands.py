"""What a study may ask of whoever trains for it, what is answered, and what is said on the way. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tame.core.recipe import Recipe
from tame.core.records import Point

Fold = int | None  # which examples a member leaves out; None: it learns from all of them
Plain = Mapping[str, object]  # values as JSON has them, which only one kind of data gives a type
Outputs = Sequence[Sequence[float]]  # (n, C) canonical outputs of examples


# What is asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsealed:
    """The examples that are not sealed. rows: of the data; targets: (N,) class numbers, or numbers, or (N, C) shares.

    folds: the fold that validates each example, -1 for none; num_classes: 0 for a regression; costs: (C, C), of taking
    a true class for another.
    """

    rows: Sequence[int]
    targets: Sequence[int | float | Sequence[float]]
    folds: Sequence[int]
    num_classes: int
    task: str  # binary, multiclass or regression
    costs: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A trial that is to be trained. inherited: epochs that it, as a copy, has from its parent."""

    trial: int
    recipe: Recipe
    inherited: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedCopy:
    """A new trial in the state that another, its source, has after this epoch."""

    trial: int
    recipe: Recipe
    source: int
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StateOf:
    """The weights that a trial has after so many epochs.

    losses: its validation losses, one an epoch, where its rates depended on them.
    """

    trial: int
    recipe: Recipe
    epochs: int
    losses: Sequence[float | None] | None = None


@dataclass(frozen=True, slots=True)
class MemberOf:
    """One network of a trial: the one that leaves out a fold."""

    state: StateOf
    fold: Fold


# What is answered


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUse:
    """What trains recipes of a shape here: so many members together, by which engine and why."""

    group: str
    members: int
    engine: Literal["stacked", "serial"]
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Advanced:
    """The engines that were chosen so far, and the seconds until the trials had their inputs."""

    engines: tuple[EngineUse, ...]
    preparing_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """Seconds of an epoch of one member in company, of one alone, of two that have no company; and what its inputs
    took, which are ready afterwards."""

    epoch_s: float
    alone_s: float
    pair_s: float
    prepare_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceMemory:
    """Of an accelerator: the most bytes that were held so far, and all that it has."""

    peak_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUse:
    """Bytes that the process which trains has held so far, and that training will add.

    process: its number; peak_bytes: None where the system does not tell; device: None where there is none.
    """

    process: int
    peak_bytes: int | None
    adds_bytes: int
    device: DeviceMemory | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Outputs of the validated examples, each by the member that has not seen it. rows: of the data, in order."""

    rows: Sequence[int]
    outputs: Outputs


# What is said on the way


@dataclass(frozen=True, slots=True)
class PointMeasured:
    """A trial has trained one epoch further; said again of what a checkpoint holds."""

    trial: int
    point: Point


@dataclass(frozen=True, slots=True)
class EndedEarly:
    """A trial has stopped before its last epoch; the weights of its best one are kept."""

    trial: int
    best: int


@dataclass(frozen=True, slots=True)
class Saved:
    """What was measured of these trials will not be lost any more, or need not be kept."""

    trials: Sequence[int]


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of the steps of some work are done."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the person who looks on."""

    text: str


@dataclass(frozen=True, slots=True)
class Doing:
    """What of the user's own is tried next, "" for nothing, and the seconds that it may take, None for any."""

    what: str
    limit_s: float | None


Message = PointMeasured | EndedEarly | Saved | Progress | Note | Doing


class Commands(Protocol):
    """What can be asked of whoever trains: one method a command.

    Any command may raise a TameError of its own, StoppedError after the user has stopped the study, and WorkerError
    where nobody is left to carry it out.
    """

    # What the study is about

    def open(self, kind: str, given: Plain) -> Plain:
        """Opens data of this kind, as its source gives it. Returns what is known of it then."""
        ...

    def ask(self, question: str, given: Plain) -> Plain:
        """The answer to a question that only this kind of data knows."""
        ...

    def tell(self, question: str, given: Plain) -> None:
        """As `ask`, where what follows depends on it: a process that is started again is told it again."""
        ...

    def learn(self, examples: Unsealed) -> None:
        """Gives the examples that are not sealed; later commands are about them."""
        ...

    # Before training

    def check(self, recipes: Sequence[Recipe], *, also: Sequence[Recipe] = (), given: Sequence[str] = ()) -> None:
        """Nothing, if every part that these recipes name exists and fits. Raises UsageError with the remedy.

        also: more recipes that may be trained; given: fields that the user fixed or searches, of which each must do
        something in one of all these recipes.
        """
        ...

    def rehearse(self, recipe: Recipe, *, folds: Sequence[Fold]) -> Rehearsed:
        """What an epoch of a recipe takes here, from a few steps."""
        ...

    def memory(
        self, recipes: Sequence[Recipe], *, folds: Sequence[Fold], tuning: Recipe | None, rehearsed: Recipe | None
    ) -> MemoryUse:
        """What training these recipes together will need.

        tuning: the recipe that a backbone may be fine-tuned with; rehearsed: of a network from scratch, the one that
        was rehearsed.
        """
        ...

    def slowdown(self, recipe: Recipe) -> float:
        """How many times as long others on this machine make the short steps of a recipe; 1 where steps are long, since
        what was measured of them contains it already."""
        ...

    # Training

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        """Trains trials until that many epochs in all, each as one member a fold.

        final: whether they may be delivered, so that their states are kept. Says PointMeasured of every epoch of every
        trial, EndedEarly of one that stops early, and Saved when all that is safe.
        """
        ...

    def copy(self, trials: Sequence[AskedCopy], *, folds: Sequence[Fold]) -> None:
        """Makes new trials of the state that others are in, with recipes of their own, and keeps them safe.

        A trial that is there already, from before a kill, is left as it is. Raises StorageError where the source's
        state is lost.
        """
        ...

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        """Drops trials that will never go on, and the checkpoints that contain none of `keep`."""
        ...

    # Judging

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        """What a trial says of the validated examples, each judged by the member that has not seen it."""
        ...

    def train_again(self, members: Sequence[MemberOf]) -> None:
        """Trains members that were let go, or that nobody has trained yet, so that they are there to be judged."""
        ...

    def network(self, member: MemberOf, *, labels: Sequence[str]) -> None:
        """Makes this member the network that is judged and delivered from here on."""
        ...

    def judge(self, rows: Sequence[int]) -> Outputs:
        """Canonical outputs of rows of the data by that network."""
        ...

    def deliver(self, folder: str) -> Mapping[str, str]:
        """Writes that network as a model folder, and returns its files with their SHA-256."""
        ...

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        """Canonical outputs by the network of a model folder, from the folder and the raw examples alone."""
        ...
