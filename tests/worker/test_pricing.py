"""How long one example takes is told by a clock that counts work, and short disturbances do not show."""

from __future__ import annotations

import itertools
import time

from tame.worker.pricing import SERIES, WARM, clock_of, latency


def test_the_least_series_decides_and_the_first_examples_do_not_count():
    now, calls = itertools.count(), []

    def clock() -> float:
        return ticks[0]

    ticks = [0.0]

    def judge() -> None:
        number = next(now)
        calls.append(number)
        slow = number < 100 or number % 7 == 0  # the first series were disturbed, and later ones now and then
        ticks[0] += 5.0 if slow else 1.0

    assert latency(judge, clock=clock) == 1.0
    assert len(calls) > SERIES * WARM


def test_waiting_is_not_work():
    assert latency(lambda: time.sleep(0.005), clock=clock_of("cpu")) < 0.004
    assert latency(lambda: time.sleep(0.005), clock=clock_of("cuda")) >= 0.005
