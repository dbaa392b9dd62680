"""Every error a user can meet, each with the exit code of the command line.

All are a `TameError`, but for `StoppedError`, which is a KeyboardInterrupt.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TameError(Exception):
    """Something the user can act on; never a bug of TAME."""

    exit_code = 1


class UsageError(TameError):
    """A value on the command line, in a config or in a call is wrong."""

    exit_code = 2


class DataError(TameError):
    """The data cannot be used as it is; the user can mend it."""

    exit_code = 3


class NothingTrainedError(TameError):
    """Every trial diverged or failed; a report is written."""

    exit_code = 4


class BudgetError(TameError):
    """The budget ended before a first complete trial."""

    exit_code = 5


class StorageError(TameError):
    """A disk or a database failed; what was stored before is safe."""

    exit_code = 6


class RefusedError(TameError):
    """Refused for safety: a pickle, a path that leaves its folder, a size beyond the limit."""

    exit_code = 7


class StoppedError(KeyboardInterrupt):
    """The user stopped the study; it can be resumed. `signal_number` makes the exit code.

    It is a KeyboardInterrupt, which `except Exception` does not swallow: a loop over studies ends with Ctrl-C.
    """

    def __init__(self, message: str, *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class WorkerError(TameError):
    """The process that trains ended without an answer, more often than it may be restarted."""


class ShapeError(TameError):
    """Arrays or tensors do not fit together."""

    exit_code = 2


def require(claim: bool, message: str, *, error: type[TameError] = UsageError) -> None:
    """Raises `error` with `message` unless `claim` holds."""
    if not claim:
        raise error(message)


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """A sentence that says that `name` is not known, what is, and which known name is nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if not near:
        plain = {each.lower(): each for each in reversed(names)}
        near = [plain[each] for each in difflib.get_close_matches(str(name).lower(), plain, n=1, cutoff=0.6)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no {kind} named {name!r}{hint} (known: {', '.join(names) or 'none'})"
