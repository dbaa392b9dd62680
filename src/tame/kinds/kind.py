"""A kind of data: all that a study, its report and its worker must know of pictures, tables or arrays.

What loads much (reading, splitting, training) is named by a reference, "package.module:name", and loaded when it is
called for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np

from tame.adjust.portfolio import Preset
from tame.core.config import StudyConfig
from tame.core.edits import Edit, Edited
from tame.core.errors import DataError, UsageError, require
from tame.core.recipe import Recipe
from tame.core.records import Finding
from tame.core.result_parts import BackboneFacts, Task
from tame.kinds.costs import Costs, Speed
from tame.parts.beside_torch import UNFIT, misfit
from tame.trial.commands import Plain

if TYPE_CHECKING:
    from tame.data.images import Skipped
    from tame.data.split import Sealed, Split  # scikit-learn takes a second to load, and a report does not need it
    from tame.parts.network import Build  # which loads torch

Rehearse = Callable[[Recipe], float]  # seconds that an epoch of a recipe takes, from a few steps
Phase = Callable[[str], None]  # hears what is being done now
PARTS = ("train", "val", "test", "aside", "excluded")  # of a split


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """How texts are trained on. block: tokens that a model sees at once; batch: blocks in a step; epochs: at most;
    parameters: of the model; runs: whole trainings that the clock is for."""

    block: int
    batch: int
    epochs: int
    parameters: int
    runs: int


@dataclass(frozen=True, slots=True)
class Data:
    """The examples of a study in their order, and how they are split. Targets of the test part are in `sealed` only.

    kind: its name; task: binary, multiclass, regression or language-model. targets: (N,) class numbers, -1 in the test
    part; or numbers, NaN there; of a language model the bits per character before it was adapted. shares: (N, C) of
    classes, NaN there, where examples come with probabilities; `targets` are then the likeliest. weights: (N,) above 0,
    what an example counts as; None: all alike. side: median shorter side of pictures, in pixels. twins: examples of the
    test part that are equal to one that is trained on, as examples of few different values are by chance. groups: (N,)
    as of `Opened`, once it is open. texts: of these columns, how many hold texts, and whether an encoder has read them;
    lengths: tokens that it reads of each, the one to begin with first; encoder_blocks: that it has.

    Raises UsageError for data that cannot be judged honestly: parts that are not known, rows of the test part that are
    not sealed or validate something, their targets in the open, lengths that differ.
    """

    kind: str
    task: str
    metric: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    targets: np.ndarray
    split: Split
    sealed: Sealed
    side: int = 0
    backbone: BackboneFacts | None = None
    columns: int = 0  # of a table, that are trained on
    refits: bool = False  # whether what is delivered is also trained on the part that chose
    shares: np.ndarray | None = None
    twins: tuple[int, ...] = ()
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None
    texts: tuple[int, bool] = (0, False)
    lengths: tuple[int, ...] = ()
    encoder_blocks: int = 0
    blocks: Blocks | None = None  # of texts for a language model

    def weights_of(self, rows: Sequence[int]) -> np.ndarray | None:
        """(n,) what these examples count as; None where all count alike."""
        return None if self.weights is None else self.weights[np.asarray(rows, dtype=np.int64)]

    def groups_of(self, rows: Sequence[int]) -> np.ndarray | None:
        """(n,) which of these examples belong together; None where each stands for itself."""
        own = None if self.groups is None else self.groups[np.asarray(rows, dtype=np.int64)]
        return None if own is None or len(np.unique(own)) == len(own) else own

    def __post_init__(self) -> None:
        num, split = len(self.ids), self.split
        _sound(self.task in get_args(Task), self.kind, f"a task {self.task!r}; known are {', '.join(get_args(Task))}")
        parts = sorted(set(split.part) - set(PARTS))
        _sound(not parts, self.kind, f"examples in a part {parts[0] if parts else ''!r}; known are {', '.join(PARTS)}")
        lengths = {"parts": len(split.part), "folds": len(split.fold), "targets": len(self.targets)}
        lengths |= {} if self.shares is None else {"shares": len(self.shares)}
        lengths |= {} if self.weights is None else {"weights": len(self.weights)}
        other = next((name for name, length in lengths.items() if length != num), "")
        _sound(not other, self.kind, f"{num} examples, but {lengths.get(other)} {other}")
        _sound(len(set(self.ids)) == num, self.kind, "two examples with one id")
        hidden = split.rows("test")
        _sound(list(self.sealed.rows) == hidden, self.kind, "a test part that is not the part which is sealed")
        fold = max(split.fold, default=0)
        _sound(fold < max(split.folds, 1), self.kind, f"an example in fold {fold}, but {split.folds} folds from 0 on")
        unjudged = np.array(split.fold)[split.rows("test", "aside", "excluded")]
        _sound(bool((unjudged == -1).all()), self.kind, "examples of the test part that are also chosen by")
        counts = self.weights is None or bool((np.isfinite(self.weights) & (self.weights > 0)).all())
        _sound(counts, self.kind, "weights that are not numbers above 0")
        known = self.targets >= 0 if self.classes else ~np.isnan(self.targets)
        _sound(not known[hidden].any(), self.kind, "targets of the test part that are not hidden")
        _sound(bool(known[self.rows].all()), self.kind, "examples to train on without a target")
        _sound(
            self.shares is None or bool(np.isnan(self.shares[hidden]).all()), self.kind, "shares that are not hidden"
        )

    @property
    def rows(self) -> list[int]:
        """The examples that are trained on and chosen by."""
        return self.split.rows("train", "val")

    @property
    def whole(self) -> bool:
        """Whether what is delivered is trained on all that is not sealed: after folds, or after a part that TAME
        cut."""
        return self.split.folds > 1 or self.refits

    @property
    def num_runs(self) -> int:
        """How many networks a fine-tuned trial is: one a fold, and one on all examples if that one is delivered."""
        return self.split.folds + self.whole

    @property
    def num_valid(self) -> int:
        """Examples that recipes are judged on while searching."""
        return sum(fold >= 0 for fold in self.split.fold)

    def truth(self, rows: Sequence[int]) -> np.ndarray:
        """What is known of these examples: targets (n,), or shares of classes (n, C)."""
        return np.asarray((self.targets if self.shares is None else self.shares)[list(rows)])

    def learnt(self) -> np.ndarray:
        """What is known of the examples that are not sealed: targets (n,), or shares of classes (n, C)."""
        return self.truth(self.rows)


class Facts(Protocol):
    """What a study keeps of its data as its "data" event: a frozen dataclass of plain values, of each kind its own.

    classes: () of a regression; counts: examples of each class by part of the split, or "rows" of a regression; notes:
    what was found in reading; split: how it was made, in words; pairs: rows that are the same or nearly; digests: of
    all that was read: where one is another, the data has changed.
    """

    @property
    def kind(self) -> str: ...

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def split(self) -> str: ...

    @property
    def folds(self) -> int: ...

    @property
    def pairs(self) -> Sequence[tuple[int, int]]: ...

    @property
    def digests(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a study before its data is read. data: its "data" event, where it goes on; speed: of its
    backbone here; edits: that are to be applied to the data; used_s: of the clock, before anything is read."""

    data: Plain | None = None
    speed: Speed | None = None
    edits: tuple[Edit, ...] | None = None
    used_s: float = 0.0

    def require_same(self, digests: Sequence[str], what: str) -> None:
        """Raises DataError where the data is not what the study began with. what: pictures, table."""
        same = self.data is None or self.data.get("digests") == list(digests)
        require(same, f"the {what} changed since the study began", error=DataError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Data that was read, judged and split. groups: (N,) numbers, the same for what may not be parted; skipped: files
    that were left out; edited: the edits that were applied, None where there were none. Raises UsageError for facts
    that are not a dataclass, and for groups of another length."""

    data: Data
    facts: Facts
    groups: np.ndarray
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    edited: Edited | None = None

    def __post_init__(self) -> None:
        kind, num = self.data.kind, len(self.data.ids)
        is_own = is_dataclass(self.facts) and self.facts.kind == kind
        _sound(is_own, kind, "facts that are not a dataclass of this kind")
        _sound(len(self.groups) == num, kind, f"{num} examples, but {len(self.groups)} groups")


def _sound(claim: bool, kind: str, found: str) -> None:
    """Raises UsageError for what the code of a kind of data returned, unless the claim holds."""
    require(
        claim, f"the source of the kind of data {kind!r} returned {found}: this is a fault of the code that adds it"
    )


class Port(Protocol):
    """The worker, as a kind of data sees it. What is given and answered are plain JSON values."""

    def open(self, kind: str, given: Plain) -> Plain:
        """Opens data of this kind there. Returns what is known of it then."""
        ...

    def ask(self, question: str, given: Plain) -> Plain:
        """The answer to a question that only this kind of data knows."""
        ...

    def tell(self, question: str, given: Plain) -> None:
        """As `ask`, where what follows depends on it: a process that is started again is told it again."""
        ...


class Read(Protocol):
    """How a kind of data is read. Raises DataError and UsageError.

    The test part is sealed from here on. Where `known` has data, that is what must be found again. folder: of the
    study, where arrays lie that were given from Python, or that are handed to the worker.
    """

    def __call__(self, config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened: ...


class MissingS(Protocol):
    """Seconds that the features of a recipe still take at a size."""

    def __call__(self, port: Port, data: Data, recipe: Recipe, speed: Speed, *, size: int) -> float: ...


class Prepare(Protocol):
    """Computes the features of a recipe at a size, or finds them."""

    def __call__(self, port: Port, recipe: Recipe, *, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Features:
    """What a kind knows of features that are computed before anything trains on them.

    costs: what they will take, None where there is no backbone.
    """

    costs: Callable[[StudyConfig, Data, Port, Rehearse], Costs | None]
    missing_s: MissingS
    prepare: Prepare


class TunedRecipes(Protocol):
    """Recipes that train the last parts of what was pretrained, the costliest first, each with what an epoch of it
    costs, in epochs of the last one; () where there is nothing to train. head: the recipe of the best network that
    leaves it as it is; sizes: whose features were computed; epochs: of each."""

    def __call__(
        self, data: Data, head: Recipe, sizes: Sequence[int], *, epochs: int, seed: int
    ) -> Sequence[tuple[Recipe, float]]: ...


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a kind knows of fine-tuning. part, of: what `model.unfrozen` counts, such as "stage", "the backbone"."""

    recipes: TunedRecipes
    part: str
    of: str

    def trained(self, recipe: Recipe) -> str:
        """What a recipe trains: "the last 4 stages of the backbone"."""
        number = recipe.model.unfrozen
        return f"the last {f'{number} {self.part}s' if number > 1 else self.part} of {self.of}"


class Compare(Protocol):
    """Nothing, where the process that trains makes the modules that this one makes. Raises UsageError.

    where: the "file:name" that the other process imports.
    """

    def __call__(self, build: Build, recipes: Sequence[Recipe], port: Port, where: str) -> None: ...


class Keep(Protocol):
    """Keeps how the module of a recipe looks and what it says of a few examples in a folder, for `Recognise`."""

    def __call__(self, recipe: Recipe, port: Port, folder: Path) -> object: ...


class Recognise(Protocol):
    """Nothing, where a function still makes the module that was kept. Raises UsageError."""

    def __call__(self, folder: Path, build: Build) -> None: ...


class JudgeHere(Protocol):
    """Canonical outputs (n, C) of rows of the examples in a study's folder, by its delivered model as loaded here."""

    def __call__(self, model: Path, study: Path, build: Build, rows: Sequence[int]) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class OwnModel:
    """What a kind does with a model of the user's own in the process that has the function which makes it."""

    compare: Compare
    keep: Keep
    recognise: Recognise
    judge: JudgeHere


class MakePreset(Protocol):
    """The recipes and the space to begin with. sizes: of the inputs, where features are computed."""

    def __call__(self, config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What people read of a kind of data.

    noun: one example; new_input: such as a file for `tame predict`, "" where new examples are given from Python only;
    card_type, card_task: what model hubs call such data, and the first half of what they call the task; takes: a
    sentence on what the delivered model takes; stranger: what it can never say that it does not know; smaller: what
    needs less memory; is_file: whether each example is a file of its own; instead: how such a model is written for
    other programs where it cannot be an ONNX file.
    """

    noun: str
    new_input: str
    card_type: str
    card_task: str
    takes: str
    smaller: str
    stranger: str = ""
    is_file: bool = False
    instead: str = ""

    @property
    def nouns(self) -> str:
        """Several examples."""
        return f"{self.noun}s"

    @property
    def a_noun(self) -> str:
        """One example with its article."""
        return f"{'an' if self.noun[:1] in 'aeiou' else 'a'} {self.noun}"


def any_config(config: StudyConfig) -> None:
    """Refuses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of data.

    claims: whether a study's data is of this kind, by what it is (a folder, the ending of a file, a list of pictures);
    check: raises UsageError for settings that it does not take; uses: the parts of a recipe that it looks at, of those
    that some kinds do not (input, table, own, augment).
    cohort: how many recipes start together; runs: whole trainings that a cohort and its finalists come to, at the
    least; most_epochs: that a network may train where the clock decides, None for as many as the preset says;
    rehearses_many: whether what an epoch takes depends on the recipe so much that several are rehearsed; least_s:
    seconds that the smallest study takes on a quiet machine, from when its data is opened to its report; backbone: that
    a study begins with where none is named; has_linear, has_trees: whether it answers the questions of
    `kinds/linear.py` and `kinds/trees.py`;
    ensembles: whether several networks may be delivered as one, and are where that is better and nothing else is said;
    tuning: of what was pretrained, where there is such a thing.
    source, material, prediction, look, thumbnails: references to a `Read`, to what opens it for training
    (`OpenMaterial`), to what a delivered model does with new examples (`Prediction`), to what refuses bad data before
    anything is made, to what draws small pictures of examples, and to what opens them one by one (`OpenExamples`).
    own_model: to an `OwnModel`, where there can be one; onnx: to an `OnnxForm`, where a model can be an ONNX file.
    """

    name: str  # as files have it
    words: Words
    claims: Callable[[StudyConfig], bool]
    check: Callable[[StudyConfig], None] = any_config
    uses: frozenset[str] = field(default_factory=frozenset)
    preset: MakePreset
    cohort: Callable[[Data], int]
    runs: int
    most_epochs: int | None = None
    rehearses_many: bool = False
    least_s: float = 2.5
    has_linear: bool = False
    has_trees: bool = False
    backbone: str | None = None
    ensembles: bool = False
    features: Features | None = None
    tuning: Tuning | None = None
    source: str
    material: str
    prediction: str
    look: str = ""
    thumbnails: str = ""
    examples: str = ""
    own_model: str = ""
    onnx: str = ""

    def read(self, config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
        """Data that was read, judged and split: see `Read`."""
        read: Read = referred(self.source)
        opened: object = read(config, known, port, phase=phase, folder=folder)
        if not isinstance(opened, Opened):
            raise UsageError(
                f"the source of the kind of data {self.name!r} returned {type(opened).__name__}, not Opened"
            )
        return opened

    def own(self) -> OwnModel:
        """What it does with a model of the user's own. Raises UsageError where there can be none."""
        require(bool(self.own_model), f"{self.name} take no model of your own")
        found: OwnModel = referred(self.own_model)
        return found

    def look_at(self, config: StudyConfig) -> None:
        """Raises DataError for data that is easily seen to be of no use."""
        if self.look:
            look: Callable[[StudyConfig], None] = referred(self.look)
            look(config)

    def thumbnails_of(self, config: StudyConfig, sides: Mapping[str, int], folder: Path) -> Mapping[str, bytes]:
        """Small JPEG files by id, of those examples that can be shown and are still there.

        sides: the longer side of each, at most, in pixels; folder: of the study.
        """
        if not self.thumbnails or not sides:
            return {}
        draw: Callable[[StudyConfig, Mapping[str, int], Path], Mapping[str, bytes]] = referred(self.thumbnails)
        return draw(config, sides, folder)


def referred(reference: str) -> Any:  # what is referred to has the type that the caller states
    """What "package.module:name" refers to. Raises UsageError where a package that it needs does not fit torch."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except UNFIT as problem:
        if said := misfit(problem):
            raise UsageError(said) from problem
        raise
