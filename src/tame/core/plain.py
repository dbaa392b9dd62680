"""Typed values to plain JSON values and back, so that both ends of a file or a pipe have types."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from tame.core.errors import StorageError, TameError

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Frozen dataclasses and their contents as JSON dicts, lists and scalars; fields in their order.

    NumPy numbers become Python numbers. Raises TypeError for a value that has no plain form.
    """
    return _listed(msgspec.to_builtins(value, str_keys=True, enc_hook=_plain))


class JsonText(Mapping[str, object]):
    """The mapping that a JSON text holds, parsed only where somebody looks inside.

    `from_plain` makes its value from the text in one step, which takes a tenth of the time.
    """

    __slots__ = ("_parsed", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parsed: dict[str, object] | None = None

    def parsed(self) -> dict[str, object]:
        """What the text holds; the same dict each time. Raises as `parse_object`."""
        if self._parsed is None:
            self._parsed = parse_object(self.text)
        return self._parsed

    def __getitem__(self, key: str) -> object:
        return self.parsed()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parsed())

    def __len__(self) -> int:
        return len(self.parsed())

    def __eq__(self, other: object) -> bool:
        return self.parsed() == (other.parsed() if isinstance(other, JsonText) else other)

    __hash__ = None  # type: ignore[assignment]  # as a dict has none

    def __repr__(self) -> str:
        return repr(self.parsed())


def parse_object(text: str) -> dict[str, object]:
    """The dict that a JSON text holds. Raises ValueError for anything else: no object, NaN, numbers without bounds."""
    try:
        data = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):  # lone surrogates, which names of files hold, and very large numbers
        data = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    if not isinstance(data, dict):
        raise ValueError(f"the data of an event must be an object, not a {type(data).__name__}")
    return data


_DECODER: msgspec.json.Decoder[object] = msgspec.json.Decoder()


def _refuse(text: str) -> object:
    raise ValueError(f"{text} is not a number that an event may hold")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else float(str(_refuse(text)))


def from_plain(kind: type[T], plain: object, *, what: object, error: type[TameError] = StorageError) -> T:
    """The value of this type that `to_plain` wrote. Missing fields get their default, unknown ones are ignored.

    what: its text names the value in the error, such as "the event 12 (plan)". Raises `error` if the values do not fit,
    and says where.
    """
    try:
        if type(plain) is not JsonText:
            return msgspec.convert(plain, kind)
        try:
            value: T = _decoder(cast(Hashable, kind)).decode(plain.text)
            return value
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeEncodeError):  # such as half of a surrogate pair, which json.loads takes
            return msgspec.convert(plain.parsed(), kind)
    except msgspec.ValidationError as problem:
        raise error(f"{what} is damaged: {problem}") from None
    except UnicodeEncodeError:  # where a number is wanted, such a text is tried as one
        raise error(f"{what} is damaged: a text in it is not Unicode") from None


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast(Any, kind))


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
