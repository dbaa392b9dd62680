"""The fast engine: all members of a group in one batched computation.

A group shares its data, seed, shapes, batch size and kinds of optimizer (`group_key`); everything else is a tensor with
one value per member. If members use the same batches (`Examples.together`), an example has weight zero for the member
that is validated on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.data.augment import Mix
from tame.parts.adapters import Adapted
from tame.parts.losses import LOSSES, average_loss_and_slope
from tame.parts.mlp import Draws, Mlp
from tame.parts.mlp_gradients import is_by_hand, outputs_and_slopes
from tame.parts.optimizer_rules import widened
from tame.parts.optimizers import OPTIMIZERS, Hyper
from tame.parts.products import is_by_onednn
from tame.parts.regularizers import limit_norms, penalty, update_average, update_mean
from tame.trial.draws import StepDraws, epoch_batches, uniform
from tame.trial.flat_parameters import FlatParameters
from tame.trial.own_module import naming_failures, require_outputs
from tame.trial.population import (
    Measured,
    Member,
    Population,
    Task,
    Tensors,
    built,
    epoch_chance,
    in_room,
    joint,
    mixed,
    mixes,
    named,
    nothing,
    num_outputs,
    partners,
)
from tame.trial.settings import Settings, averages, group_key, hyper_of, optimizer_of, phase
from tame.trial.traced import Steps, Traces

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")

AHEAD_VALUES, MOST_AHEAD = 2**18, 64  # limits on what is prepared for later steps: numbers (1 MiB) and steps
EVAL_VALUES = 2**21  # numbers in one layer during prediction: 8 MiB in float32, which fit into the cache


@dataclass(frozen=True, slots=True)
class Stacked:
    """Trains groups of members whose modules can run for all of them at once.

    half: whether products between hidden layers of an mlp use bfloat16 in training.
    """

    task: Task
    traces: Traces = field(default_factory=Traces)
    half: bool = False

    def start(self, members: Sequence[Member]) -> Population:
        """The members before their first epoch; those with the same seed start from the same draws."""
        modules = [built(self.task, member) for member in members]
        trained = {name for name, value in modules[0].named_parameters() if value.requires_grad}
        states = [module.state_dict() for module in modules]
        whole = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        params = {name: value for name, value in whole.items() if name in trained}
        buffers = {name: value for name, value in whole.items() if name not in trained}  # includes frozen parameters
        recipe = members[0].recipe
        tensors = {**named("param", params), **named("buffer", buffers)}
        tensors |= named("state", OPTIMIZERS.get(recipe.optimizer.name).init(params))
        if averages(recipe):
            tensors |= named("average", {name: value.clone() for name, value in {**params, **buffers}.items()})
        if recipe.schedule.name == "plateau":
            tensors["plateau.multiplier"] = torch.ones(len(members), device=self.task.device)
        return Population(tuple(members), tensors)

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None],
        between: Callable[[], None] = nothing,
    ) -> Population:  # fmt: skip
        """See Engine."""
        run = _Run.of(population, self)
        # In a fixed order: a checkpoint may return any, and the last bit of the norm of all gradients depends on it.
        tensors = {name: population.tensors[name].clone() for name in sorted(population.tensors)}
        for epoch in range(population.epoch + 1, until + 1):
            with epoch_chance(self.task, run.recipe.seed, epoch):
                train_loss = run.epoch(epoch, tensors, between=between)
            population = population.at(epoch, dict(tensors))
            watch(population, Measured(epoch, train_loss, self.predict(population, run.rows), run.rows))
            tensors = {name: value.clone() for name, value in tensors.items()} if epoch < until else tensors
        return population

    def rehearse(
        self, members: Sequence[Member], steps: int = 4, *, clock: Callable[[], float] = time.perf_counter
    ) -> float:
        """Seconds per step of all these members, measured in a few steps of a copy that is discarded."""
        population = self.start(members)
        run = _Run.of(population, self, rehearsed=True)
        times: list[float] = []
        tensors = dict(sorted(population.tensors.items()))
        with epoch_chance(self.task, run.recipe.seed, 1):
            while len(times) < 2:  # the first one is unreliable
                run.epoch(1, tensors, looks=steps, times=times, clock=clock)
        return min(times[1:] or times)

    def first_loss(self, member: Member, looks: int) -> float:
        """The loss over the first steps of a member, on its own scale; `looks` as in `_Run.epoch`."""
        population = self.start([member])
        run = _Run.of(population, self, rehearsed=True)
        with epoch_chance(self.task, member.recipe.seed, 1):
            return float(run.epoch(1, dict(sorted(population.tensors.items())), looks=looks))

    @torch.no_grad()
    def predict(self, population: Population, rows: Tensor) -> Tensor:
        """Canonical outputs (M, n, C) for the examples in these rows."""
        recipe = population.members[0].recipe
        tensors = self._judged(population)
        if not len(rows):  # a module of the user's own may not take an empty batch
            like = next(iter(tensors.values()))
            return like.new_zeros(len(population.members), 0, max(self.task.examples.num_classes, 1))
        template = built(self.task, population.members[0]).eval()
        forward = stacked_forward(template)
        widest = max(recipe.model.width, recipe.model.hidden, 64)
        size = max(1, EVAL_VALUES // (len(population.members) * widest))
        found, places = [], places_of(self.task, population.members)
        for part in torch.split(rows, size):
            with naming_failures(recipe):
                views = [
                    forward(tensors, x if places is None else x[places], dropout=None, draws=None)
                    for x in self.task.views(recipe, part)
                ]
            width = num_outputs(recipe, self.task.examples)
            for view in views:
                require_outputs(recipe, view, (len(population.members), len(part), width), trained=False)
            views = [view.float() if view.dtype == torch.bfloat16 else view for view in views]
            found.append(views[0] if len(views) == 1 else torch.stack(views).mean(dim=0))
        return LOSSES.get(recipe.loss.name).predict(torch.cat(found, dim=1))

    def fits(self, population: Population) -> bool:
        """Whether this engine wrote the state, so that it can continue from it."""
        return any(name.startswith("param.") for name in population.tensors)

    def module(self, population: Population, place: int) -> nn.Module:
        """The network of one member, with the weights that are judged."""
        module = built(self.task, population.members[place])
        module.load_state_dict({name: value[place] for name, value in self._judged(population).items()})
        return module.eval()

    def _judged(self, population: Population) -> Tensors:
        """The parameters and buffers that are judged: averaged ones if the recipe has them."""
        tensors, recipe = dict(population.tensors), population.members[0].recipe
        if averages(recipe):
            return in_room(tensors, "average")
        return {**evaluated(population, in_room(tensors, "param")), **in_room(tensors, "buffer")}


def places_of(task: Task, members: Sequence[Member]) -> Tensor | None:
    """(M,) which of the inputs of `task.by_fold` each member sees; None if all see the same."""
    if task.by_fold is None:
        return None
    place = {fold: i for i, fold in enumerate(task.by_fold)}
    return torch.tensor([place[member.fold] for member in members], device=task.device)


Forward = Callable[..., Tensor]
Slopes = Callable[[Tensor], Tensors]
Learning = Callable[..., tuple[Tensor, Slopes]]


def stacked_forward(module: nn.Module) -> Forward:
    """(tensors with a leading M, x, dropout, draws) -> outputs (M, B, O), by the module's own method or torch.func."""
    if isinstance(module, Mlp | Adapted):
        return module.stacked

    def one(tensors: Tensors, x: Tensor) -> Tensor:
        outputs = torch.func.functional_call(module, tensors, (x,))
        require(outputs is not None, "the model returns None in training: forward() must return its outputs")
        return outputs  # type: ignore[no-any-return]

    every = torch.func.vmap(one, in_dims=(0, None), randomness="same")

    def forward(
        tensors: Tensors, x: Tensor, *, dropout: Tensor | None, draws: Draws | None, mine: Tensor | None = None
    ) -> Tensor:
        return every(tensors, x)

    return forward


