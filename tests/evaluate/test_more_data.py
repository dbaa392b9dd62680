"""What more examples would be worth: exact where the law holds exactly, and not claimed where nothing falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tame.core.rng import stream
from tame.evaluate.more_data import class_growth, growth
from tame.evaluate.score import InconsistentError, Judged, judged_from, measure

COUNTS = (250, 500, 1000)


def numbers(errors: np.ndarray, groups: np.ndarray | None = None) -> Judged:
    ids, target = list(map(str, range(len(errors)))), np.zeros(len(errors))
    return judged_from("regression", ids, target, errors[:, None], groups=groups)


def classified(right: np.ndarray, target: np.ndarray) -> Judged:
    said = np.where(right, target, 1 - target)
    return judged_from("binary", list(map(str, range(len(target)))), target, 3.0 * np.eye(2)[said])


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0])
def test_a_loss_that_follows_the_law_gains_what_the_law_says(power: float) -> None:
    def law(n: float) -> float:
        return 0.3 + 5 * n**-power

    by_share = [[numbers(np.full(50, law(n)))] for n in COUNTS]
    points, gain = growth("rmse", by_share, COUNTS, seed=0)
    assert gain.value == pytest.approx(law(1000) - law(2000), rel=1e-9)
    assert gain.low == pytest.approx(gain.value)
    assert [point.loss for point in points] == pytest.approx([law(n) for n in COUNTS])
    assert [(point.examples, point.share) for point in points] == [(250, 0.25), (500, 0.5), (1000, 1.0)]


def test_a_loss_that_no_longer_falls_promises_nothing() -> None:
    claims = 0
    for seed in range(60):
        rng = stream(seed, "flat")
        by_share = [[numbers(rng.normal(size=200)) for _ in range(2)] for _ in range(3)]
        claims += growth("rmse", by_share, COUNTS, seed=seed)[1].low > 0
    assert claims <= 5


@pytest.mark.parametrize(("fall", "least_told"), [(20, 0), (200, 50)])
def test_the_interval_holds_what_the_next_doubling_gains(fall: float, least_told: int) -> None:
    held, told = 0, 0
    for seed in range(60):
        rng = stream(seed, "falls")
        hard = np.exp(0.3 * rng.normal(size=400))  # examples that all networks find hard
        spread = [0.3 + fall / n for n in COUNTS]
        by_share = [[numbers(own * hard * rng.normal(size=400)) for _ in range(3)] for own in spread]
        gain = growth("rmse", by_share, COUNTS, seed=seed)[1]
        size = np.exp(0.3**2)  # the root of the mean of hard squared
        held += gain.low <= (fall / 1000 - fall / 2000) * size <= gain.high
        told += gain.low > 0
    assert held >= 52
    assert told >= least_told


def test_copies_are_no_evidence() -> None:
    rng = stream(3, "copies")
    by_share = [[numbers(np.repeat(own * rng.normal(size=40), 10)) for _ in range(1)] for own in (2.0, 1.5, 1.2)]
    grouped = [[replace(each, groups=np.repeat(np.arange(40), 10)) for each in own] for own in by_share]
    narrow, wide = (growth("rmse", each, COUNTS, seed=0)[1] for each in (by_share, grouped))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_class_that_gains_is_named_first_with_its_shares() -> None:
    rng, target = stream(4, "classes"), np.arange(400) % 2
    by_share = []
    for rare in (0.3, 0.5, 0.8):
        chance = np.where(target == 1, rare, 0.9)
        by_share.append([classified(rng.random(400) < chance, target) for _ in range(3)])
    first, second = class_growth(by_share, ("common", "rare"), (900, 100), seed=0)
    assert (first.name, first.examples, second.name) == ("rare", 100, "common")
    wanted = [np.mean([each.right[target == 1].mean() for each in own]) for own in by_share]
    assert first.recognised == pytest.approx(wanted, abs=1e-12)
    assert 0 < first.low < first.gain < first.high
    assert second.low < 0 < second.high


def test_examples_that_count_more_weigh_more() -> None:
    heavy = np.where(np.arange(100) < 50, 3.0, 1.0)
    errors = [np.where(np.arange(100) < 50, own, 1.0) for own in (2.0, 1.5, 1.25)]
    by_share = [[replace(numbers(each), weights=heavy)] for each in errors]
    points, _ = growth("rmse", by_share, COUNTS, seed=0)
    assert [point.loss for point in points] == pytest.approx([measure("rmse", own[0]) for own in by_share], rel=1e-12)


def test_different_examples_are_refused() -> None:
    with pytest.raises(InconsistentError, match="different examples"):
        growth("rmse", [[numbers(np.ones(3))], [numbers(np.ones(3))], [numbers(np.ones(4))]], COUNTS, seed=0)
