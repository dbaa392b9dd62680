"""How fast a step goes: whether it ends in time is seen on its way, from times that are given."""

from __future__ import annotations

import pytest

from tame.study.pace import LEAST_S, LEAST_SHARE, SURELY, Pace


def told(pace, part_s, *, total=100, begun_s=10.0, what="features", first=0):
    """After how many parts the step is given up that takes so long for each; None where it is not."""
    for done in range(first, total + 1):
        if pace.is_too_slow(what, done, total, used_s=begun_s + done * part_s):
            return done
    return None


@pytest.mark.parametrize("slower", [1, 2, 4])
def test_what_ends_in_time_is_never_given_up(slower):
    assert told(Pace(until_s=10.0 + slower * 25.0), slower * 0.25) is None


@pytest.mark.parametrize("slower", [2, 4, 16, 64])
def test_what_would_end_too_late_is_given_up_soon_with_when_it_would_have_ended(slower):
    pace, part_s = Pace(until_s=10.0 + 25.0), slower * 0.25
    done = told(pace, part_s)
    assert done is not None
    assert done * part_s <= max(LEAST_S, LEAST_SHARE * 100 * part_s) + part_s
    assert pace.gives_up
    assert pace.ends_s == pytest.approx(10.0 + 100 * part_s)


def test_a_little_too_late_is_borne_since_the_load_may_end():
    pace = Pace(until_s=35.0)
    assert told(pace, 0.25 * (1 + (SURELY - 1) / 4), total=20 * 5) in (None, *range(50, 101)), "not at its beginning"


def test_each_step_is_judged_by_its_own_parts():
    pace = Pace(until_s=60.0)
    assert told(pace, 0.25, total=100, begun_s=0.0) is None
    assert not pace.is_too_slow("decode", 1, 10, used_s=40.0), "nothing is known of a step that has just begun"
    assert told(pace, 0.05, total=100, begun_s=40.0) is None
    assert told(pace, 0.05, total=100, begun_s=45.0) is None, "the same step once more, such as of another view"


def test_what_was_done_before_it_was_watched_says_nothing_of_its_pace():
    assert told(Pace(until_s=110.0), 1.0, begun_s=0.0, first=90) is None
