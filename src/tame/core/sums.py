"""The files of a delivered model, and the hashes that cover them: SHA256SUMS, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from tame.core.errors import RefusedError
from tame.core.files import read_bytes, reading, write_text

WEIGHTS, DESCRIPTION, CARD, SUMS = "model.safetensors", "model.json", "README.md", "SHA256SUMS"

_SUM = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>[^/\\]+)")


def sha256_of(folder: Path, name: str) -> str:
    """The SHA-256 of a file of a folder. Raises OSError, RefusedError for a link."""
    with reading(folder, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the SHA-256 of each file. Raises OSError, RefusedError for a link on the way."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(files.items())]
    write_text(folder.parent, f"{folder.name}/{SUMS}", "".join(lines))


def read_sums(folder: Path) -> dict[str, str] | None:
    """The SHA-256 of each file by its name; None where an earlier TAME wrote none. Raises OSError, RefusedError."""
    if not os.path.lexists(folder / SUMS):
        return None
    lines = read_bytes(folder, SUMS).decode("utf-8", "replace").splitlines()
    parted = [_SUM.fullmatch(line) for line in lines]
    found = {match["name"]: match["sha256"] for match in parted if match is not None}
    if None in parted or not {WEIGHTS, DESCRIPTION} <= found.keys():
        raise RefusedError(f"{folder / SUMS} is damaged, so nothing proves the files beside it")
    return found
