"""What a short rehearsal of an untrained network measured, as values: no judgement. Numbers that are not finite are
None."""

from __future__ import annotations

from dataclasses import dataclass

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLoss:
    """Of a batch before training. loss: of the recipe; guess: the same loss of outputs that are all zero; outputs,
    inputs: their standard deviation, None for inputs that are not numbers with a point."""

    loss: Number | None
    guess: Number | None
    outputs: Number | None
    inputs: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far the outputs go when the weights are moved to raise, and then to lower, all of them.

    low, high: the most extreme outputs seen; is_floored, is_capped: whether they did not leave [-1, 1] on that side,
    however the weights moved; of: "probabilities" or "log-probabilities" where each row is one, else "".
    missed: of a regression, the share of the targets that lie beyond what can be reached.
    """

    low: Number
    high: Number
    is_floored: bool
    is_capped: bool
    of: str = ""
    missed: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """A layer of rectified units. dead: how many of them are zero for every example."""

    name: str
    count: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One tensor of weights with two dimensions or more, in the order of the module.

    size: root mean square of its values; gradient: of those of its gradient that are not zero; update: of its change
    in one step, the median of the steps that changed it.
    """

    name: str
    size: Number | None
    gradient: Number | None
    update: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A few steps at the peak rate of the recipe. first, last: the loss of the first batch before and after them.

    without: trainable parameters that got no gradient in any step; frozen: parameters that are not trainable, frozen_of
    numbers of `numbers` in all; spread, spread_before: after and before the steps, the largest standard deviation of an
    output over different examples, in evaluation, over the largest output.
    """

    count: int
    first: Number | None
    last: Number | None
    without: tuple[str, ...]
    frozen: tuple[str, ...]
    frozen_of: int
    numbers: int
    weights: tuple[Weights, ...]
    spread: Number | None
    spread_before: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBatch:
    """Training on one small batch again and again. constant: the lowest loss of outputs that are the same for every
    example; perfect: of any outputs; lowest: the lowest that was reached; rates: that were tried; steps: of each at
    most."""

    examples: int
    constant: Number | None
    perfect: Number | None
    lowest: Number | None
    rates: tuple[Number, ...]
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """norms: names of the layers that normalise over a batch; batch, last: examples in a full and in the last batch."""

    norms: tuple[str, ...]
    batch: int
    last: int


@dataclass(frozen=True, slots=True)
class NotRun:
    """A probe that was not run, and why."""

    probe: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Everything that a rehearsal measured; None where a probe was not run: see `not_run`. wall_s: what it took."""

    batches: Batches | None = None
    first_loss: FirstLoss | None = None
    units: tuple[Units, ...] | None = None
    steps: Steps | None = None
    reach: Reach | None = None
    one_batch: OneBatch | None = None
    not_run: tuple[NotRun, ...] = ()
    wall_s: Number = 0.0
