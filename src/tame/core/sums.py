"""The files of a delivered model, and the hashes that cover them: SHA256SUMS, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tame.core.errors import RefusedError
from tame.core.files import TEXT_BYTES, read_bytes, reading, require_size, write_text

WEIGHTS, DESCRIPTION, CARD, SUMS = "model.safetensors", "model.json", "README.md", "SHA256SUMS"

_SUM = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>[^/\\]+)")


def sha256_of(folder: Path, name: str) -> str:
    """The SHA-256 of a file of a model. Raises OSError, RefusedError for a link or a file that is larger than it says.

    A file of many gigabytes takes a stranger nothing, and would take hours to read.
    """
    with reading(folder, name) as file:
        most = _told_bytes(file) if name == WEIGHTS else TEXT_BYTES
        require_size(folder / name, os.fstat(file.fileno()).st_size, most)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told_bytes(file: BinaryIO) -> int:
    """How many bytes a file of safetensors has by its own header; where that cannot be read, those of a small file.

    Source: the format of safetensors: eight bytes with the header's length, the header in JSON, the tensors.
    """
    try:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, TEXT_BYTES)))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        return max(8 + length + max(map(int, ends), default=0), TEXT_BYTES)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return TEXT_BYTES


def write_sums(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the SHA-256 of each file. Raises OSError, RefusedError for a link on the way."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(files.items())]
    write_text(folder.parent, f"{folder.name}/{SUMS}", "".join(lines))


def read_sums(folder: Path) -> dict[str, str] | None:
    """The SHA-256 of each file by its name; None where an earlier TAME wrote none. Raises OSError, RefusedError."""
    if not os.path.lexists(folder / SUMS):
        return None
    lines = read_bytes(folder, SUMS, most=TEXT_BYTES).decode("utf-8", "replace").splitlines()
    parted = [_SUM.fullmatch(line) for line in lines]
    found = {match["name"]: match["sha256"] for match in parted if match is not None}
    if None in parted or not {WEIGHTS, DESCRIPTION} <= found.keys():
        raise RefusedError(f"{folder / SUMS} is damaged, so nothing proves the files beside it")
    return found
