"""One registry for each kind of part: a dict behind three methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tame.core.errors import UsageError, unknown

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Parts of one kind by name. Every registered part is tested: the laws run over all entries.

    group: the entry points through which other packages add parts; they are loaded at the first lookup.
    """

    def __init__(self, kind: str, *, group: str = "") -> None:
        self.kind = kind
        self._group = group
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
            self._join()
        if name not in self._parts:
            raise UsageError(unknown(self.kind, name, self._parts))
        return self._parts[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted. Raises UsageError if a part of another package cannot be loaded."""
        self._join()
        return tuple(sorted(self._parts))

    def _join(self) -> None:
        """Loads the parts of other packages, once."""
        group, self._group = self._group, ""
        if not group:
            return
        from importlib.metadata import entry_points  # takes half the time of `tame --help`

        for entry in entry_points(group=group):
            try:
                self.add(entry.name)(entry.load())
            except Exception as problem:
                self._group = group  # so that the next call fails again
                of = f" of the package {entry.dist.name}" if entry.dist is not None else ""
                why = f"{type(problem).__name__}: {problem}"
                raise UsageError(f"the {self.kind} {entry.name!r}{of} cannot be loaded: {why}") from problem
