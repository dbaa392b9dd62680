"""A watchdog: names what a silent process is doing, then ends the process."""

from __future__ import annotations

import math
import subprocess
import threading
import time
from collections.abc import Callable

from tame.trial.commands import Doing, Message

LEAST_SILENCE_S = 60.0  # that a command may take without a message under a clock
LONG_S = 10.0  # that the user's own code may take before it is named
NOTHING = Doing("", None)


class Watch:
    """Ends a process that sends nothing for too long, so that reading from it does not block forever.

    process: None if the work is done in this process, which is only informed. note: called with the name of the user's
    own function or module that has been silent for a while.
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
        """Records that a message arrived; it may say which of the user's own code runs next."""
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
            # While both processes are suspended, no message can arrive: a tick counts once, however long it took.
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
