"""Files that a delivered model was written to for other programs, and how far each was from TAME.

They are noted beside the report, which tells them. Nothing of the study depends on that: it is no event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tame.core.errors import StorageError, TameError
from tame.core.files import TEXT_BYTES, read_bytes, write_text
from tame.core.plain import from_plain, to_plain

EXPORTS = "exports.json"
MOST = 20  # that are noted, the newest ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a file and TAME are apart on some examples. what: these, in words.

    largest: of a probability, or of a number in spreads of the target; distance: of the distances from the training
    data, in units of their limit, 0 where there are none.
    """

    what: str
    n: int
    labels_differ: int
    largest: float
    distance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """What weights in 8 bits change, on n validation examples. changed: those with another label.

    before, after: the accuracy in 32 and in 8 bits; value, low, high: after minus before, with its 95 % interval,
    paired on the same examples; times: how long 8 bits take, in terms of 32; saved: share of the file's size.
    """

    n: int
    changed: int
    before: float
    after: float
    value: float
    low: float
    high: float
    times: float
    saved: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file of a model, and what it was compared on. model: SHA-256 of the weights that it was made of; int8: where
    its weights are in 8 bits, so that it says nearly the same only."""

    file: str
    sha256: str
    size_bytes: int
    model: str
    task: str
    runtime: str
    parity: tuple[Parity, ...]
    int8: Quantized | None = None

    def to_json(self) -> dict[str, object]:
        """The document that lies beside the file, and that --json prints."""
        return {"schema": "tame/1", **to_plain(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    exports: tuple[Exported, ...]


def read_exports(folder: Path, model: str) -> tuple[Exported, ...]:
    """The files that were written of the model with these weights; none where the note is missing or damaged."""
    try:
        found = from_plain(_Kept, json.loads(read_bytes(folder, EXPORTS, most=TEXT_BYTES)), what=EXPORTS)
    except (OSError, ValueError, RecursionError, TameError):
        return ()  # the file itself has its note beside it
    return tuple(each for each in found.exports if each.model == model)


def keep_export(folder: Path, exported: Exported) -> None:
    """Notes a file in the folder of a study; those of earlier weights go. Raises StorageError."""
    others = [each for each in read_exports(folder, exported.model) if each.file != exported.file]
    kept = _Kept(exports=(*others, exported)[-MOST:])
    try:
        write_text(folder, EXPORTS, json.dumps(to_plain(kept), indent=1) + "\n")
    except OSError as problem:
        raise StorageError(f"{folder / EXPORTS} cannot be written: {problem.strerror}") from None
