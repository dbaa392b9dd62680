"""JSON with an indent, for people and programs: character for character what the standard library writes, but faster.

The standard library's fast encoder knows no indent, and a study of 10,000 trials has two million numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii


def indented(value: object, line: str = "\n") -> str:
    """What `json.dumps(value, indent=1, allow_nan=False)` returns. line: a line break and the indent of the value.

    Raises ValueError for NaN and infinities, TypeError for what has no form in JSON.
    """
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    inner = f"{line} "
    if isinstance(value, dict):
        # Without a call of this function for each number: that would take longer than all the rest.
        entries = [
            f"{_key(key)}: {plain(own) if (plain := _PLAIN.get(type(own))) else indented(own, inner)}"
            for key, own in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(entries)}{line}}}" if entries else "{}"
    if isinstance(value, list | tuple):
        items = [indented(own, inner) for own in value]
        return f"[{inner}{f',{inner}'.join(items)}{line}]" if items else "[]"
    return json.dumps(value, allow_nan=False)  # such as a float of NumPy


def _key(key: object) -> str:
    if isinstance(key, str):
        return encode_basestring_ascii(key)
    if not isinstance(key, int | float | None):
        raise TypeError(f"keys must be text or numbers, got {key!r}")
    return encode_basestring_ascii(indented(key))


def _number(value: float) -> str:
    if value - value != 0.0:  # NaN and infinities
        raise ValueError(f"{value} has no form in JSON")
    return repr(value)


_PLAIN: Mapping[type, Callable[..., str]] = {
    str: encode_basestring_ascii, float: _number, int: int.__repr__,
    bool: lambda value: "true" if value else "false", type(None): lambda value: "null",
}  # fmt: skip
