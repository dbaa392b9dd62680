"""The laws of the regularisers, what is told of them, and the patience of early stopping."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import ShapeError, UsageError
from tame.core.recipe import Recipe
from tame.parts.regularizers import (
    REGULARIZERS,
    start_patience,
    step_patience,
    update_average,
    update_mean,
    weight_names,
)
from tame.testing.regularizer_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")

LIKE = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_regularizers_keep_the_law(law, dtype):
    law(dtype)


@pytest.mark.parametrize("name", REGULARIZERS.names())
def test_the_description_of_a_regularizer_names_fields_of_a_recipe(name):
    part = REGULARIZERS.get(name)
    assert part.fields
    assert set(part.fields) <= Recipe().flat().keys()
    assert part.does.endswith(".")
    assert part.does.count(".") == 1, "one sentence"
    assert "(19" in part.source or "(20" in part.source


def test_every_regularizer_of_a_recipe_is_described_once():
    told = [field for name in REGULARIZERS.names() for field in REGULARIZERS.get(name).fields]
    assert len(told) == len(set(told))
    rooms = {field for field in Recipe().flat() if field.startswith(("regularize.", "augment."))}
    assert rooms <= set(told)
    with pytest.raises(UsageError, match="did you mean 'dropout'"):
        REGULARIZERS.get("drop_out")


def test_weights_are_what_has_two_axes_in_a_member():
    params = {"a.weight": torch.zeros(2, 3, 4), "a.bias": torch.zeros(2, 3), "b": torch.zeros(2, 1, 1, 1), "c": LIKE}
    assert weight_names(params) == ["a.weight", "b"]


def test_averages_of_other_parameters_are_refused_with_their_names():
    here, there = {"a": torch.zeros(1, 2), "b": torch.zeros(1)}, {"a": torch.zeros(1, 2), "c": torch.zeros(1)}
    with pytest.raises(ShapeError, match="differ in b, c"):
        update_mean(here, there, count=torch.zeros(1))
    with pytest.raises(ShapeError, match="differ in b, c"):
        update_average(here, there, decay=torch.zeros(1), step=torch.tensor(0))


def test_the_moving_average_forgets_the_initial_weights():
    average = {"w": torch.full((1, 1), 100.0)}
    for step in range(20):
        update_average(average, {"w": torch.ones(1, 1)}, decay=torch.tensor([0.9999]), step=torch.tensor([step]))
    assert average["w"].item() == pytest.approx(1, abs=1e-3), "with 0.9999 from the start it would be 99.8"


@given(
    curves=st.lists(
        st.lists(st.floats(0, 10) | st.sampled_from([math.nan, math.inf]), min_size=8, max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_patience_remembers_what_a_plain_loop_does(curves):
    state = start_patience(len(curves), like=LIKE)
    for epoch in range(1, 9):
        before = state
        state, improved = step_patience(state, torch.tensor([c[epoch - 1] for c in curves]).double(), epoch)
        assert improved.dtype == torch.bool
        for i, curve in enumerate(torch.tensor(curves).double().tolist()):
            best, best_epoch = math.inf, 0
            for e, loss in enumerate(curve[:epoch], 1):
                if loss < best:
                    best, best_epoch = loss, e
            assert state.best[i] == best
            assert state.best_epoch[i] == best_epoch
            assert state.waited[i] == epoch - best_epoch
            assert bool(improved[i]) is (best_epoch == epoch)
        assert before.waited.max() < epoch, "the state before is left alone"
