"""TOML files that users write: settings and dimensions of a space."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tame.core.errors import UsageError, require

MOST_BYTES = 1 << 20
DEEPEST = 20  # levels of tables and lists; dotted names create levels too


def read_toml_file(path: Path, *, what: str) -> dict[str, object]:
    """The values of a TOML file. what: what the file should be, for the errors.

    Raises UsageError if it is not a file (a device or a pipe might never end), is too large, or is not TOML.
    """
    said = f"{path} is not {what}"
    try:
        require(not path.exists() or path.is_file(), f"{said}: it is a folder, a device or a pipe")
        size = path.stat().st_size
        require(size <= MOST_BYTES, f"{said}: it has {size:,} bytes, more than {MOST_BYTES:,}")
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as problem:  # not text, not TOML, or a number with thousands of digits
        raise UsageError(f"{said}: {problem}") from None
    except RecursionError:
        raise UsageError(f"{said}: it is nested too deeply") from None
    require(_is_within(values, DEEPEST), f"{said}: it is nested too deeply")
    return values


def _is_within(value: object, levels: int) -> bool:
    """Whether tables and lists are nested at most this deep."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_within(each, levels - 1) for each in inner)
