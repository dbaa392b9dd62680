"""The memory of a process and of the machine, as the operating system tells it. Loads no torch."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if sys.platform != "win32":
    import resource

UNLIMITED = 2**60  # bytes; what a control group without a limit says is above this


def peak_bytes() -> int | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    # On Linux getrusage counts what the parent held when it started this process as well.
    own = _number(Path("/proc/self/status"), "VmHWM:")
    if own is not None:
        return 1024 * own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available_bytes() -> int | None:
    """What processes may still take without pushing others out, under the limit of a container too.

    Where the system tells less (macOS), all of the machine's memory; None where it tells nothing.
    """
    left = _number(Path("/proc/meminfo"), "MemAvailable:")
    if left is None:
        known = sys.platform != "win32"
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else None
    return min([1024 * left, *_left_in_groups(Path("/sys/fs/cgroup"), _group())])


def _left_in_groups(root: Path, group: str) -> list[int]:
    """What is left under the limit of a control group (version 2) and of those around it."""
    folder, found = root / group.strip("/"), []
    for each in (folder, *folder.parents):
        limit, used = _number(each / "memory.max", ""), _number(each / "memory.current", "")
        if limit is not None and used is not None and limit < UNLIMITED:
            cached = _number(each / "memory.stat", "inactive_file") or 0  # given back when it is needed
            found.append(max(0, limit - used + cached))
        if each == root:
            break
    return found


def _group() -> str:
    """The control group of this process, below the root that it sees."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")


def _number(path: Path, name: str) -> int | None:
    """The whole number behind a name at the start of a line; None where there is no such file, line or number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line.removeprefix(name).split() for line in lines if line.startswith(name)), [])
    return int(own[0]) if own and own[0].isdecimal() else None


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
