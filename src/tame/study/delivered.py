"""The files of a delivered model, as they were delivered. Apart from what delivers them, which needs a worker."""

from __future__ import annotations

import os
from pathlib import Path

from tame.core.errors import RefusedError, TameError
from tame.core.sums import CARD, SUMS, read_sums, sha256_of
from tame.study.state import State

MODEL = "model"  # the folder of what is delivered


def lost_files(study_folder: Path, state: State) -> list[str]:
    """Files of a finished study's model that are missing or no longer what was delivered, its card aside."""
    files = {} if state.delivered is None else state.delivered.files
    model = study_folder / MODEL
    return sorted(name for name, kept in files.items() if name != CARD and _sha256(model, name) != kept)


def is_card_lost(study_folder: Path, state: State) -> bool:
    """Whether the card of a finished study's model, or its list of hashes, is missing or not what the record says."""
    folder = study_folder / MODEL
    files = {} if state.delivered is None else dict(state.delivered.files)
    if CARD not in files and not os.path.lexists(folder / SUMS):  # of an earlier TAME, which kept no hash of it
        return not (folder / CARD).is_file()
    try:
        return read_sums(folder) != files or _sha256(folder, CARD) != files.get(CARD)
    except (OSError, RefusedError):
        return True


def _sha256(folder: Path, name: str) -> str | None:
    """The hash of a file; None where there is none that can be read."""
    try:
        return sha256_of(folder, name)
    except (OSError, TameError):
        return None
