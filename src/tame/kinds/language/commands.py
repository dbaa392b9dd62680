"""What a study asks the worker of texts for a language model, with its types. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tame.core.errors import WorkerError
from tame.core.evaluation import LanguageAnswers
from tame.core.plain import from_plain, to_plain
from tame.kinds.kind import Port

T = TypeVar("T")
LANGUAGE_MODEL = "language-model"  # the name of this kind of data


@dataclass(frozen=True, slots=True)
class Given:
    """What the process that trains opens. backbone: a folder; paths: of the texts; parts: of each; kept: the file that
    has the texts of a table, which have no paths."""

    backbone: str
    paths: tuple[str, ...]
    parts: tuple[str, ...]
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is known of a model and its texts. tokens, characters: of each text; context: tokens that the model sees at
    once; digest: of the model; unknown: share of tokens for what the tokenizer does not know."""

    name: str
    digest: str
    device: str
    parameters: int
    context: int
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    unknown: float


@dataclass(frozen=True, slots=True)
class SpeedAsked:
    """length: tokens of a block."""

    length: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of one member: in training, and in judging."""

    training: float
    judging: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How texts become examples: `slots` blocks of `block` tokens of the texts that are trained on in an epoch, one
    epoch after the other from all of them in a shuffled order, and passages of one block that are judged.

    passages: (text, number of its block) of each, in the order of the examples after the slots.
    """

    block: int
    slots: int
    passages: tuple[tuple[int, int], ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Passages:
    """Of the examples that a layout makes: characters and tokens of each, and the bits per character that the model
    gives the passages before it is adapted; 0 for the slots."""

    characters: tuple[int, ...]
    tokens: tuple[int, ...]
    bits: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be told of a delivered model. model: its folder; rows: of the examples that are judged; bits: per
    character of these, before and after; limit_s: that it may take, None for as long as it takes."""

    model: str
    bits: tuple[float, float]
    rows: Sequence[int]
    seed: int
    limit_s: float | None


def open_texts(worker: Port, given: Given) -> Opened:
    """Opens the model, reads and splits all texts into tokens. Raises UsageError and RefusedError for a folder that is
    none of a language model."""
    return _read(Opened, worker.open(LANGUAGE_MODEL, to_plain(given)), "open")


def speed(worker: Port, length: int) -> Speed:
    """How fast the model is here."""
    return _read(Speed, worker.ask("speed", to_plain(SpeedAsked(length))), "speed")


def lay_out(worker: Port, layout: Layout) -> Passages:
    """Makes examples of the texts, and judges the passages by the model as it is."""
    worker.tell("layout", to_plain(layout))
    return _read(Passages, worker.ask("passages", {}), "passages")


def told(worker: Port, asked: Asked) -> LanguageAnswers:
    """What the delivered model does beside foretelling the sealed passages."""
    return _read(LanguageAnswers, worker.ask("told", to_plain(asked)), "told")


def _read(kind: type[T], answer: object, question: str) -> T:
    return from_plain(kind, answer, what=f"the answer to {question!r} of texts", error=WorkerError)
