"""Arrays and a module of the user's own in the process that trains."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import StorageError, TameError, UsageError, WorkerError, require
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe, Value
from tame.data.own_inputs import why_lossy
from tame.kinds.arrays.commands import Given, Looks, Sketch
from tame.kinds.arrays.modules import forward_s, make_module, precision_of
from tame.kinds.arrays.prediction import KEPT, answers, as_input, empty_network, judge_arrays, looked_at, probe, verify
from tame.kinds.arrays.sameness import looks_of, require_repeats, shaken
from tame.kinds.linear import MOST_COLUMNS, QUESTION, answer_linear, read_asked
from tame.parts.loss_checks import check_outputs
from tame.parts.losses import LOSSES, NUMBERS
from tame.parts.mlp import num_weights
from tame.parts.network import Build, Network, read_network, write_network
from tame.trial.commands import Fold, Plain
from tame.trial.draws import same_chance
from tame.trial.memory_needs import FLOAT, VALUES, Alone, groups, one_pass, states
from tame.trial.own_module import OWN, naming_failures, words_of
from tame.trial.population import Examples, Group, Groups, Member, Task, built
from tame.trial.stacked import stacked_forward
from tame.trial.training_material import Room, Trained, not_asked, scale_of, scaled

BUILDING = "the function that makes the model"


@dataclass(frozen=True, slots=True)
class OwnTask:
    """A module that a function of the user's builds, on arrays. x: (N, ...) as `as_input` takes it."""

    x: np.ndarray
    make: Build
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 256
    draws: bool = True

    def build(self, member: Member) -> nn.Module:
        return make_module(self.make, member.recipe.own).to(self.device)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        return as_input(self.x[rows.cpu().numpy()], self.device)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [as_input(self.x[rows.cpu().numpy()], self.device)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group([(n, p) for n, p in module.named_parameters() if p.requires_grad])]


