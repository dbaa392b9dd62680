"""What a network takes in the form in which it is delivered: read from its own files, with raw examples."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tame.core.clocks import FINE_S
from tame.core.sums import CARD
from tame.parts.network import Network, write_network
from tame.trial.commands import Priced
from tame.trial.side_by_side import threads
from tame.trial.training_material import Material

WARM, SERIES, REPEATS, MOST = 2, 5, 3, 25  # times that an example is judged: before each of the series, and in it
LONG_S = 0.08  # of a series, from which on it is not repeated more often than it must be


def priced(network: Network, material: Material, row: int, device: torch.device) -> Priced:
    """What this network takes once it is written and read again. row: of the data, of the example that it judges."""
    with tempfile.TemporaryDirectory(prefix="tame-") as folder:
        write_network(network, Path(folder))
        size = sum(each.stat().st_size for each in Path(folder).iterdir() if each.name != CARD)
        own = material.read(Path(folder))
        with threads(1):
            found = latency(lambda: material.judge(own, [row], cached=False).cpu(), clock=clock_of(device.type))
    return Priced(latency_s=found, size_bytes=size)


def latency(judge: Callable[[], object], *, clock: Callable[[], float]) -> float:
    """The seconds that it takes, by a clock: the median of a series, and of several series the least.

    Other programs share the caches and the core itself, which prolongs work for some time and never shortens it.
    """
    medians = []
    for _ in range(SERIES):
        for _ in range(WARM):
            judge()
        took, begun = list[float](), time.perf_counter()
        while len(took) < REPEATS or (len(took) < MOST and time.perf_counter() - begun < LONG_S):
            before = clock()
            judge()
            took.append(clock() - before)
        medians.append(statistics.median(took))
    return min(medians)


def clock_of(device: str) -> Callable[[], float]:
    """What all threads of this process compute, which other programs do not prolong; on a GPU the clock on the wall."""
    if device == "cpu" and time.get_clock_info("process_time").resolution <= FINE_S:
        return time.process_time
    return time.perf_counter
