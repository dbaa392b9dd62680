"""Descents of a linear network on the examples of a lesson, by the optimizers that studies use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tame.core.errors import UsageError, require, unknown
from tame.core.rng import stream, stream_seed
from tame.learn.ground import Ground
from tame.parts.losses import LOSSES, LossHyper, average_loss_and_slope
from tame.parts.optimizers import OPTIMIZERS, Hyper
from tame.parts.schedules import RateMultiplier, ScheduleHyper

MOST_STEPS, MOST_RUNS = 400, 12
OF_CLASSES, OF_NUMBERS = ("cross_entropy", "mse"), ("mse", "mae", "huber")
# Those that judge other weights than they train would need two paths each.
DESCENDS = tuple(name for name in OPTIMIZERS.names() if OPTIMIZERS.get(name).evaluated is None)
MEANS = ("velocity", "momentum", "mean", "first")  # what optimizers call a running mean of gradients
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A descent. batch: examples of each step, 0 for all; warmup: share of the steps in which the rate rises."""

    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    batch: int = 0
    schedule: str = "constant"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        require(self.optimizer in DESCENDS, unknown("optimizer", self.optimizer, DESCENDS))
        require(math.isfinite(self.lr) and 0 < self.lr <= 1e6, f"a rate must be above 0, got {self.lr}")
        require(0 <= self.momentum < 1, f"momentum must be 0 or more and below 1, got {self.momentum}")
        require(0 <= self.batch <= 100_000, f"a batch has 1 example or more, or 0 for all, got {self.batch}")
        require(self.schedule in SCHEDULES, unknown("schedule", self.schedule, SCHEDULES))
        require(0 <= self.warmup < 1, f"a warm-up is a share of the steps, got {self.warmup}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A linear network on examples, and its loss. x: (N, D); target: (N,) class numbers, or (N, C) for numbers."""

    x: Tensor
    target: Tensor
    outputs: int
    loss: str

    @property
    def size(self) -> int:
        """How many weights there are, biases included."""
        return (self.x.shape[1] + 1) * self.outputs

    def start(self, *, seed: int = 0) -> Tensor:
        """(P,) small random weights and no biases, flat: weights by output, then biases."""
        drawn = torch.Generator().manual_seed(stream_seed(seed, "lesson", "start"))
        inputs = self.x.shape[1]
        weights = torch.randn(self.outputs * inputs, generator=drawn, dtype=torch.float64) / math.sqrt(inputs)
        return torch.cat([weights, torch.zeros(self.outputs, dtype=torch.float64)])

    def predict(self, weights: Tensor, x: Tensor | None = None) -> Tensor:
        """(M, N, C) the outputs of M networks. weights: (M, P)."""
        inputs, members = self.x.shape[1], len(weights)
        cut = self.outputs * inputs
        # One product for all networks: batched, the examples would be copied for each of them.
        product = (self.x if x is None else x) @ weights[:, :cut].reshape(-1, inputs).T
        return product.view(-1, members, self.outputs).transpose(0, 1) + weights[:, None, cut:]

    def losses(self, outputs: Tensor) -> Tensor:
        """(M,) the loss of these outputs (M, N, C) of all examples."""
        return self._loss(outputs, slice(None))[0]

    def loss_and_gradient(self, weights: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """(M,) and (M, P): the loss on these examples, and its gradient."""
        x = self.x[rows]
        loss, slope = self._loss(self.predict(weights, x), rows)
        of_weights = slope.transpose(1, 2).reshape(-1, len(x)) @ x
        return loss, torch.cat([of_weights.view(len(weights), -1), slope.sum(dim=1)], dim=1)

    def _loss(self, outputs: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        each = torch.ones(len(outputs), dtype=outputs.dtype)
        hyper = LossHyper(0 * each, each, 0.5 * each, 2 * each)
        return average_loss_and_slope(LOSSES.get(self.loss), outputs, self.target[rows], hyper, smooths=False)


@dataclass(frozen=True, slots=True)
class Path:
    """A descent that was made. weights: (T + 1, P), the start first; losses: (T + 1,) on all examples; velocity: (T +
    1, P), what the optimizer keeps of earlier gradients, None where that is nothing. Beyond the last finite loss both
    stand still, and is_lost says so."""

    run: Run
    weights: Tensor
    losses: Tensor
    velocity: Tensor | None
    is_lost: bool


def problem_of(ground: Ground, loss: str) -> Problem:
    """A linear network on these examples. Raises UsageError for a loss that they cannot be trained with."""
    known = OF_CLASSES if ground.classes else OF_NUMBERS
    require(loss in known, unknown("loss", loss, known))
    if loss == "cross_entropy":
        return Problem(ground.x, ground.y, ground.num_outputs, loss)
    numbers = (
        torch.nn.functional.one_hot(ground.y, ground.num_outputs).double() if ground.classes else ground.y[:, None]
    )
    return Problem(ground.x, numbers, ground.num_outputs, loss)


@torch.no_grad()
def descend(problem: Problem, runs: Sequence[Run], *, steps: int, seed: int = 0) -> list[Path]:
    """The descents, all from the same start and with the same batches in the same order, in the order of `runs`.

    Raises UsageError for too many steps or runs.
    """
    require(1 <= steps <= MOST_STEPS, f"a descent has 1 to {MOST_STEPS} steps, got {steps}")
    require(1 <= len(runs) <= MOST_RUNS, f"1 to {MOST_RUNS} descents can be made at once, got {len(runs)}")
    found: dict[int, Path] = {}
    together: dict[tuple[str, int], list[int]] = {}
    for place, run in enumerate(runs):
        together.setdefault((run.optimizer, run.batch), []).append(place)
    for (_, batch), own in together.items():
        paths = _alike(problem, [runs[place] for place in own], batch=batch, steps=steps, seed=seed)
        found |= dict(zip(own, paths, strict=True))
    return [found[place] for place in range(len(runs))]


def _alike(problem: Problem, runs: Sequence[Run], *, batch: int, steps: int, seed: int) -> list[Path]:
    """Descents with one optimizer and batch size, in one computation."""
    optimizer, members = OPTIMIZERS.get(runs[0].optimizer), len(runs)
    cut, inputs = problem.outputs * problem.x.shape[1], problem.x.shape[1]
    weights = problem.start(seed=seed).repeat(members, 1)
    params = {"weight": weights[:, :cut].view(members, -1, inputs).clone(), "bias": weights[:, cut:].clone()}
    state, rates = optimizer.init(params), _rates(runs, steps)
    momentum = torch.tensor([run.momentum for run in runs], dtype=torch.float64)
    no_decay, beta2 = torch.zeros_like(momentum), torch.full_like(momentum, 0.999)
    kept = [_flat(params)]
    loss, whole = problem.loss_and_gradient(kept[0])
    losses, velocities = [loss], [torch.zeros_like(kept[0])]
    slot = next((name for name in MEANS if all(f"{name}.{own}" in state for own in params)), "")
    for step in range(steps):
        rows = _batch(problem, batch, step, seed)
        slope = whole if isinstance(rows, slice) else problem.loss_and_gradient(kept[-1], rows)[1]
        finite = torch.isfinite(losses[-1]) & torch.isfinite(slope).all(dim=1)
        grads = {"weight": slope[:, :cut].view(members, -1, inputs), "bias": slope[:, cut:]}
        hyper = Hyper(rates[step], no_decay, momentum, beta2)
        params, state = optimizer.update(params, grads, state, hyper, active=None if bool(finite.all()) else finite)
        kept.append(_flat(params))
        loss, whole = problem.loss_and_gradient(kept[-1])
        losses.append(loss)
        velocities.append(_flat({name: state[f"{slot}.{name}"] for name in params}) if slot else velocities[0])
    steps_of, losses_of, velocity_of = (torch.stack(own, dim=1) for own in (kept, losses, velocities))
    return [
        _path(run, steps_of[place], losses_of[place], velocity_of[place] if slot else None)
        for place, run in enumerate(runs)
    ]


def _path(run: Run, weights: Tensor, losses: Tensor, velocity: Tensor | None) -> Path:
    """What was measured, up to the last step whose loss and weights are finite."""
    good = torch.isfinite(losses) & torch.isfinite(weights).all(dim=1)
    if bool(good.all()):
        return Path(run, weights, losses, velocity, is_lost=False)
    last = max(int((~good).nonzero()[0]) - 1, 0)
    own = [
        None if each is None else torch.where(_before(each, last), each, each[last])
        for each in (weights, losses, velocity)
    ]
    assert own[0] is not None
    assert own[1] is not None
    return Path(run, own[0], own[1], own[2], is_lost=True)


def _before(values: Tensor, last: int) -> Tensor:
    return (torch.arange(len(values)) <= last).view(-1, *(1,) * (values.ndim - 1))


def _flat(params: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([params["weight"].flatten(1), params["bias"]], dim=1).clone()


def _rates(runs: Sequence[Run], steps: int) -> Tensor:
    """(T, M) the rate of each step."""
    one = torch.ones(len(runs), dtype=torch.float64)
    hyper = ScheduleHyper(factor=0.1 * one, power=2 * one, drops=3 * one, cycles=3 * one)
    warmup = torch.tensor([run.warmup for run in runs], dtype=torch.float64)
    multiplier = RateMultiplier.of([run.schedule for run in runs], warmup=warmup, hyper=hyper)
    peak = torch.tensor([run.lr for run in runs], dtype=torch.float64)
    return torch.stack([peak * multiplier(one * step / steps) for step in range(steps)])


def _batch(problem: Problem, size: int, step: int, seed: int) -> Tensor | slice:
    """The examples of a step: all, or the next ones of this epoch's order."""
    num = len(problem.x)
    if not 0 < size < num:
        return slice(None)
    each = num // size
    order = stream(seed, "lesson", "epoch", step // each).permutation(num)
    place = step % each * size
    return torch.from_numpy(order[place : place + size])


@dataclass(frozen=True, slots=True)
class Rates:
    """What was found in trying rates. rates, ends, rises: of each rate tried the loss at the end and the share of steps
    in which the loss rose; overshoots: the lowest rate at which it does; best: the one with the lowest end."""

    loss: str
    start: float
    rates: tuple[float, ...]
    ends: tuple[float, ...]
    rises: tuple[float, ...]
    overshoots: float | None
    best: float


RISES = 0.3  # share of the steps from which on a descent overshoots
TRIED = tuple(10 ** (-4 + each / 2) for each in range(MOST_RUNS))  # rates from 1e-4 to about 30
LOOKED_AT = 40  # steps


def try_rates(problem: Problem, *, steps: int = LOOKED_AT, factor: float = 1.0) -> Rates:
    """Plain descent at many rates: which overshoots, and which gets lowest. factor: of the rates that are tried."""
    rates = [factor * each for each in TRIED]
    paths = descend(problem, [Run(optimizer="sgd", lr=rate) for rate in rates], steps=steps)
    rises = [1.0 if path.is_lost else float((path.losses.diff() > 0).double().mean()) for path in paths]
    ends = [float(path.losses[-1]) for path in paths]
    over = [rate for rate, share, path in zip(rates, rises, paths, strict=True) if share >= RISES or path.is_lost]
    good = [(end, rate) for rate, share, end in zip(rates, rises, ends, strict=True) if share < RISES]
    best = min(good)[1] if good else rates[0]
    start = float(paths[0].losses[0])
    return Rates(problem.loss, start, tuple(rates), tuple(ends), tuple(rises), min(over) if over else None, best)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The loss in which a rate that overshoots can be seen. missed: what was tried before, in which none does."""

    found: Rates
    missed: Rates | None


def that_overshoots(ground: Ground) -> Chosen:
    """The loss of these examples at which a large rate overshoots: their own, or the squared error where it does not.

    Raises UsageError where no rate overshoots with any of them.
    """
    names = OF_CLASSES if ground.classes else OF_NUMBERS[:1]
    first = try_rates(problem_of(ground, names[0]))
    if first.overshoots is not None:
        return Chosen(first, None)
    for name in names[1:]:
        found = try_rates(problem_of(ground, name))
        if found.overshoots is not None:
            return Chosen(found, first)
    raise UsageError("no rate overshoots on these examples, with any loss")


def judged_rate(found: Rates, path: Path) -> str:
    """What a descent was: "rises", "arrives" or "creeps"; the last where it went less than half of the way that the
    best of the tried rates went."""
    if path.is_lost or float((path.losses.diff() > 0).double().mean()) >= RISES:
        return "rises"
    best = found.ends[found.rates.index(found.best)]
    way = found.start - best
    return "arrives" if found.start - float(path.losses[-1]) >= 0.5 * way else "creeps"


def shorter(path: Path, steps: int) -> Path:
    """The first steps of a descent."""
    own = None if path.velocity is None else path.velocity[: steps + 1]
    return replace(path, weights=path.weights[: steps + 1], losses=path.losses[: steps + 1], velocity=own)
