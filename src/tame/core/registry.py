"""One registry for each kind of part: a dict behind three methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tame.core.errors import UsageError, unknown

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Parts of one kind by name. To be registered is to be tested: the laws run over every entry."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, Part] = {}

    def add(self, name: str) -> Callable[[Part], Part]:
        """A decorator that registers its part as `name`. A taken name raises UsageError."""

        def register(part: Part) -> Part:
            if name in self._parts:
                raise UsageError(f"{self.kind} {name!r} is registered already")
            self._parts[name] = part
            return part

        return register

    def get(self, name: str) -> Part:
        """The part of that name. Raises UsageError with the nearest name."""
        if name not in self._parts:
            raise UsageError(unknown(self.kind, name, self._parts))
        return self._parts[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._parts))
