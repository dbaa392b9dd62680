"""A watchdog: names what a silent process is doing, then ends the process.

How long is too long is measured: many times the longest step so far. A process that hangs in a lock or was stopped uses
no processor time, and is found out sooner than one that computes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tame.trial.commands import Doing, Message
from tame.worker.pipe import Way

LEAST_SILENCE_S = 60.0  # that a command may always take without a message, even where nothing is computed
FACTOR = 20  # times the longest step so far may the next one take
BUSY_OWN, BUSY_OURS = 2, 10  # times longer where the processor works: in a module of the user's own, and in TAME
LONG_S = 10.0  # that the user's own code may take before it is named
NOTHING = Doing("", None)


@dataclass(slots=True)
class Patience:
    """How long whoever trains may say nothing.

    most_s: in any case, such as where a clock holds; own_model: whether a module of the user's own may be what hangs;
    least_s: in any case too; longest_s: the longest step so far.
    """

    most_s: float = math.inf
    own_model: bool = False
    least_s: float = LEAST_SILENCE_S
    longest_s: float = 0.0

    def took(self, seconds: float) -> None:
        """Takes in how long a step took, or is going to take."""
        self.longest_s = max(self.longest_s, seconds)

    @property
    def idle_s(self) -> float:
        """Without processor time."""
        return min(self.most_s, max(self.least_s, FACTOR * self.longest_s))

    @property
    def busy_s(self) -> float:
        """In any case."""
        return min(self.most_s, (BUSY_OWN if self.own_model else BUSY_OURS) * self.idle_s)


class Watch:
    """Ends a process that sends nothing for too long, so that reading from it does not block forever.

    way: to the process; None if the work is done in this one, which is only informed. note: called with the name of the
    user's own function or module that has been silent for a while.
    """

    def __init__(self, way: Way | None, patience: Patience, note: Callable[[str], None]) -> None:
        self.ended_after_s: float | None = None  # of silence, where the process was ended
        self.doing = NOTHING
        self._way = way
        self._patience = patience
        self._note = note
        self._silent_s = 0.0
        self._idle_s = 0.0
        self._used: float | None = None
        self._over = threading.Event()

    def heard(self, message: Message | None = None) -> None:
        """Records that a message arrived; it may say which of the user's own code runs next."""
        self._patience.took(self._silent_s)
        self._silent_s = self._idle_s = 0.0
        self.doing = message if isinstance(message, Doing) and message.what else NOTHING

    @property
    def limit_s(self) -> float:
        """How long the present silence may be."""
        if self._way is None:
            return math.inf
        own = self.doing.limit_s
        return own if own is not None else self._patience.busy_s

    def __enter__(self) -> Watch:
        threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.ended_after_s is None:
            self._patience.took(self._silent_s)

    def _count(self) -> None:
        named = NOTHING
        while not self._is_too_long():
            tick, begun = min(1.0, self.limit_s / 4, self._patience.idle_s / 4), time.monotonic()
            if self._over.wait(tick):
                return
            # While both processes are suspended, no message can arrive: a tick counts once, however long it took.
            passed = min(time.monotonic() - begun, 2 * tick)
            self._silent_s += passed
            self._idle_s = 0.0 if self._computes() else self._idle_s + passed
            doing = self.doing
            if doing.what and doing is not named and self._silent_s >= LONG_S:
                named = doing
                self._note(_still(doing.what, self._silent_s, self.limit_s))
        if self._way is not None:
            self.ended_after_s = self._silent_s
            self._way.end()

    def _is_too_long(self) -> bool:
        if self._way is None:
            return False
        idle_too_long = self.doing.limit_s is None and self._idle_s >= self._patience.idle_s
        return idle_too_long or self._silent_s >= self.limit_s

    def _computes(self) -> bool:
        """Whether the process has used processor time since it was looked at last, or may have."""
        if self._way is None or self._silent_s < self._patience.idle_s / 4:
            return True  # it is looked at only where there may be something to see
        before, self._used = self._used, self._way.cpu_s()
        return self._used is None or before is None or self._used > before


def _still(what: str, silent_s: float, limit_s: float) -> str:
    ends = f", and it is ended after {limit_s:.0f} s" if math.isfinite(limit_s) else ""
    return f"{what} has taken {silent_s:.0f} s so far; Ctrl-C twice ends it{ends}"
