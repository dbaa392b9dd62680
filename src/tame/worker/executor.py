"""Whoever carries out the commands of a study: today this process or one of its own, later several, or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tame.trial.commands import Commands, Message

Hear = Callable[[Message], None]


class WorkerBug(Exception):
    """The traceback of an executor: a bug of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an executor keeps what it makes. under: another cache, which is read too, and nothing is put into."""

    cache: Path
    study: Path | None
    under: Path | None = None


class Executor(Protocol):
    """What a study needs of whoever trains for it. It hears what is said on the way where it starts an executor."""

    @property
    def commands(self) -> Commands: ...

    @property
    def pid(self) -> int:
        """The number of the process that trains, or of the one that speaks for those that do."""
        ...

    def stop(self) -> None:
        """Asks for the end of the epoch that goes on, and that all is kept. Safe in a signal handler."""
        ...

    def interrupt(self) -> None:
        """Asks for the end of the command that goes on, at its next word, with all kept: it raises StoppedError, and
        later commands are carried out as ever. Nothing where none goes on. Safe in any thread."""
        ...

    def close(self) -> None:
        """Ends whatever was started."""
        ...