def stacked_learning(module: nn.Module, task: Task, *, half: bool) -> Learning:
    """(params, buffers, x, dropout, draws, mine) -> outputs, and the function from their gradient to the params'."""
    if isinstance(module, Mlp) and task.autocast is None:
        return partial(outputs_and_slopes, module, half=half)
    forward = stacked_forward(module)

    def learn(
        params: Tensors,
        buffers: Tensors,
        x: Tensor,
        *,
        dropout: Tensor | None,
        draws: Draws | None,
        mine: Tensor | None,
    ) -> tuple[Tensor, Slopes]:
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        with torch.enable_grad(), precision(task):
            outputs = forward({**leaves, **buffers}, x, dropout=dropout, draws=draws, mine=mine)

        def slopes(of_outputs: Tensor) -> Tensors:
            found = torch.autograd.grad(outputs, list(leaves.values()), of_outputs, materialize_grads=True)
            return dict(zip(leaves, found, strict=True))

        return outputs, slopes

    return learn


def evaluated(population: Population, params: Tensors) -> Tensors:
    """The parameters that are judged, which differ from the trained ones with schedule-free optimizers."""
    recipe = population.members[0].recipe
    number = phase(recipe, max(population.epoch, 1))
    optimizer = OPTIMIZERS.get(optimizer_of(recipe, number).name)
    if optimizer.evaluated is None:
        return params
    like = next(iter(params.values()))
    hyper = hyper_of([member.recipe for member in population.members], number, like)
    return optimizer.evaluated(params, in_room(dict(population.tensors), "state"), hyper)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The examples of a step: their rows, the size of the whole batch, and their positions in it (None: all)."""

    rows: Tensor
    size: int
    mine: Tensor | None


@dataclass(frozen=True, slots=True)
class _Given:
    """The inputs of a step: examples and targets, the weight of each for each member, and random draws."""

    x: Tensor
    target: Tensor  # (B, ...), or (M, B, 1) for numbers on each member's scale
    draws: Draws
    weight: Tensor | None = None  # (M, B), if not every member trains on all of them, or they do not count alike
    mine: Tensor | None = None  # (M, B) 1 where a member trains on it, if that is not what `weight` says
    mix: Mix | None = None

    @property
    def size(self) -> int:
        """The number of examples."""
        return self.target.shape[1 if self.target.ndim == 3 else 0]


@dataclass(frozen=True, slots=True)
class _Run:
    """What is constant while one population is advanced."""

    task: Task
    traces: Traces
    half: bool
    rehearsed: bool
    module: nn.Module
    population: Population
    recipe: Recipe  # of the first member, for what the whole group shares
    settings: Settings
    learn: Learning
    walked: Tensor  # (n,) rows that an epoch iterates over
    used: Tensor | None  # (N,) bools: examples that some member trains on; None: all that are walked
    trains: Tensor | None  # (M, N) of the parameters' type: 1 if the member trains on it; None: on all of `used`
    weights: Tensor | None  # (M, N) what an example counts as: `trains`, unless examples have weights; None: all alike
    rows: Tensor  # (n,) examples that some member is validated on
    places: Tensor | None  # (M,) which fold's inputs each member sees, if folds have their own
    like: Tensor

    @classmethod
    def of(cls, population: Population, engine: Stacked, *, rehearsed: bool = False) -> _Run:
        task, members = engine.task, population.members
        template, examples = built(task, members[0]), task.examples
        together = joint(examples, members[0].recipe)
        keys = {(group_key(member.recipe), None if together else member.fold) for member in members}
        assert len(keys) == 1, "a group shares its key and, unless it uses the same batches, its fold"
        like = next(value for name, value in population.tensors.items() if name.startswith("param."))
        walked = examples.walked(members[0])
        trains = torch.stack([examples.trains(member)[walked] for member in members])
        validated = torch.stack([examples.validates(member) for member in members]).any(dim=0)
        some, used, whole = trains.any(dim=0), None, None
        # Not if modules draw from torch's generators: their draws would depend on what the others train on. A
        # rehearsal takes all rows, as in a group with members of all folds.
        if not task.draws and not rehearsed and not bool(some.all()):
            used = torch.zeros(len(examples), dtype=torch.bool, device=walked.device)
            used[walked] = some
        if not bool((trains if used is None else trains[:, some]).all()):
            whole = torch.zeros(len(members), len(examples), dtype=like.dtype, device=like.device)
            whole[:, walked] = trains.to(like)
        return cls(
            task=task, traces=engine.traces, half=engine.half, rehearsed=rehearsed, module=template.train(),
            population=population, recipe=members[0].recipe,
            settings=Settings.of(members, examples, like), learn=stacked_learning(template, task, half=engine.half),
            walked=walked, used=used, trains=whole,
            weights=whole if examples.weight is None else weighed(whole, examples.weight.to(like), len(members)),
            rows=validated.nonzero().squeeze(1),
            places=places_of(task, members), like=like,
        )  # fmt: skip

    @torch.no_grad()
    def epoch(
        self, epoch: int, tensors: Tensors, *, looks: int | None = None, times: list[float] | None = None,
        clock: Callable[[], float] = time.perf_counter, between: Callable[[], None] = nothing,
    ) -> Tensor:  # fmt: skip
        """Trains one epoch: updates `tensors`, and returns each member's loss (M,) over its training examples.

        looks: stops after this many calls, of one step or several; times: receives the wall-clock seconds per step of
        each call; between: called before each.
        """
        recipe, settings = self.recipe, self.settings
        batches = self._batches(epoch)
        number = phase(recipe, epoch)
        if number == 2 and phase(recipe, epoch - 1) == 1:
            begin_second_phase(self.population, recipe, tensors)
        optimizer = OPTIMIZERS.get(optimizer_of(recipe, number).name)
        hyper = widened(hyper_of(settings.recipes, number, self.like))
        rates = settings.rates(epoch, len(batches), self.like).to(hyper.lr)
        if "plateau.multiplier" in tensors and number == 1:
            rates = rates * tensors["plateau.multiplier"].to(rates)
        counts, some_idle = self._counts(batches)
        flat, losses = FlatParameters(optimizer, _taken(tensors, "param"), _taken(tensors, "state")), []
        buffers, average = in_room(tensors, "buffer"), in_room(tensors, "average")
        by_trace = self._steps(flat, buffers, hyper)
        filled = [step for step, batch in enumerate(batches) if len(batch.rows)]
        for some in self._in_a_row(filled, batches, some_idle, by_trace)[:looks]:
            between()
            begun = clock()
            first = some[0]
            active = counts[first] > 0 if some_idle[first] else None  # no example, no step
            if by_trace is not None and active is None:
                losses.append(by_trace({"hyper.lr": rates[some], **self._ahead(epoch, some, batches)}))
            else:
                given, now = self._given(epoch, first, batches[first]), replace(hyper, lr=rates[first])
                losses.append(self._move(given, flat, buffers, now, active)[None])
            if averages(recipe) == "ema":
                done = torch.full_like(settings.ema, (epoch - 1) * len(batches) + first)
                own = {**flat.params, **buffers}
                update_average(average, own, decay=settings.ema, step=done, active=active)
            if times is not None and len(batches[first].rows) == len(batches[filled[0]].rows):  # not a short last batch
                losses[-1].sum().item()  # waits for the device
                times.append((clock() - begun) / len(some))
        tensors |= {**named("param", flat.params), **named("state", flat.state())}
        self._end_averages(epoch, tensors)
        every = torch.cat(losses)
        return (every * counts[filled[: len(every)]]).sum(dim=0) / counts.sum(dim=0)

    def _in_a_row(
        self, filled: Sequence[int], batches: Sequence[_Batch], some_idle: Sequence[bool], steps: Steps | None
    ) -> list[list[int]]:
        """The steps of an epoch in order, grouped by what a trace can run in one call."""
        if steps is None or averages(self.recipe) == "ema" or self.recipe.augment.noise:
            return [[step] for step in filled]
        found: list[list[int]] = []
        for (size, _), same in groupby(filled, lambda step: (len(batches[step].rows), step if some_idle[step] else -1)):
            some, most = list(same), self._most_ahead(size)
            most = min(most, max(1, len(some) // 4)) if self.rehearsed else most  # several to measure
            found += [some[start : start + most] for start in range(0, len(some), most)]
        return found

    def _most_ahead(self, size: int) -> int:
        """For how many steps with this many examples the inputs are prepared at once."""
        assert isinstance(self.module, Mlp)
        columns, members = self.module.columns, len(self.population.members)
        given = (columns.dense + columns.periodic + len(columns.embedded)) * (1 if self.places is None else members)
        drawn = 0 if self.settings.dropout is None else sum(self.module.widths)
        weights = 0 if self.weights is None else members
        return max(1, min(MOST_AHEAD, AHEAD_VALUES // (size * (given + drawn + weights))))

    def _ahead(self, epoch: int, steps: Sequence[int], batches: Sequence[_Batch]) -> Tensors:
        """The inputs of these steps, with a leading K."""
        assert isinstance(self.module, Mlp)
        rows = torch.cat([batches[step].rows for step in steps])
        given = _tensors_of(self._given(epoch, steps[0], _Batch(rows, len(rows), None)))
        dims = {"x": -2, "target": 1 if given["target"].ndim == 3 else 0, "weight": 1, "mine": 1}
        found = {
            f"given.{name}": torch.unflatten(value, dims[name], (len(steps), -1)).movedim(dims[name] % value.ndim, 0)
            for name, value in given.items()
        }
        widths = [] if self.settings.dropout is None else self.module.widths
        draws = [self._draws(epoch, step, batches[step]) for step in steps]
        for i, width in enumerate(widths):
            found[f"draws.{i}"] = uniform(np.stack([draw.parts(width) for draw in draws]))
        return {name: value.contiguous() for name, value in found.items()}

    def _draws(self, epoch: int, step: int, batch: _Batch) -> StepDraws:
        return StepDraws(self.recipe.seed, epoch, step, batch.size, self.walked.device, batch.mine)

    def _given(self, epoch: int, step: int, batch: _Batch) -> _Given:
        recipe, rows = self.recipe, batch.rows
        x = self.task.batch(recipe, rows, epoch=epoch, step=step)
        x = x if self.places is None else x[self.places]
        x, mix = mixed(self.task, recipe, epoch, step, x)
        like = self.like.float() if self.like.dtype == torch.bfloat16 else self.like
        target = self.task.examples.aims(self.population.members, rows, like)
        return _Given(
            x=x, target=target, mix=mix,
            weight=None if self.weights is None else self.weights[:, rows],
            mine=None if self.trains is None or self.weights is self.trains else self.trains[:, rows],
            draws=self._draws(epoch, step, batch),
        )  # fmt: skip

    def _move(
        self, given: _Given, flat: FlatParameters, buffers: Tensors, hyper: Hyper, active: Tensor | None = None
    ) -> Tensor:
        """Takes one step of all members and returns their loss (M,)."""
        settings, params = self.settings, flat.params
        mine = given.weight if self.weights is self.trains else given.mine
        with naming_failures(self.recipe):
            outputs, slopes = self.learn(
                params, buffers, given.x, dropout=settings.dropout, draws=given.draws, mine=mine
            )
        width = num_outputs(self.recipe, self.task.examples)
        require_outputs(self.recipe, outputs, (len(self.population.members), given.size, width), trained=True)
        loss, of_outputs = self._loss(outputs.detach(), given)
        with naming_failures(self.recipe):
            grads = slopes(of_outputs)
        if settings.any_penalty:
            grads = with_penalty(self.settings, grads, params)
        flat.step(
            grads, hyper, active=active, clip=(settings.clip_norm, settings.clip_value) if settings.any_clip else None
        )
        if settings.any_max_norm:
            limit = settings.max_norm
            limit_norms(params, limit if active is None else torch.where(active, limit, 0))
        return loss

    def _steps(self, flat: FlatParameters, buffers: Tensors, hyper: Hyper) -> Steps | None:
        """Steps that can be traced: a fixed series of calls on tensors, without autograd or numbers read from them."""
        kind = LOSSES.get(self.recipe.loss.name)
        by_hand = isinstance(self.module, Mlp) and self.task.autocast is None and is_by_hand(self.module)
        if not (by_hand and flat.is_traceable and kind.with_slope is not None and self.like.device.type == "cpu"):
            return None
        if self.settings.any_penalty or mixes(self.recipe):
            return None
        params, state = flat.tensors()
        rooms = {
            "param": params, "state": state, "buffer": buffers, "hyper": _tensors_of(hyper),
            "settings": _tensors_of(self.settings), "loss": _tensors_of(self.settings.loss), "like": flat.params,
        }  # fmt: skip

        def move(tensors: Tensors) -> Tensor:
            own = {room: in_room(tensors, room) for room in (*rooms, "given", "draws")}
            settings = _with(self.settings, {**own["settings"], "loss": _with(self.settings.loss, own["loss"])})
            draws = iter(own["draws"].values())
            part = own["given"]
            given = _Given(part["x"], part["target"], lambda width: next(draws), part.get("weight"), part.get("mine"))
            run, now = replace(self, settings=settings), _with(hyper, own["hyper"])
            return run._move(given, flat.over(own["param"], own["state"], own["like"]), own["buffer"], now)

        flags = [getattr(self.settings, each.name) for each in fields(self.settings) if each.name.startswith("any_")]
        same = {f"{room}.{name}": value for room, own in rooms.items() for name, value in own.items()}
        del same["hyper.lr"]
        depends = (kind, flat.kind, self.module.kind, is_by_onednn(), self.half, self.weights is self.trains, *flags)
        return Steps(self.traces, depends, move, same, at_once=self.rehearsed)

    def _loss(self, outputs: Tensor, given: _Given) -> tuple[Tensor, Tensor]:
        """The loss (M,), and its gradient (M, B, O) with respect to the outputs."""
        kept, outputs = outputs.dtype, outputs.float() if outputs.dtype == torch.bfloat16 else outputs
        kind, own = LOSSES.get(self.recipe.loss.name), self.settings.loss
        learn = partial(average_loss_and_slope, hyper=own, weight=given.weight, smooths=self.settings.any_smoothing)
        loss, slope = learn(kind, outputs, given.target)
        if given.mix is not None:
            lam = given.mix.lam
            theirs = None if given.weight is None else given.weight[:, given.mix.partner]
            other, of_other = learn(kind, outputs, partners(given.target, given.mix), weight=theirs)
            loss, slope = lam * loss + (1 - lam) * other, lam * slope + (1 - lam) * of_other
        return loss, slope.to(kept)

    def _batches(self, epoch: int) -> list[_Batch]:
        """The batches of an epoch, without the examples that no member trains on."""
        size = self.recipe.batch(len(self.walked))
        batches = epoch_batches(self.recipe.seed, epoch, self.walked, size)
        if self.used is None:
            return [_Batch(rows, len(rows), None) for rows in batches]
        order = torch.cat(batches)
        places = self.used[order].nonzero().squeeze(1)
        counts = torch.bincount(places // size, minlength=len(batches)).tolist()
        parts = zip(torch.split(order[places], counts), torch.split(places % size, counts), batches, strict=True)
        return [_Batch(rows, len(whole), mine) for rows, mine, whole in parts]

    def _counts(self, batches: Sequence[_Batch]) -> tuple[Tensor, list[bool]]:
        """What the examples that each member trains on in each step count as (steps, M); whether one member is idle."""
        if self.weights is None:
            sizes = torch.tensor([len(batch.rows) for batch in batches], dtype=self.like.dtype, device=self.like.device)
            return sizes[:, None].expand(-1, len(self.settings.recipes)), [False] * len(batches)
        counts = torch.stack([self.weights[:, batch.rows].sum(dim=1) for batch in batches])
        return counts, (counts == 0).any(dim=1).tolist()  # once per epoch: a GPU need not wait in every step

    def _end_averages(self, epoch: int, tensors: Tensors) -> None:
        """Updates averages at the end of an epoch; a member that does not average yet keeps its present weights."""
        if averages(self.recipe) != "swa":
            return
        inside, before = self.settings.averaging(epoch)
        own = {**evaluated(self.population.at(epoch, tensors), in_room(tensors, "param")), **in_room(tensors, "buffer")}
        count = [n if now else 0 for n, now in zip(before, inside, strict=True)]
        update_mean(
            in_room(tensors, "average"), own, count=torch.tensor(count, dtype=self.like.dtype, device=self.like.device)
        )


def weighed(trains: Tensor | None, weight: Tensor, num_members: int) -> Tensor:
    """(M, N) what examples count as for each member: their weight (N,), 0 where it does not train on them."""
    return weight.repeat(num_members, 1) if trains is None else trains * weight


def begin_second_phase(population: Population, recipe: Recipe, tensors: Tensors) -> None:
    """Switches to the second optimizer, which starts from the parameters that are judged, with a fresh state."""
    last = population.at(max(population.epoch, 1), tensors)
    params = {name: value.clone() for name, value in evaluated(last, in_room(tensors, "param")).items()}
    for name in [name for name in tensors if name.startswith("state.")]:
        del tensors[name]
    tensors |= named("param", params)
    tensors |= named("state", OPTIMIZERS.get(recipe.then.optimizer).init(params))


def with_penalty(settings: Settings, grads: Tensors, params: Tensors) -> Tensors:
    """The gradients with those of the penalties on the parameters added."""
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    with torch.enable_grad():
        aim = penalty(leaves, l1=settings.l1, l2=settings.l2)
    of_penalty = torch.autograd.grad(aim, list(leaves.values()), torch.ones_like(aim), materialize_grads=True)
    return {name: grads[name] + more for name, more in zip(leaves, of_penalty, strict=True)}


def _with(some: D, values: Mapping[str, object]) -> D:
    """A copy with other values of these fields."""
    return replace(some, **values)


def _tensors_of(some: DataclassInstance) -> Tensors:
    """The fields that are tensors."""
    values = {each.name: getattr(some, each.name) for each in fields(some)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _taken(tensors: Tensors, room: str) -> Tensors:
    """The tensors of a namespace, removed from `tensors`: training has its own copy."""
    return {name.removeprefix(f"{room}."): tensors.pop(name) for name in list(tensors) if name.startswith(f"{room}.")}


def precision(task: Task) -> torch.autocast:
    """Runs products in the task's precision; parameters stay float32."""
    dtype = task.autocast
    return torch.autocast(task.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
