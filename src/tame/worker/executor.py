"""What executes the commands of a study: this process or a separate one; later several processes, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tame.core.errors import WorkerError
from tame.trial.commands import Commands, Message
from tame.worker.wire import Call

Hear = Callable[[Message], None]


class WorkerLostError(WorkerError):
    """The process that carries out a command died more often than it may be started again."""


class WorkerBug(Exception):
    """The traceback of a bug in TAME, from an executor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an executor stores its files. under: a second cache, which is only read.

    measured: what the study has measured of engines, by key; whoever begins later finds in it what joined meanwhile.
    share: the cores of one of several workers while others train; 0 for the only one. gpu: its own, as CUDA names it.
    kind: the kind of data that will be opened, which a process may load before it is asked to; "" if not known.
    """

    cache: Path
    study: Path | None
    under: Path | None = None
    kind: str = ""
    measured: Mapping[str, object] = field(default_factory=dict)
    share: int = 0
    gpu: str = ""


class Executor(Protocol):
    """What a study needs from an executor. Messages go to the callback that is passed when it is started."""

    @property
    def commands(self) -> Commands: ...

    @property
    def pid(self) -> int:
        """The id of the training process, or of the one that represents several."""
        ...

    def stop(self) -> None:
        """Requests a stop after the current step, with every whole epoch saved. Safe in a signal handler."""
        ...

    def interrupt(self) -> None:
        """Asks for the end of the command that goes on, at its next word, with all kept: it raises StoppedError, and
        later commands are carried out as ever. Nothing where none goes on. Safe in any thread."""
        ...

    def close(self) -> None:
        """Ends everything that was started."""
        ...


class Worker(Executor, Protocol):
    """An executor that may be one of several."""

    def carry_out(self, call: Call) -> object:
        """The plain answer to a command.

        Raises the TameError that the command raised, StoppedError after `stop`, WorkerBug for a bug in TAME, and
        WorkerLostError if its process died more often than it may be started again.
        """
        ...

    def begin_anew(self) -> None:
        """Forgets the states of trials at the next command, and takes from its place what was measured since."""
        ...
