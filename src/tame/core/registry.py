"""One registry for each kind of part: a dict behind three methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tame.core.errors import TameError, UsageError, unknown

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Parts of one kind by name. Every registered part is tested: the laws run over all entries.

    group: the entry points through which other packages add parts; they are loaded at the first lookup. check: raises
    UsageError for a name and a part that cannot be registered, such as one of another package that is not of the type.
    """

    def __init__(self, kind: str, *, group: str = "", check: Callable[[str, object], None] | None = None) -> None:
        self.kind = kind
        self._group = group
        self._check = check
        self._is_joined = not group
        self._joined: set[tuple[str, str]] = set()  # name and value of each entry point that was loaded
        self._parts: dict[str, Part] = {}

    def add(self, name: str) -> Callable[[Part], Part]:
        """A decorator that registers its part as `name`. A taken name raises UsageError."""

        def register(part: Part) -> Part:
            if name in self._parts:
                raise UsageError(f"{self.kind} {name!r} is registered already")
            if self._check is not None:
                self._check(name, part)
            self._parts[name] = part
            return part

        return register

    def get(self, name: str) -> Part:
        """The part of that name. Raises UsageError with the nearest name."""
        if name not in self._parts:
            self._join()
        if name not in self._parts:
            whence = "; install the package that adds it" if self._group else ""
            raise UsageError(unknown(self.kind, name, self._parts) + whence)
        return self._parts[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted. Raises UsageError if a part of another package cannot be loaded."""
        self._join()
        return tuple(sorted(self._parts))

    def _join(self) -> None:
        """Loads the parts of other packages, each once; one that failed fails again at the next call."""
        if self._is_joined:
            return
        from importlib.metadata import entry_points  # takes half the time of `tame --help`

        for entry in entry_points(group=self._group):
            if (entry.name, entry.value) in self._joined:
                continue
            try:
                self.add(entry.name)(entry.load())
            except KeyboardInterrupt:
                raise
            except BaseException as problem:  # a module that calls sys.exit() must be named as well
                of = f" of the package {entry.dist.name}" if entry.dist is not None else ""
                why = str(problem) if isinstance(problem, TameError) else f"{type(problem).__name__}: {problem}"
                raise UsageError(f"the {self.kind} {entry.name!r}{of} cannot be loaded: {why}") from problem
            self._joined.add((entry.name, entry.value))
        self._is_joined = True
