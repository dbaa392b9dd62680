"""Inputs that are unlike the training data: found from statistics, seldom a false alarm, and no example is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from tame.core.errors import UsageError
from tame.core.rng import stream
from tame.parts.familiar import MOST_DIRECTIONS, Familiar, familiar


def normal(seed: int, n: int, width: int, *, plane: int | None = None) -> torch.Tensor:
    """Examples of very different scales, or near a plane of so many dimensions."""
    rng = stream(seed, "examples")
    if plane is None:
        return torch.from_numpy(rng.normal(size=(n, width)) * np.geomspace(0.01, 100, width))
    turned = np.linalg.qr(stream(0, "plane").normal(size=(width, plane)))[0]
    return torch.from_numpy(rng.normal(size=(n, plane)) @ turned.T + 0.01 * rng.normal(size=(n, width)))


@pytest.mark.parametrize(("n", "width", "plane"), [(150, 4, None), (2000, 5, None), (3000, 200, 20), (400, 800, 10)])
def test_one_in_a_hundred_new_examples_is_flagged(n, width, plane):
    own = familiar(normal(1, n, width, plane=plane))
    assert own is not None
    flagged = (own.distance(normal(2, 5000, width, plane=plane)) > 1).double().mean()
    assert flagged < 0.03
    if n >= 1000:
        assert flagged > 0.003


def test_few_training_examples_of_many_numbers_are_themselves_seldom_flagged():
    # Features of a network: many directions, and a few examples that lie much further out than the others.
    rng = stream(8, "examples")
    far = rng.gamma(2.0, size=(240, 1)) * np.geomspace(1, 0.1, 1000)
    x = torch.from_numpy(rng.normal(size=(240, 1000)) * far)
    own = familiar(x)
    assert (own.distance(x) > 1).double().mean() < 0.02
    assert (own.distance(x * 5) > 1).double().mean() > 0.5


def test_what_lies_far_along_or_off_the_main_directions_is_flagged():
    x = normal(1, 1000, 20, plane=3)
    own = familiar(x)
    along = x[:50] * 8
    off = x[:50] + torch.eye(20, dtype=x.dtype)[:1] * 0.3
    assert (own.distance(along) > 1).double().mean() > 0.8
    assert (own.distance(off) > 1).all()
    assert (own.distance(x[:50]) > 1).double().mean() < 0.1


def test_the_distance_along_all_directions_is_that_of_mahalanobis():
    x, new = normal(1, 800, 6), normal(2, 30, 6)
    own = familiar(x)
    assert len(own.spreads) == 6
    inverse = np.linalg.inv(np.cov(x.numpy().T, bias=True))
    wanted = [mahalanobis(row, x.numpy().mean(axis=0), inverse) ** 2 / 6 / own.limits[0] for row in new.numpy()]
    np.testing.assert_allclose(own.distance(new).numpy(), wanted, rtol=1e-4)  # statistics are kept as float32


def test_what_is_kept_does_not_grow_with_the_examples_and_holds_none_of_them():
    sizes = []
    for n in (700, 5000):
        x = normal(3, n, 100)
        own = familiar(x)
        kept = torch.cat([own.mean[None], own.directions])
        sizes.append(kept.shape)
        assert torch.cdist(kept.double(), x).min() > 1e-3
    assert sizes[0] == sizes[1] == (MOST_DIRECTIONS + 1, 100)


def test_it_is_restored_as_it_was():
    own = familiar(normal(4, 300, 8))
    again = Familiar.restore(own.to_json(), own.tensors())
    new = normal(5, 40, 8)
    assert torch.equal(own.distance(new), again.distance(new))


def test_what_leaves_a_plane_that_holds_all_training_examples_is_flagged():
    x = normal(6, 400, 5)
    x = torch.cat([x, x[:, :1] + x[:, 1:2]], dim=1)
    new = normal(7, 200, 5)
    inside = torch.cat([new, new[:, :1] + new[:, 1:2]], dim=1)
    assert (familiar(x).distance(inside) > 1).double().mean() < 0.05
    assert (familiar(x).distance(inside + torch.tensor([0.0] * 5 + [5.0])) > 1).all()


@pytest.mark.parametrize(
    "change", [{"limits": [0.0, 1.0]}, {"limits": [math.nan, 1.0]}, {"rest": -1.0}, {"rest": math.inf}]
)
def test_numbers_that_make_no_sense_are_refused(change):
    own = familiar(normal(4, 300, 8))
    with pytest.raises(UsageError, match="does not fit together"):
        Familiar.restore({**own.to_json(), **change}, own.tensors())


def test_tensors_that_do_not_fit_are_refused():
    own = familiar(normal(4, 300, 8))
    for name, value in {"mean": own.mean[:5], "spreads": own.spreads * 0}.items():
        with pytest.raises(UsageError, match="does not fit together"):
            Familiar.restore(own.to_json(), {**own.tensors(), name: value})


def test_of_few_examples_or_equal_ones_nothing_is_known():
    assert familiar(normal(1, 99, 3)) is None
    assert familiar(torch.ones(500, 3)) is None


def test_a_column_that_was_constant_and_is_not_any_more_is_flagged():
    x = torch.from_numpy(stream(0, "columns").normal(size=(500, 4)))
    x[:, 2] = 7.0 + 1e-3 * x[:, 2]
    new = x[:20].clone()
    new[:, 2] = 8.0
    assert (familiar(x).distance(new) > 1).all()
