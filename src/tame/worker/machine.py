"""The memory of a process and of the machine, as the operating system reports it. Does not load torch."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if sys.platform != "win32":
    import resource

UNLIMITED = 2**60  # bytes; a control group without a limit reports more than this


def peak_bytes() -> int | None:
    """The most memory that this process has used so far; None if the system does not report it."""
    # On Linux getrusage also counts what the parent used when it started this process.
    own = _number(Path("/proc/self/status"), "VmHWM:")
    if own is not None:
        return 1024 * own
    if sys.platform != "win32":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    return None


def available_bytes() -> int | None:
    """Memory that processes can still use without displacing others, within the limit of a container.

    If the system reports less (macOS), the total memory; None if it reports nothing.
    """
    left = _number(Path("/proc/meminfo"), "MemAvailable:")
    if left is not None:
        return min([1024 * left, *_left_in_groups(Path("/sys/fs/cgroup"), _group())])
    if sys.platform != "win32":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _left_in_groups(root: Path, group: str) -> list[int]:
    """The memory left within the limits of a control group (version 2) and its parents."""
    folder, found = root / group.strip("/"), []
    for each in (folder, *folder.parents):
        limit, used = _number(each / "memory.max", ""), _number(each / "memory.current", "")
        if limit is not None and used is not None and limit < UNLIMITED:
            cached = _number(each / "memory.stat", "inactive_file") or 0  # freed when it is needed
            found.append(max(0, limit - used + cached))
        if each == root:
            break
    return found


def _group() -> str:
    """The control group of this process, relative to the root that it sees."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")


def _number(path: Path, name: str) -> int | None:
    """The whole number after a name at the start of a line; None if there is no such file, line or number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line.removeprefix(name).split() for line in lines if line.startswith(name)), [])
    return int(own[0]) if own and own[0].isdecimal() else None


BLOCK = bytes(2**20)


def slowdown(cores: int, *, seconds: float = 0.2) -> float:
    """The current slowdown (1 or more) of work on this many cores compared with an otherwise idle machine.

    Steps of a few milliseconds fit between the time slices of other processes, and do not show it.
    """

    def work(_: int) -> float:
        begun, own = time.perf_counter(), time.thread_time()
        while time.perf_counter() - begun < seconds:
            hashlib.blake2b(BLOCK).digest()  # releases the interpreter lock
        return (time.perf_counter() - begun) / max(time.thread_time() - own, 1e-9)

    with ThreadPoolExecutor(cores) as pool:
        found = list(pool.map(work, range(cores)))
    return max(1.0, sum(found) / len(found))
