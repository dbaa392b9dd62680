"""A learning-rate range test: one step at each of many rising rates, of a network that is thrown away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tame.core.rate_range import RISEN, RateRange, rate_range
from tame.trial.draws import epoch_batches, same_chance
from tame.trial.population import Member, Task
from tame.trial.rehearsal import Rehearsal, TimeUp, steppers_of

STEPS = 120
BELOW, ABOVE = 1e-3, 1e3  # times the rate of the recipe, that it begins and ends with


def tried_rates(
    task: Task, member: Member, *, limit_s: float, clock: Callable[[], float] = time.monotonic
) -> RateRange:  # fmt: skip
    """What the loss of this member does while its rate rises, with its own optimizer, within so many seconds.

    The same task and member give the same values, as long as there is time for all steps; the rates of fewer are
    further apart. Raises what making or training the module raises.
    """
    begun = clock()

    def tick() -> None:
        if clock() - begun > limit_s:
            raise TimeUp

    with same_chance(member.recipe.seed, "rates"), torch.enable_grad():
        own = Rehearsal(task, member, tick)
        losses = list[float]()
        rates = [BELOW * (ABOVE / BELOW) ** (step / (STEPS - 1)) for step in range(STEPS)]
        steppers = steppers_of(own)
        own.module.train()
        for rows, times in zip(_batches(own), rates, strict=False):
            try:
                tick()
            except TimeUp:
                break
            losses.append(own.backward(own.inputs(rows), rows))
            if not math.isfinite(losses[-1]) or losses[-1] > RISEN * abs(losses[0]) + 1e-12:
                break
            own.clip()
            for stepper in steppers:
                stepper.step(times)
    usual = member.recipe.optimizer.lr
    return rate_range([usual * times for times in rates], losses, usual=usual, seconds=clock() - begun)


def _batches(own: Rehearsal) -> list[Tensor]:
    """As many batches as there are steps, of the examples that this member trains on, in the order of its epochs."""
    recipe, trains, found = own.recipe, own.task.examples.trains(own.member), list[Tensor]()
    for epoch in range(1, STEPS + 1):
        for rows in epoch_batches(recipe.seed, epoch, own.walked, recipe.batch(len(own.walked))):
            mine = rows[trains[rows]]
            if len(mine):
                found.append(mine)
        if len(found) >= STEPS:
            break
    return found[:STEPS]
