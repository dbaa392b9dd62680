"""A delivered model as one file to take away: a zip that is made while it is sent, of the files that are known."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tame.core.errors import UsageError
from tame.core.files import reading, require_own_folder
from tame.core.sums import CARD, DESCRIPTION, SUMS, WEIGHTS
from tame.study.delivered import MODEL, lost_files
from tame.study.state import State

FILES = (WEIGHTS, DESCRIPTION, CARD, SUMS)  # whatever a record names besides, or lies in the folder, stays there
PIECE = 256 * 1024  # bytes that are read at once
STAMP = (1980, 1, 1, 0, 0, 0)  # the same model is the same file


class _Sent:
    """Where the archive is written to, piece by piece. It cannot be sought in, so that nothing is kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        own, self._parts = b"".join(self._parts), []
        return own


def names_of(study: Path, state: State) -> list[str]:
    """The files of a study's model. Raises UsageError where there is none, or it is no longer what was delivered."""
    if state.delivered is None or state.result is None:
        raise UsageError("this study has delivered no model yet")
    require_own_folder(study / MODEL)
    if lost := lost_files(study, state):
        raise UsageError(f"of the model {', '.join(lost)} is missing or damaged; tame resume delivers it again")
    return [name for name in FILES if os.path.lexists(study / MODEL / name)]


def zipped(study: Path, names: list[str]) -> Iterator[bytes]:
    """The zip of these files of a study's model, in pieces. Raises OSError, RefusedError for a link."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name in names:
            about = zipfile.ZipInfo(f"{MODEL}/{name}", STAMP)
            about.external_attr = 0o600 << 16
            with reading(study / MODEL, name) as file, archive.open(about, "w", force_zip64=True) as own:
                while piece := file.read(PIECE):
                    own.write(piece)
                    yield sent.taken()
    yield sent.taken()
