"""What to do with whoever says nothing for too long: name what it does, then end it."""

from __future__ import annotations

import math
import subprocess
import threading
import time
from collections.abc import Callable

from tame.trial.commands import Doing, Message

LEAST_SILENCE_S = 60.0  # that a command may take without a word where a clock holds
LONG_S = 10.0  # that something of the user's own may take before it is named
NOTHING = Doing("", None)


class Watch:
    """Ends a process that says nothing for too long, so that a read from it does not wait for ever.

    process: None where the work is done in this one, which only hears of it. note: hears what a function or module of
    the user's own has been silent in for a while.
    """

    def __init__(
        self, process: subprocess.Popen[str] | None, silence_s: float | None, note: Callable[[str], None]
    ) -> None:
        self.ended = False
        self.doing = NOTHING
        self._process = process
        self._silence_s = silence_s
        self._note = note
        self._silent_s = 0.0
        self._over = threading.Event()

    def heard(self, message: Message | None = None) -> None:
        """Takes in that something was said, which may be what is tried next."""
        self._silent_s = 0.0
        self.doing = message if isinstance(message, Doing) and message.what else NOTHING

    @property
    def limit_s(self) -> float | None:
        own = self.doing.limit_s
        return own if own is not None and self._process is not None else self._silence_s

    def __enter__(self) -> Watch:
        threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _count(self) -> None:
        named = NOTHING
        while (limit_s := self.limit_s or math.inf) > self._silent_s:
            tick, begun = min(1.0, limit_s / 4), time.monotonic()
            if self._over.wait(tick):
                return
            # While both processes are suspended nothing can be said: a tick counts once, however long it took.
            self._silent_s += min(time.monotonic() - begun, 2 * tick)
            doing = self.doing
            if doing.what and doing is not named and self._silent_s >= LONG_S:
                named = doing
                self._note(_still(doing.what, self._silent_s, self.limit_s or math.inf))
        if self._process is not None:
            self.ended = True
            self._process.kill()


def _still(what: str, silent_s: float, limit_s: float) -> str:
    ends = f", and it is ended after {limit_s:.0f} s" if math.isfinite(limit_s) else ""
    return f"{what} has taken {silent_s:.0f} s so far; Ctrl-C twice ends it{ends}"
