"""What a study asks the worker of pictures alone, with its types. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tame.core.errors import WorkerError
from tame.core.plain import from_plain, to_plain
from tame.core.result_parts import BackboneFacts
from tame.data.images import Picture, Skipped
from tame.data.light import Light
from tame.kinds.costs import Speed
from tame.kinds.kind import Port

T = TypeVar("T")
IMAGES = "images"  # the name of this kind of data


@dataclass(frozen=True, slots=True)
class Given:
    """What the process that trains opens. backbone: a name or a folder; None for networks from scratch."""

    pictures: tuple[Picture, ...]
    backbone: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of pictures once they are decoded. kept: ids; sides: the shorter one of each, in pixels."""

    kept: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    sides: tuple[int, ...]
    device: str
    backbone: BackboneFacts | None


@dataclass(frozen=True, slots=True)
class SpeedAsked:
    """known: what an earlier process of the same study ran with."""

    size: int
    crop: float
    known: Speed | None


@dataclass(frozen=True, slots=True)
class Look:
    """How pictures are seen. size: pixels of the square; crop: share of the shorter side."""

    size: int
    crop: float


@dataclass(frozen=True, slots=True)
class Features:
    """Features of pictures at a size, of so many views. rows: of the data; None for all training examples."""

    size: int
    views: int
    crop: float
    rows: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pairs of pictures that are the same or nearly. crowd: how many look alike and were not paired, being too many."""

    pairs: tuple[tuple[int, int], ...]
    crowd: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures whose labels are known. rows: of the data; labels: class numbers, one for each row."""

    look: Look
    rows: Sequence[int]
    labels: Sequence[int]
    num_classes: int


@dataclass(frozen=True, slots=True)
class SuspectPicture:
    """A picture whose label is probably wrong: its row, the class it looks like, and the probability of that."""

    row: int
    likely: int
    probability: float


@dataclass(frozen=True, slots=True)
class Suspects:
    """share: of the labels that sure predictions contradict, of so many; 0 where that is no more than is usual."""

    pictures: tuple[SuspectPicture, ...]
    share: float = 0.0
    sure: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Some pictures. rows: of the data."""

    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Lights:
    """Traits of pixels of each."""

    lights: tuple[Light, ...]


@dataclass(frozen=True, slots=True)
class Parted:
    """Pictures of two parts. rows: of the data; is_later: of each, whether it is of the later part."""

    look: Look
    rows: Sequence[int]
    is_later: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Apart:
    """How well the features tell two parts apart: the area under the ROC curve, and its standard error."""

    area: float
    error: float


@dataclass(frozen=True, slots=True)
class Missing:
    passes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Examples that a head on frozen features and a network from scratch are tried on.

    size, crop: of the features; side: median shorter side of the pictures; rows: of the data; targets, held: of each,
    its class number or number and whether it judges instead of being trained on; classes: how many, 0 of numbers.
    """

    size: int
    crop: float
    side: int
    rows: Sequence[int]
    targets: Sequence[int | float]
    held: Sequence[bool]
    classes: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The accuracy of each way on the examples that judge, or the share of variance of numbers that it explains.

    trained_on, judged: how many examples there were.
    """

    pretrained: float
    scratch: float
    trained_on: int
    judged: int


def open_pictures(worker: Port, given: Given) -> Opened:
    """Opens the backbone and decodes all pictures. Raises DataError where none can be read."""
    return _read(Opened, worker.open(IMAGES, to_plain(given)), "open")


def speed(worker: Port, look: Look, known: Speed | None) -> Speed:
    """How the backbone is run here, and how fast: as known, or measured at a size."""
    found = _read(Speed, worker.ask("speed", to_plain(SpeedAsked(look.size, look.crop, known))), "speed")
    # So that a process which is started again does not measure it again, and runs as this one did.
    worker.tell("speed", to_plain(SpeedAsked(look.size, look.crop, found)))
    return found


def duplicates(worker: Port, look: Look) -> Duplicates:
    """Pictures that are the same or nearly, also turned, mirrored and cropped: by pixels and by features."""
    return _read(Duplicates, worker.ask("duplicates", to_plain(look)), "duplicates")


def suspects(worker: Port, labelled: Labelled) -> Suspects:
    """Pictures whose label is probably wrong, by their features at this look, the most suspect first."""
    return _read(Suspects, worker.ask("suspects", to_plain(labelled)), "suspects")


def lights(worker: Port, rows: Sequence[int]) -> tuple[Light, ...]:
    """Traits of the pixels of these pictures."""
    return _read(Lights, worker.ask("lights", to_plain(Rows(rows))), "lights").lights


def apart(worker: Port, parted: Parted) -> Apart:
    """How well the features of pictures at this look tell which part they are of."""
    return _read(Apart, worker.ask("apart", to_plain(parted)), "apart")


def compare(worker: Port, asked: Compare) -> Compared:
    """How well a head on the backbone's features and a small network from scratch do."""
    return _read(Compared, worker.ask("compare", to_plain(asked)), "compare")


def missing(worker: Port, features: Features) -> int:
    """How many passes through the backbone these features still need."""
    return _read(Missing, worker.ask("missing", to_plain(features)), "missing").passes


def prepare(worker: Port, features: Features) -> None:
    """Computes (or finds) these features."""
    worker.ask("prepare", to_plain(features))


def _read(kind: type[T], answer: Mapping[str, object], question: str) -> T:
    return from_plain(kind, answer, what=f"the answer to {question!r} of pictures", error=WorkerError)
