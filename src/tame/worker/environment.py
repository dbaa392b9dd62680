"""What a training process needs at its start: threads that do not compete, and memory that it keeps."""

from __future__ import annotations

import ctypes
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

WORKER = "TAME_WORKER"  # the variable that is set in a training process
# By which processes that train together are told to reach each other on this machine alone.
LOOPBACK = dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo0" if sys.platform == "darwin" else "lo")
_PR_SET_PDEATHSIG = 1  # Linux's sys/prctl.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def worker_environment() -> dict[str, str]:
    """Environment variables for the training process: one thread per usable core, which sleeps while it waits.

    They take effect only at its start, before torch is loaded. Add the user's own variables after them, so that these
    win.
    """
    # By default waiting threads spin for milliseconds: 4 % faster alone on the machine, but while others used the same
    # two cores, extraction fell to 38 images/s, and with sleeping threads only to 100 (250 to 150 alone).
    return {
        "OMP_NUM_THREADS": str(usable_cores()),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        WORKER: "1",
    }


def usable_cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS and Windows
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)


def tune_allocator() -> bool:
    """Makes malloc keep large blocks, and returns whether it does. Call it before the first tensor; glibc only.

    By default, activations of more than 32 MB are mapped from the system and returned in each step, and all their pages
    are cleared again each time. Without that, a batch of 32 pictures at 224 x 224 passed MobileNetV2 three times as
    fast (float32, 35 to 105 images/s). The process keeps up to 2 GiB of freed memory, but no blocks above 1 GiB.

    Each thread has its own heap, in parts of 64 MiB; empty parts are returned to the system unless the padding is as
    large. A single heap is slower: a thread gets blocks that are in the cache of another core (populations of tables
    side by side on two cores: 4.7 s, with a heap each 3.9, padded 3.7).
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        # glibc before 2.35 refuses more than 32 MiB. If it refuses, the smaller, fixed default must not stay.
        kept = any(libc.mallopt(_MMAP_THRESHOLD, size) == 1 for size in (1 << 30, 1 << 25))
        return kept and all(libc.mallopt(*each) == 1 for each in ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 1 << 26)))
    except (OSError, AttributeError):
        return False  # not glibc


def die_with_coordinator() -> bool:
    """Whether the system now ends this process when the one that started it dies, even while this one is stopped.

    On Linux only. Elsewhere it ends when its stdin closes, and a stopped one as soon as it is continued.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)


def reference_to(make: Callable[..., object]) -> str | None:
    """The "file:name" by which another process can import a function; None if it cannot.

    A function in the running script works only if that script can be imported without running the study again.
    """
    name, module = getattr(make, "__qualname__", "<"), inspect.getmodule(make)
    file = getattr(module, "__file__", None)
    if module is None or file is None or not Path(file).is_file() or "<" in name or "." in name:
        return None
    if getattr(module, name, None) is not make:
        return None  # the name refers to something else now
    if getattr(module, "__package__", None):
        return None  # a file in a package may import its neighbours, so it cannot be imported alone
    if module.__name__ == "__main__" and "__name__" not in Path(file).read_text(encoding="utf-8", errors="replace"):
        return None
    return f"{Path(file).resolve()}:{name}"
