"""A short rehearsal of an untrained network, which measures what curves cannot tell: `monitor/probes.py` judges it.

Everything happens on a module that is made for this and thrown away, with generators of its own. A probe that fails or
for which the time is too short is named, never guessed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import StoppedError
from tame.core.probed import Batches, FirstLoss, NotRun, OneBatch, Probed, Reach, Steps, Units, Weights
from tame.core.recipe import OptimizerRecipe
from tame.trial.draws import epoch_batches, same_chance
from tame.trial.own_module import words_of
from tame.trial.population import Member, Task, num_outputs
from tame.trial.rectified import Rectified
from tame.trial.rehearsal import Rehearsal, TimeUp, steppers_of
from tame.trial.stepper import Stepper

LOOKED_AT = 64  # examples whose outputs and units are looked at
MOST_BATCH = 256  # examples in a step: more take longer and show the same
STEPS = 5  # at the rate of the recipe
SMALL = 8  # examples that any sound network can learn by heart
RATES = (3e-3, 3e-2, 3e-4)  # of Adam, that are tried for it until one succeeds
ROUNDS = 30  # steps of each
KEPT = 5  # steps in a row that a loss must be kept
ENOUGH = 0.5  # of the way to a perfect loss, after which it has succeeded
FREE_ROUNDS, FREE_RATE = 30, 0.3  # for outputs that are moved by themselves
PUSHES, PUSH = 12, 0.3  # steps and rate of Adam that raise or lower the outputs: 3.6, of a bias alone
BEYOND = 1.05  # an output beyond this is not bounded by 1
EVEN = 1e-4  # that the sum of probabilities may be off by
_ADAM = OptimizerRecipe(name="adam", weight_decay=0.0)


def probe(task: Task, member: Member, *, limit_s: float, clock: Callable[[], float] = time.monotonic) -> Probed:
    """What a rehearsal of this member measures within so many seconds, of which making the module is a part.

    The same task, member and time give the same values. Raises what making the module raises.
    """
    begun = clock()

    def tick() -> None:
        if clock() - begun > limit_s:
            raise TimeUp

    with same_chance(member.recipe.seed, "probe"), torch.enable_grad():
        own = Rehearsal(task, member, tick)
        found, missing = Probed(batches=_batches(own)), []
        for names, look in (
            (("first_loss", "units"), _first),
            (("steps",), _steps),
            (("reach",), _reach),
            (("one_batch",), _one_batch),
        ):
            try:
                tick()
                own.reset()
                found = look(own, found)
            except TimeUp:
                missing += [NotRun(name, f"the {limit_s:.2g} s for it were over") for name in names]
            except (KeyboardInterrupt, StoppedError):
                raise
            except Exception as problem:  # whatever the user's code raises: training will tell, or not need it
                missing += [NotRun(name, words_of(problem).splitlines()[0][:200]) for name in names]
    return replace(found, not_run=tuple(missing), wall_s=clock() - begun)


def _batches(own: Rehearsal) -> Batches:
    kind = nn.modules.batchnorm._BatchNorm
    norms = tuple(name or type(part).__name__ for name, part in own.module.named_modules() if isinstance(part, kind))
    size, num = own.recipe.batch(len(own.walked)), len(own.walked)
    return Batches(norms=norms, batch=min(size, num), last=num % size or min(size, num))


def _first(own: Rehearsal, found: Probed) -> Probed:
    """The loss before training, and units that no example moves."""
    rows = own.trains[:LOOKED_AT]
    x = own.inputs(rows)
    with torch.no_grad(), Rectified(own.module) as rectified:
        outputs = own.outputs(x)
        loss, guess = own.loss(outputs, rows), own.loss(torch.zeros_like(outputs), rows)
    first = FirstLoss(
        loss=_number(loss), guess=_number(guess), outputs=_number(outputs.std(correction=0)),
        inputs=_number(x.std(correction=0)) if x.is_floating_point() else None,
    )  # fmt: skip
    units = tuple(Units(name=name, count=len(alive), dead=int((~alive).sum())) for name, alive in rectified.seen)
    return replace(found, first_loss=first, units=units)


def _steps(own: Rehearsal, found: Probed) -> Probed:
    """Gradients, updates and outputs in a few steps at the peak rate of the recipe."""
    params, told = own.params, _weights_of(own.module)
    steppers = steppers_of(own)
    batches = _some_batches(own)
    moved: dict[str, list[float]] = {name: [] for name in told}
    gradients, losses, reached = dict.fromkeys(told, 0.0), list[float](), set[str]()
    spread_before = _spread(own)
    own.module.train()
    for number in range(STEPS):
        own.tick()
        rows = batches[number % len(batches)]
        losses.append(own.backward(own.inputs(rows), rows))
        own.clip()
        # Of the first step that reaches it: a last layer of zeros lets nothing through before it has moved.
        gradients = {name: old or _rms_of_some(params[name].grad) for name, old in gradients.items()}
        reached |= {name for name, value in params.items() if value.grad is not None and bool(value.grad.any())}
        before = {name: params[name].detach().clone() for name in told}
        for stepper in steppers:
            stepper.step()
        for name, old in before.items():
            moved[name].append(_rms(params[name].detach() - old))
    with torch.no_grad():
        last = float(own.loss(own.outputs(own.inputs(batches[0])), batches[0]))
    frozen = {name: value for name, value in own.module.named_parameters() if not value.requires_grad}
    weights = tuple(
        Weights(
            name=name, size=_finite(_rms(own.state[name])), gradient=_finite(gradients[name]),
            update=_middle([each for each in moved[name] if each]),
        )
        for name in told
    )  # fmt: skip
    steps = Steps(
        count=STEPS, first=_finite(losses[0]), last=_finite(last), frozen=tuple(frozen),
        without=tuple(name for name in params if name not in reached),
        frozen_of=sum(value.numel() for value in frozen.values()),
        numbers=sum(value.numel() for value in own.module.parameters()), weights=weights,
        spread=_spread(own), spread_before=spread_before,
    )  # fmt: skip
    return replace(found, steps=steps)


def _some_batches(own: Rehearsal) -> list[Tensor]:
    """The first batches of the first epoch, of the examples that this member trains on."""
    recipe = own.recipe
    trains = own.task.examples.trains(own.member)
    some = epoch_batches(recipe.seed, 1, own.walked, min(MOST_BATCH, recipe.batch(len(own.walked))))[:STEPS]
    return [mine for rows in some if len(mine := rows[trains[rows]])]


@torch.no_grad()
def _spread(own: Rehearsal) -> float | None:
    """How much the outputs differ between examples, as they are judged, over the largest output; None if that is not
    known."""
    own.module.eval()
    outputs = own.outputs(own.task.views(own.recipe, own.trains[:LOOKED_AT])[0])
    size = float(outputs.abs().max())
    return _finite(float(outputs.std(dim=0, correction=0).max()) / size) if size > 0 else 0.0


def _weights_of(module: nn.Module) -> list[str]:
    """Trainable tensors of two dimensions or more, but those of embeddings, of which a batch moves a few rows."""
    looked_up = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag)}
    return [
        name
        for name, value in module.named_parameters()
        if value.requires_grad and value.ndim >= 2 and id(value) not in looked_up
    ]


def _reach(own: Rehearsal, found: Probed) -> Probed:
    """How high and how low the outputs can be made by moving the weights."""
    own.calm()
    rows = own.trains[:SMALL]
    x = own.inputs(rows)
    with torch.no_grad():
        first = own.outputs(x)
    highest, lowest = _pushed(own, x, up=True), 0.0
    own.reset()
    own.calm()
    lowest = -_pushed(own, x, up=False)
    low, high = min(lowest, float(first.min())), max(highest, float(first.max()))
    if not math.isfinite(low) or not math.isfinite(high):
        return replace(found, reach=None)
    reach = Reach(low=low, high=high, is_floored=low >= -BEYOND, is_capped=high <= BEYOND, of=_kind_of(first))
    return replace(found, reach=replace(reach, missed=_missed(own, reach)))


def _pushed(own: Rehearsal, x: Tensor, *, up: bool) -> float:
    """The highest output that was reached by raising all of them; for `up` False, of their negatives."""
    stepper = Stepper(own.params, replace(_ADAM, lr=PUSH))
    best = -math.inf
    for _ in range(PUSHES + 1):
        own.tick()
        own.module.zero_grad(set_to_none=True)
        outputs = own.outputs(x) if up else -own.outputs(x)
        best = max(best, float(outputs.detach().max()))
        if best > BEYOND or not outputs.requires_grad:
            break
        torch.autograd.backward(-outputs.mean())
        stepper.step()
    return best


def _kind_of(outputs: Tensor) -> str:
    if outputs.shape[-1] < 2:
        return ""
    whole = torch.ones(len(outputs), dtype=outputs.dtype, device=outputs.device)
    for name, shares in (("probabilities", outputs), ("log-probabilities", outputs.exp())):
        if bool((shares >= 0).all()) and torch.allclose(shares.sum(dim=1), whole, rtol=0, atol=EVEN):
            return name
    return ""


def _missed(own: Rehearsal, reach: Reach) -> float:
    """The share of the targets of a regression that no output can be."""
    examples = own.task.examples
    if examples.num_classes or own.recipe.loss.name == "poisson":
        return 0.0
    like = torch.zeros(1, 1, 1, dtype=torch.float64, device=own.task.device)
    target = examples.aims([own.member], own.trains, like)
    below = target < reach.low if reach.is_floored else torch.zeros_like(target, dtype=torch.bool)
    above = target > reach.high if reach.is_capped else torch.zeros_like(target, dtype=torch.bool)
    return float((below | above).double().mean())


def _one_batch(own: Rehearsal, found: Probed) -> Probed:
    """Whether a few examples can be learned by heart at one of a few rates."""
    rows = _different(own)
    x = own.inputs(rows)
    width = num_outputs(own.recipe, own.task.examples)
    constant, perfect = (_lowest_of_outputs(own, rows, shape) for shape in ((1, width), (len(rows), width)))
    lowest, tried = math.inf, []
    for rate in RATES:
        own.reset()
        own.calm()
        tried.append(rate)
        lowest = min(lowest, _learned(own, x, rows, rate, until=constant - ENOUGH * (constant - perfect)))
        if lowest <= constant - ENOUGH * (constant - perfect):
            break
    one = OneBatch(
        examples=len(rows), constant=_finite(constant), perfect=_finite(perfect), lowest=_finite(lowest),
        rates=tuple(tried), steps=ROUNDS,
    )  # fmt: skip
    return replace(found, one_batch=one)


def _different(own: Rehearsal) -> Tensor:
    """A few training examples with targets as different as there are, so that one answer does not fit all."""
    target = own.task.examples.target[own.trains]
    if target.ndim == 2:
        target = target.argmax(dim=1) if own.task.examples.num_classes else target[:, 0]
    order = torch.argsort(target, stable=True)
    places = torch.linspace(0, len(order) - 1, min(SMALL, len(order)), dtype=torch.float64).round().long()
    return own.trains[order[places.to(order.device)]]


def _lowest_of_outputs(own: Rehearsal, rows: Tensor, shape: tuple[int, int]) -> float:
    """The lowest loss of outputs that are moved by themselves."""
    like = next(iter(own.params.values()))
    free = nn.Parameter(torch.zeros(shape, dtype=torch.float64, device=like.device))
    stepper = Stepper({"outputs": free}, replace(_ADAM, lr=FREE_RATE))
    best = math.inf
    for _ in range(FREE_ROUNDS):
        own.tick()
        free.grad = None
        loss = own.loss(free.expand(len(rows), -1).to(like.dtype), rows)
        best = min(best, float(loss.detach()))
        torch.autograd.backward(loss)
        stepper.step()
    return best


def _learned(own: Rehearsal, x: Tensor, rows: Tensor, rate: float, *, until: float) -> float:
    """The lowest loss that a few steps on the same examples kept for `KEPT` steps: one alone may be luck."""
    stepper = Stepper(own.params, replace(_ADAM, lr=rate))
    losses: list[float] = []
    best = math.inf
    for _ in range(ROUNDS):
        own.tick()
        losses.append(own.backward(x, rows))
        if not math.isfinite(losses[-1]):
            break
        if len(losses) >= KEPT:
            best = min(best, max(losses[-KEPT:]))
        if best <= until:
            break
        stepper.step()
    return best


def _middle(values: list[float]) -> float | None:
    """The median; None of none, or where it is not finite."""
    return _finite(float(np.median(values))) if values else None


def _rms(value: Tensor) -> float:
    return float(value.double().square().mean().sqrt()) if value.numel() else 0.0


def _rms_of_some(grad: Tensor | None) -> float:
    """The root mean square of the entries that are not zero, so that units at rest do not hide what the others get."""
    return 0.0 if grad is None else _rms(grad[grad != 0])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: Tensor) -> float | None:
    return _finite(float(value))
