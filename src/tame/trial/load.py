"""How much of the processor others take while a study begins."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

BLOCK = bytes(2**20)


def slowdown(cores: int, *, seconds: float = 0.2) -> float:
    """How many times as long as alone on the machine work takes now, done on so many cores at once: 1 or more.

    Steps of a few milliseconds are measured between two turns of others, and do not show it.
    """

    def work(_: int) -> float:
        begun, own = time.perf_counter(), time.thread_time()
        while time.perf_counter() - begun < seconds:
            hashlib.blake2b(BLOCK).digest()  # lets go of Python's lock
        return (time.perf_counter() - begun) / max(time.thread_time() - own, 1e-9)

    with ThreadPoolExecutor(cores) as pool:
        found = list(pool.map(work, range(cores)))
    return max(1.0, sum(found) / len(found))
