"""Which clock tells how long work takes."""

from __future__ import annotations

import time
from collections.abc import Callable

FINE_S = 1e-4  # a clock that counts more coarsely, as on Windows, does not see a step of a small network


def work_clock(device: str) -> Callable[[], float]:
    """A clock that other programs on a CPU do not put forward: seconds for which this thread computed.

    Of several threads that share an operation each has an equal part, and the calling one sleeps while it waits. On
    another kind of device, and where the system counts too coarsely, the clock on the wall.
    """
    if device == "cpu" and time.get_clock_info("thread_time").resolution <= FINE_S:
        return time.thread_time
    return time.perf_counter
