"""Picking networks for their mean: as a plain loop picks them, and judged by examples that they were not picked on."""

from __future__ import annotations

import numpy as np
import pytest

from tame.core.rng import stream
from tame.evaluate.picking import GAIN, picked, picked_fairly
from tame.evaluate.score import judged_from, mean_of, measure, softmax

NUM = 240


def networks(task, *, count=9, num=NUM, noise=1.5, weighted=False, shares=False, seed=0):
    """Networks that know the truth up to noise of their own, later ones less."""
    rng = stream(seed, "picking")
    ids = [str(row) for row in range(num)]
    weights = rng.uniform(0.2, 3, num) if weighted else None
    if task == "regression":
        truth = rng.normal(size=num)
        said = [(truth + noise * (1 + 0.1 * k) * rng.normal(size=num))[:, None] for k in range(count)]
        return [judged_from(task, ids, truth, each, weights=weights) for each in said]
    logits = rng.normal(0, 2, (num, 3))
    truth = softmax(logits) if shares else np.array([rng.choice(3, p=own) for own in softmax(logits)])
    said = [logits + noise * (1 + 0.1 * k) * rng.normal(size=(num, 3)) for k in range(count)]
    return [judged_from(task, ids, truth, each, weights=weights) for each in said]


KINDS = [
    ("regression", "rmse", {}), ("regression", "rmse", {"weighted": True}), ("multiclass", "log_loss", {}),
    ("multiclass", "log_loss", {"weighted": True}), ("multiclass", "log_loss", {"shares": True}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "loss", "more"), KINDS)
@pytest.mark.parametrize("most", [1, 4, 20])
def test_it_picks_what_a_plain_loop_picks(task, loss, more, most):
    own = networks(task, **more)
    members = [0]
    while len(members) < min(most, len(own)):
        rest = [place for place in range(len(own)) if place not in members]
        best = min(rest, key=lambda place: measure(loss, mean_of([own[n] for n in [*members, place]])))
        before, after = (measure(loss, mean_of([own[n] for n in some])) for some in (members, [*members, best]))
        power = 2 if loss == "rmse" else 1
        if after**power >= before**power * (1 - GAIN):
            break
        members.append(best)
    assert picked(own, loss, most=most) == tuple(members)


@pytest.mark.parametrize(("task", "loss", "more"), KINDS)
def test_what_is_said_of_them_is_no_better_than_on_new_examples(task, loss, more):
    """Networks of pure noise: picking finds some that look good where they are picked, and nowhere else."""
    gaps, flattery = [], []
    for seed in range(30):
        every = networks(task, count=20, num=4 * 60, noise=3.0, seed=seed, **more)
        old, new = np.arange(240) < 60, np.arange(240) >= 60
        own = [each.only(old) for each in every]
        found = picked_fairly(own, loss, most=8, seed=seed)
        fresh = measure(loss, mean_of([every[place].only(new) for place in found.members]))
        gaps.append(measure(loss, found.judged) - fresh)
        flattery.append(measure(loss, mean_of([own[place] for place in found.members])) - fresh)
        assert found.optimism == pytest.approx(gaps[-1] - flattery[-1])
        assert found.members[0] == 0
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert np.mean(gaps) > -3 * error, "each fold picks on fewer examples, so it may look worse, never better"
    assert np.mean(flattery) < np.mean(gaps)


def test_one_network_is_picked_alone():
    own = networks("multiclass", count=1)
    found = picked_fairly(own, "log_loss", most=8, seed=0)
    assert found.members == (0,)
    np.testing.assert_array_equal(found.judged.outputs, own[0].outputs)
    assert found.optimism == 0
