"""Every error a user can meet, each with the exit code of the command line.

All are a `TameError`, but for `StoppedError`, which is a KeyboardInterrupt.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

MOST_KNOWN = 12  # names that an error lists beside the nearest one
MOST_LISTED = 30  # names that an error lists where none is near


class TameError(Exception):
    """A problem that the user can act on; never a bug in TAME.

    >>> try:
    ...     tame.fit("no-such-folder", quiet=True)
    ... except tame.TameError as problem:
    ...     print(f"{problem} (exit code {problem.exit_code})")
    no file or folder no-such-folder (exit code 2)
    """

    exit_code = 1


class UsageError(TameError):
    """A value on the command line, in a config or in a call is wrong."""

    exit_code = 2


class DataError(TameError):
    """The data cannot be used as it is; the user can fix it."""

    exit_code = 3


class NothingTrainedError(TameError):
    """Every trial diverged or failed; a report is written. study: its folder, once the study has ended by that."""

    exit_code = 4
    study: Path | None = None


class BudgetError(TameError):
    """The budget ended before the first trial was complete."""

    exit_code = 5


class StorageError(TameError):
    """A disk or a database failed; what was stored before is safe."""

    exit_code = 6


class RefusedError(TameError):
    """Refused for safety: a pickle, a path outside its folder, a size above the limit."""

    exit_code = 7


class StoppedError(KeyboardInterrupt):
    """The user stopped the study; it can be resumed. `signal_number` determines the exit code.

    It is a KeyboardInterrupt, which `except Exception` does not swallow: a loop over studies ends with Ctrl-C.

    >>> issubclass(tame.StoppedError, Exception), tame.StoppedError("stopped").exit_code
    (False, 130)
    """

    def __init__(self, message: str, *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class WorkerError(TameError):
    """The training process died without an answer, more often than it may be restarted, or sent what is not one."""


class ApartError(WorkerError):
    """One of the processes that train a network together is gone; the others have kept what all of them had."""


class ShapeError(TameError):
    """Arrays or tensors do not fit together."""

    exit_code = 2


def require(claim: bool, message: str, *, error: type[TameError] = UsageError) -> None:
    """Raises `error` with `message` unless `claim` holds."""
    if not claim:
        raise error(message)


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """A sentence that says that `name` is unknown, which is nearest, and which are known unless they are many."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if not near:
        plain = {each.lower(): each for each in reversed(names)}
        near = [plain[each] for each in difflib.get_close_matches(str(name).lower(), plain, n=1, cutoff=0.6)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if near and len(names) > MOST_KNOWN:
        return f"no {kind} named {name!r}{hint}"
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"no {kind} named {name!r}{hint} (known: {', '.join(names[:MOST_LISTED]) or 'none'}{more})"