class ArrayMaterial:
    """Inputs (N, ...) and the function that makes a module for them."""

    kind = "arrays"

    def __init__(
        self, x: np.ndarray, build: Build, *, device: torch.device,
        doing: Callable[[str, float | None], None] = lambda what, limit_s: None,
    ) -> None:  # fmt: skip
        """doing: hears what is tried of the user's own, and how many seconds that may take, None for any."""
        self.build = build
        self._doing = doing
        self.reason = ""  # why the last module that was asked about is trained one at a time
        self._x = x
        self._device = device
        self._stacks: dict[tuple[tuple[str, Value], ...], str] = {}
        self._repeats: set[tuple[tuple[str, Value], ...]] = set()  # of which the module is made the same again

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        if question == QUESTION:
            linear = read_asked(given)
            own, judged = (np.asarray(each, dtype=np.int64) for each in (linear.fitting.rows, linear.fitting.judged))
            flat = self._x.reshape(len(self._x), -1)
            pair = (flat[own], flat[judged]) if flat.shape[1] <= MOST_COLUMNS else (flat[:0], flat[:0])
            found: Plain = to_plain(answer_linear(linear, *pair))
            return found
        if question != "looks":
            raise not_asked(question, "arrays", ["looks", QUESTION])
        asked = from_plain(Sketch, given, what="'looks' of arrays", error=WorkerError)
        answer: Plain = to_plain(self._sketched(asked, rows))
        return answer

    def rehearsed(self) -> ArrayMaterial:
        return self

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        return None

    def adds_bytes(self, trained: Trained) -> int:
        return of_arrays(self, trained)

    def read(self, folder: Path) -> Network:
        network = read_network(folder, partial(empty_network, build=self.build))
        verify(network)
        return network

    def check(self, recipe: Recipe, examples: Examples) -> None:
        """Tries an untrained module on two examples: what it gives must be what the loss wants."""
        require(recipe.model.name == OWN, f"model.name is {OWN!r} with a module of your own, not {recipe.model.name!r}")
        require(not recipe.model.dropout, "model.dropout is for TAME's models; give your function an argument for it")
        pasted = recipe.regularize.cutmix and self._x.ndim != 4
        require(not pasted, "regularize.cutmix pastes parts of pictures (N, C, H, W); use regularize.mixup")
        require(not recipe.augment.noise, "augment.noise is for the numbers of tables; leave it out")
        self._doing(BUILDING, None)  # weights may be fetched from far away
        with same_chance(recipe.seed, "build"):
            module = make_module(self.build, recipe.own).to(self._device).eval()
            again = make_module(self.build, recipe.own)
        old = {id(value) for value in module.parameters() if value.requires_grad}
        fresh = all(id(value) not in old for value in again.parameters())
        require(fresh, "the model's function gives parameters that it gave before; make new ones at each call")
        num = min(2, len(self._x))
        self._doing(f"forward() of the model on {num} examples", forward_s(module))
        outputs = self._first_answer(module, recipe, examples, num)
        last = [part for part in module.modules() if not list(part.children())]
        check_outputs(
            recipe.loss.name, outputs, examples.target[:num], num_classes=examples.num_classes,
            ends_in=type(last[-1]).__name__ if last else None,
        )  # fmt: skip
        same = torch.equal(outputs, answers(module, as_input(self._x[:num], self._device)))
        mend = "draw random numbers, and change what it remembers, only where self.training is true"
        require(same, f"the model gives other outputs for the same inputs when it is called again; {mend}")
        own = tuple(recipe.own.items())
        if own not in self._repeats:
            self._repeats.add(own)
            require_repeats(self.build, recipe, as_input(self._x[:KEPT], self._device))
        self._doing("", None)

    def _first_answer(self, module: nn.Module, recipe: Recipe, examples: Examples, num: int) -> Tensor:
        """What an untrained module says of the first examples. Raises UsageError where it cannot take them."""
        if self._x.dtype == np.float64 and precision_of(module) == torch.float32:
            why = why_lossy(np.asarray(self._x))
            mend = (
                "subtract or divide so that float32 can tell the numbers apart, leave the column out, make X whole "
                "numbers (the model is then given int64), or make the model float64 with module.double()"
            )
            raise UsageError(f"float32 loses digits of X: {why}; {mend}")
        try:
            outputs = answers(module, as_input(self._x[:num], self._device))
        except UsageError as problem:
            whole = self._x.ndim == 2 and self._x.dtype == np.int64
            hint = "; X holds whole numbers beyond 16,777,216 and is given as int64, so that none is rounded"
            raise UsageError(f"{problem}{hint}" if whole else str(problem)) from problem
        numbers = examples.num_classes == 0 and bool(LOSSES.get(recipe.loss.name).tasks & NUMBERS)
        target = examples.target
        if numbers and target.ndim == 1 and isinstance(outputs, Tensor) and outputs.ndim == 2 and outputs.shape[1] > 1:
            whole = bool((target == target.round()).all())
            many = (
                f"y holds {len(np.unique(target.numpy()))} different whole numbers and is taken for a number to predict"
            )
            asks = f"the model gives {outputs.shape[1]} outputs and {recipe.loss.name} wants 1. {many}"
            require(not whole, f'{asks}; if they are classes, give task="classification", else change the last layer')
        return outputs

    def small(self, recipe: Recipe) -> bool:
        return False

    def stacks(self, recipe: Recipe) -> bool:
        key = tuple(recipe.own.items())
        if key not in self._stacks:
            self._stacks[key] = self._why_not(recipe)
        self.reason = self._stacks[key]
        return not self.reason

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        own = replace(scaled(examples, recipe), together=False)
        order = np.asarray(rows, dtype=np.int64)
        x = self._x if np.array_equal(order, np.arange(len(self._x))) else self._x[order]
        return OwnTask(x, self.build, own.to(self._device), self._device)

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        return [[fold] for fold in folds]

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        assert isinstance(task, OwnTask)
        prepared = {"target": scale_of(task.examples, fold), **self._prepared()}
        arrays = probe(module, task.x, self._device)
        return Network(self.kind, kind_of_task, recipe, tuple(labels), module.eval(), prepared=prepared, arrays=arrays)

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        return judge_arrays(network, self._x[np.asarray(rows, dtype=np.int64)], device=self._device)

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        return looked_at(network, self._x[np.asarray(rows, dtype=np.int64)], device=self._device)[1]

    def _prepared(self) -> dict[str, object]:
        return {"shape": list(self._x.shape[1:]), "dtype": str(self._x.dtype), "device": self._device.type}

    def _sketched(self, asked: Sketch, rows: Sequence[int]) -> Looks:
        """How an untrained module looks here, which is written as if it were delivered, its weights shaken."""
        recipe = Recipe.from_flat(asked.recipe)
        self._doing(BUILDING, None)
        with same_chance(recipe.seed, "build"):
            module = make_module(self.build, recipe.own)
        self._doing("", None)
        shaken(module)
        x = self._x[np.asarray(rows, dtype=np.int64)[:: max(1, len(rows) // KEPT)]]
        arrays = probe(module, x, self._device)
        write_network(
            Network(self.kind, "", recipe, (), module, prepared=self._prepared(), arrays=arrays), Path(asked.folder)
        )
        return looks_of(module)

    def _why_not(self, recipe: Recipe) -> str:
        """Why members cannot be trained in one computation; empty where they can."""
        try:
            return self._tried(recipe)
        finally:
            self._doing("", None)

    def _tried(self, recipe: Recipe) -> str:
        self._doing(BUILDING, None)
        with same_chance(recipe.seed, "build"):
            module = make_module(self.build, recipe.own).to(self._device).train()
        every = list(module.named_parameters(remove_duplicate=False))
        if len({id(value) for _, value in every}) < len(every):
            return "layers that share their weights cannot be carried by torch.func"
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats:
                return f"{type(part).__name__} keeps running statistics, which torch.func cannot carry"
            if isinstance(part, nn.RNNBase):
                return f"{type(part).__name__} has no rule for batches of networks in torch.func"
            if isinstance(part, nn.modules.conv._ConvNd) and self._device.type == "cpu":
                return "convolutions are slower together on a CPU"
        x = as_input(self._x[: min(4, len(self._x))], self._device)
        state = module.state_dict()
        tensors = {name: value.detach()[None].repeat(2, *[1] * value.ndim) for name, value in state.items()}
        self._doing(f"forward() of the model on {len(x)} examples", forward_s(module))
        try:
            with same_chance(0, "stack"):
                stacked_forward(module)(tensors, x, dropout=None, draws=None)
        except (TameError, KeyboardInterrupt):
            raise
        except BaseException as problem:  # whatever torch.func says of what it cannot carry is the reason
            return f"torch.func cannot carry this module: {words_of(problem).splitlines()[0][:120]}"
        return ""


def build_of(reference: str | None) -> Build:
    """The function of a "file:name". Raises UsageError."""
    mend = "tame.resume(folder, model=build)"
    require(reference is not None, f"a study on a model of your own goes on from Python: {mend}")
    assert reference is not None
    file, _, name = reference.rpartition(":")
    spec = importlib.util.spec_from_file_location("tame_own_model", file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise UsageError(f"the model's file {file} is gone")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tame_own_model"] = module
    sys.path.insert(0, str(Path(file).parent))  # as when the script itself was started
    try:
        spec.loader.exec_module(module)
    except BaseException as problem:  # the user's file may raise anything; it is told, not hidden
        raise UsageError(f"{file} cannot be imported: {words_of(problem)}") from problem
    finally:
        sys.path.pop(0)
    found: Build | None = getattr(module, name, None)
    require(callable(found), f"{file} holds no function {name!r}")
    assert found is not None
    return found


def of_arrays(material: ArrayMaterial, trained: Trained) -> int:
    """Bytes that training all this of the user's own adds to what rehearsing the first recipe took."""
    recipes, folds, rows, examples = trained.recipes, trained.folds, trained.rows, trained.examples
    task = material.task(recipes[0], rows, examples, folds[:1])
    x = task.views(recipes[0], torch.arange(min(2, len(rows))))[0]  # one has no spread, which some norms want
    judged = int((examples.fold >= 0).sum()) // len(folds)
    weights, each, most, first = dict[Recipe, int](), dict[Recipe, int](), 0, 0
    for recipe in recipes:
        module, batch = built(task, Member(-1, folds[0], recipe)), recipe.batch(len(rows))
        with naming_failures(recipe):
            one, weights[recipe] = one_pass(module, x), num_weights(module)
        alone = Alone.of(weights[recipe], one, batch=batch, judged=judged)
        most, first = max(most, alone.most), first or alone.step
        if material.stacks(recipe):
            each[recipe] = VALUES * FLOAT * weights[recipe] + batch * one.kept
    together = groups(each, len(folds), trained.members, cores=1, judged=judged)
    return max(0, max(most, together) - first) + states(weights, len(folds))


def open_material(given: Plain, room: Room) -> tuple[ArrayMaterial, Plain]:
    """Opens an array of inputs (N, ...), and the function that makes a module, where it can be found by name."""
    asked = from_plain(Given, given, what="'open' of arrays", error=WorkerError)
    own = room.build if room.build is not None else build_of(asked.build)
    try:
        x = np.load(asked.file, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as problem:
        said = f"the arrays in {asked.file} cannot be read, begin again with tame.fit: {problem}"
        raise StorageError(said) from None
    return ArrayMaterial(x, own, device=room.device, doing=room.doing), {"device": room.device.type}
