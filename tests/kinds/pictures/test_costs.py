"""At which size pictures are seen: the best guess, or a smaller one where machine and clock have no time for it."""

from __future__ import annotations

import pytest

from tame.adjust.portfolio import input_sizes, smaller_sizes
from tame.core.result_parts import BackboneFacts
from tame.kinds.costs import Speed
from tame.kinds.pictures.costs import FIRST_SHARE, first_size

BACKBONE = BackboneFacts(name="x", digest="x", size=224)
PICTURES, CLOCK, SIDE = 400, 60.0, 320
RATES = [100.0 / slower for slower in (1, 2, 4, 8, 16, 32, 64)]  # pictures a second at the best guess


def speed(rate):
    return Speed("float32", "plain", 8, rate, input_sizes(224, SIDE, fixed=False)[0])


def chosen(rate, *, clock_s=CLOCK, backbone=BACKBONE, side=SIDE, passes=PICTURES):
    return first_size(clock_s, backbone, side, speed(rate), lambda size: passes)


def test_a_slower_machine_sees_pictures_as_large_as_there_is_time_for():
    best, *_ = input_sizes(224, SIDE, fixed=False)
    least = min(smaller_sizes(224, SIDE, fixed=False))
    found = [chosen(rate) for rate in RATES]
    assert found == sorted(found, reverse=True)
    assert found[0] == best
    assert found[-1] == least
    for rate, size in zip(RATES, found, strict=True):
        fits = speed(rate).seconds(PICTURES, size) <= FIRST_SHARE * CLOCK
        assert fits or size == least
    assert len(set(found)) > 2, "there is something between the best and the least"


@pytest.mark.parametrize("rate", RATES)
def test_without_a_clock_or_once_features_are_kept_the_best_guess_is_taken_on_any_machine(rate):
    best, *_ = input_sizes(224, SIDE, fixed=False)
    assert chosen(rate, clock_s=None) == chosen(rate, passes=0) == best


@pytest.mark.parametrize("rate", RATES)
def test_a_backbone_of_one_size_and_small_pictures_have_no_smaller_one(rate):
    fixed = BackboneFacts(name="x", digest="x", size=224, fixed_size=True)
    assert chosen(rate, backbone=fixed) == 224
    assert chosen(rate, side=32) == min(input_sizes(224, 32, fixed=False))


@pytest.mark.parametrize("native", [64, 112, 224, 299, 384])
def test_smaller_sizes_are_multiples_of_32_below_the_best_guess(native):
    sizes = smaller_sizes(native, 1000, fixed=False)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert all(0 < size < input_sizes(native, 1000, fixed=False)[0] and size % 32 == 0 for size in sizes)
