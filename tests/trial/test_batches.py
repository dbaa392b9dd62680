"""The parts of a batch add up to the whole of it: its loss and its gradient."""

from __future__ import annotations

import pytest
import torch

import tuned_together
from tame.core.recipe import Recipe
from tame.trial.batches import Batch
from tame.trial.population import Member
from tame.trial.settings import Settings

CHANGES = {
    "plain": {},
    "with dropout": {"model.dropout": 0.5},
    "classes count differently": {"loss.class_weights": "balanced"},
    "smoothed": {"loss.class_weights": "balanced", "loss.label_smoothing": 0.2},
    "mixed": {"regularize.mixup": 0.4},
    "cut and mixed": {"regularize.cutmix": 0.8, "loss.class_weights": "balanced"},
}
ROWS = torch.tensor([5, 1, 30, 17, 9, 22, 36, 4, 13])


def gradient(batch, task, member, parts):
    """The loss and the gradient of a batch in these parts; None for the whole of it."""
    module = task.build(member).double().train()
    losses = [batch.backward(module, part) for part in parts]
    return torch.stack(losses).sum(), {name: param.grad for name, param in module.named_parameters()}


def batch_of(changes, *, weighted):
    recipe = Recipe().but({**tuned_together.BASE, **changes})
    task, member = tuned_together.tuned_task(recipe, weighted=weighted), Member(0, 0, recipe)
    like = next(task.build(member).parameters()).detach().double()
    settings = Settings.of([member], task.examples, like)
    return Batch.of(DoubleTask(task), member, settings, ROWS, epoch=2, step=3), task, member


class DoubleTask:
    """Its inputs in float64, so that sums in another order are still the same."""

    def __init__(self, task):
        self._task = task

    def __getattr__(self, name):
        return getattr(self._task, name)

    def batch(self, recipe, rows, **when):
        return self._task.batch(recipe, rows, **when).double()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_the_parts_of_a_batch_add_up_to_it(name, weighted, one_thread):
    batch, task, member = batch_of(CHANGES[name], weighted=weighted)
    whole, gradients = gradient(batch, task, member, [None])
    for num in (2, 4, 9):
        parts = torch.tensor_split(torch.arange(len(ROWS)), num)
        loss, found = gradient(batch, task, member, parts)
        torch.testing.assert_close(loss, whole, rtol=0, atol=1e-6)  # the pictures are float32
        for key, value in gradients.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6, msg=key)


def test_the_mean_over_parts_would_be_another():
    """Where examples count differently, the mean of means is not what the whole batch gives."""
    batch, task, member = batch_of({"loss.class_weights": "balanced"}, weighted=True)
    whole, _ = gradient(batch, task, member, [None])
    parts = torch.tensor_split(torch.arange(len(ROWS)), 2)
    each = [
        Batch.of(DoubleTask(task), member, batch.settings, ROWS[part], epoch=2, step=3) for part in parts
    ]  # fmt: skip
    means = [gradient(one, task, member, [None])[0] for one in each]
    assert abs(float(sum(means) / 2 - whole)) > 1e-4


def test_a_batch_knows_which_examples_are_the_members_and_what_they_count_as():
    batch, task, _ = batch_of({}, weighted=True)
    assert batch.count == len(ROWS)
    assert batch.size == pytest.approx(float(task.examples.weight[ROWS].sum()))
    plain, _, _ = batch_of({}, weighted=False)
    assert plain.size == len(ROWS)
