"""Typed values to plain JSON values and back, so that both ends of a file or a pipe have types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tame.core.errors import StorageError, TameError

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Frozen dataclasses and their contents as JSON dicts, lists and scalars; fields in their order.

    NumPy numbers become Python numbers. Raises TypeError for a value that has no plain form.
    """
    return _listed(msgspec.to_builtins(value, str_keys=True, enc_hook=_plain))


def from_plain(kind: type[T], plain: object, *, what: str, error: type[TameError] = StorageError) -> T:
    """The value of this type that `to_plain` wrote. Missing fields get their default, unknown ones are ignored.

    what: names the value in the error, such as "the event 12 (plan)". Raises `error` if the values do not fit, and says
    where.
    """
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as problem:
        raise error(f"{what} is damaged: {problem}") from None


def _listed(plain: Any) -> Any:
    """Plain values with lists in place of tuples, which msgspec leaves as they are."""
    if isinstance(plain, dict):
        return {key: _listed(value) for key, value in plain.items()}
    return [_listed(value) for value in plain] if isinstance(plain, list | tuple) else plain


def _plain(value: object) -> object:
    if isinstance(value, Mapping):  # such as a read-only view of a dict
        return dict(value)
    item = getattr(value, "item", None)
    if item is None or getattr(value, "ndim", None) != 0:
        raise TypeError(f"a {type(value).__name__} has no plain form")
    return item()
