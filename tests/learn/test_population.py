"""The population of the sliders: really trained, in its order, and compared on the same examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from made_ground import made_ground
from tame.core.errors import UsageError
from tame.learn.population import SLIDERS, Growing, Trained, as_trials, gain, place_of, recipes
from tame.learn.seen import findings_of, verdict

FEW = [place for place in range(64) if place % 7 == 0][:4]


def test_there_are_sixty_four_recipes_and_each_is_found_by_its_sliders():
    every = recipes()
    assert len(every) == len({(recipe.key(), share) for recipe, share in every}) == 64
    for place, (recipe, share) in enumerate(every):
        values = {name: recipe.flat()[name] for name in SLIDERS if name != "share"} | {"share": share}
        assert place_of(values) == place


def test_values_that_no_slider_has_are_refused():
    with pytest.raises(UsageError, match=r"model\.width must be one of 1, 8, 32, 128"):
        place_of({"model.width": 3})


def test_a_network_does_not_depend_on_its_company():
    ground, every = made_ground(), [recipes()[place] for place in FEW]
    heard = []
    together = Growing(ground, every).all(lambda done, of: heard.append((done, of)))
    alone = Growing(ground, every[1:2]).of(0)
    assert heard[-1] == (4, 4)
    assert [point[0] for point in alone.points] == list(range(1, 41))
    np.testing.assert_allclose([p[2] for p in together[1].points], [p[2] for p in alone.points], atol=1e-4)


def test_fewer_examples_and_more_units_fit_the_training_examples_closer():
    ground = made_ground(classes=3, inputs=10, examples=120, apart=0.4)
    base = {name: values[0] for name, values in SLIDERS.items()}
    small = recipes()[place_of({**base, "share": 0.5})]
    large = recipes()[place_of({**base, "model.width": 128, "share": 0.1})]
    one, other = Growing(ground, [small, large]).all()
    assert other.points[-1][1] < 0.1 < one.points[-1][1]
    (trial,) = as_trials([other])
    own = Growing(ground, [large]).of(0)
    assert verdict(findings_of(trial, _facts(ground))) == "overfitted"
    assert own.right is not None


def _facts(ground):
    from tame.learn.seen import Seen

    return Seen(
        name="", is_own=False, nouns="", task="multiclass", metric="accuracy", counts={"a": 40, "b": 40, "c": 40},
        train=120, valid=120,
    ).facts  # fmt: skip


def made(losses):
    recipe, share = recipes()[0]
    return Trained(recipe, share, "complete", (), torch.tensor(losses, dtype=torch.float64), None)


def test_a_gain_is_the_paired_difference_with_its_interval():
    rng = np.random.default_rng(0)
    before = rng.normal(1, 1, 200)
    after = before - rng.normal(0.3, 0.5, 200)
    found = gain(made(before), made(after))
    wanted = stats.ttest_rel(before, after).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=2e-3)
    assert found.verdict == "helped"
    assert gain(made(after), made(before)).verdict == "hurt"
    assert gain(made(before), made(before)).verdict == "no real difference"


@pytest.mark.slow
def test_a_verdict_of_no_change_is_wrong_in_one_case_of_twenty():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        before = rng.normal(size=100)
        wrong += gain(made(before), made(before + rng.normal(0, 0.5, 100))).verdict != "no real difference"
    assert 0.035 < wrong / 2000 < 0.07
