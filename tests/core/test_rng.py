"""Streams of random numbers depend on seed and name alone."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from made_recipes import names
from tame.core.rng import stream, stream_seed


@given(seed=st.integers(0, 2**63 - 1), name=names)
def test_a_stream_depends_on_seed_and_name_alone(seed, name):
    first = stream(seed, *name).random(4)
    stream(seed, "another").random(100)
    assert np.array_equal(first, stream(seed, *name).random(4))
    assert 0 <= stream_seed(seed, *name) < 2**63


@given(st.lists(st.tuples(st.integers(0, 9), names.map(tuple)), min_size=2, max_size=20))
def test_different_names_or_seeds_give_different_streams(keys):
    texts = {(seed, *map(str, name)) for seed, name in keys}
    assert len({stream_seed(seed, *name) for seed, name in keys}) == len(texts)


def test_streams_are_not_correlated():
    draws = np.array([stream(0, "a", i).standard_normal(4000) for i in range(20)])
    draws = np.vstack([draws, [stream(i, "a", 0).standard_normal(4000) for i in range(1, 20)]])
    together = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.abs(together).max() < 4.5 / math.sqrt(4000)


def test_the_streams_are_these_and_stay_so():
    """A study of an older TAME must be resumed with the same draws."""
    assert stream_seed(0, "order", 1) == 4739946833832999988
    assert stream(7, "init", "out.weight").integers(1000, size=3).tolist() == [649, 428, 130]
