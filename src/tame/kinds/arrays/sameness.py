"""Whether a function of the user's makes the same model wherever it is called: in the process that trains, which
imports the user's file, and in the one that has the function and will predict with it."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import UsageError, require
from tame.core.files import require_own_folder
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.kinds.arrays.commands import Looks, Sketch
from tame.kinds.arrays.modules import make_module
from tame.kinds.arrays.prediction import answers, judge_arrays
from tame.kinds.arrays.source import INPUTS
from tame.kinds.kind import OwnModel, Port
from tame.kinds.materials import read_model
from tame.parts.network import Build
from tame.trial.draws import same_chance

AGAIN = 7  # more modules that are made to see whether they are all alike
AGAIN_S = 2.0  # that making them may take; a large module is made twice only
SHAKE = 0.05  # of what is added to weights, beside a tenth of their own spread
SHOWN = 3  # differences that a message names
ALONE = 3  # examples that are also judged one at a time
ROUNDING = 1e-3  # of the largest output: other sizes of batches add up in another order


def shaken(module: nn.Module) -> None:
    """Moves the weights of an untrained module a little: what begins as zero would hide what comes before it."""
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=chance).to(value)
                spread = float(value.std()) if value.numel() > 1 else 0.0
                value.add_((SHAKE + spread / 10) * drawn)


def looks_of(module: nn.Module) -> Looks:
    """How a module looks: without the addresses that some layers print."""
    tensors = {
        name: f"{str(v.dtype).removeprefix('torch.')} {list(v.shape)}" for name, v in module.state_dict().items()
    }
    return Looks(layers=re.sub(r" at 0x[0-9a-fA-F]+", "", str(module)), tensors=tensors)


def require_repeats(build: Build, recipe: Recipe, x: Tensor) -> None:
    """Raises UsageError where modules that are made one after the other are not alike, apart from their weights, and
    where what one says of an example depends on the other examples beside it.

    x: a few examples. Each is made with other draws, so that a choice made by chance is seen.
    """
    begun, name = time.monotonic(), getattr(build, "__name__", "the model's function")
    with same_chance(recipe.seed, "build"):
        first = make_module(build, recipe.own).eval().to(x.device)
    shaken(first)
    given = x.clone()
    wanted, state, looks = answers(first, x), first.state_dict(), looks_of(first)
    unchanged = bool(((x == given) | (given != given)).all())
    require(unchanged, "the model changes its inputs: write x = x * 2 in forward(), not x.mul_(2) or x *= 2")
    require_apart(first, x, wanted)
    for number in range(AGAIN):
        with same_chance(recipe.seed, "again", number):
            other = make_module(build, recipe.own).eval().to(x.device)
        found = differences(looks_of(other), looks)
        if not found:
            other.load_state_dict(state)
            outputs = answers(other, x)
            same = isinstance(outputs, Tensor) and _same(outputs, wanted)
            found = "" if same else "other outputs with the same weights"
        mend = (
            "draw nothing by chance but the first weights, count no calls, and keep what else is drawn with "
            "register_buffer(), so that it is delivered with the weights"
        )
        require(not found, f"{name} makes another model each time it is called ({found}): {mend}")
        if time.monotonic() - begun > AGAIN_S:
            return


def require_apart(module: nn.Module, x: Tensor, together: object) -> None:
    """Raises UsageError where a module in evaluation says something else of an example alone than in a batch.

    x: a few examples; together: what it says of all of them. Its score would be that of one size of batches, and a
    prediction would change with what is predicted beside it.
    """
    mend = (
        "in evaluation, give layers of attention and recurrence batch_first=True, and use no statistics over the first "
        "dimension (BatchNorm with track_running_stats=True keeps those of training)"
    )
    for k in range(min(ALONE, len(x)) if isinstance(together, Tensor) and len(x) > 1 else 0):
        assert isinstance(together, Tensor)
        try:
            alone = answers(module, x[k : k + 1])
        except UsageError as problem:
            raise UsageError(f"a prediction may be asked of one example, and {problem}; {mend}") from problem
        wanted = together[k : k + 1]
        right = isinstance(alone, Tensor) and alone.shape == wanted.shape
        slack = ROUNDING * float(together.detach().abs().max()) + 1e-6
        right = right and torch.allclose(alone, wanted, rtol=0.0, atol=slack, equal_nan=True)
        require(right, f"the model says something else of an example when others are in the same batch; {mend}")


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs are equal but for rounding."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def differences(theirs: Looks, mine: Looks) -> str:
    """In what two modules differ, in words; "" where they look alike. theirs: the one that is told first."""
    found = [
        f"{name} is {theirs.tensors.get(name, 'not there')} instead of {mine.tensors.get(name, 'not there')}"
        for name in dict.fromkeys((*theirs.tensors, *mine.tensors))
        if theirs.tensors.get(name) != mine.tensors.get(name)
    ]
    if not found and theirs.layers != mine.layers:
        lines = zip(theirs.layers.splitlines(), mine.layers.splitlines(), strict=False)
        found = [f"{one.strip()} instead of {other.strip()}" for one, other in lines if one != other]
        found = found or ["other layers"]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def compare(build: Build, recipes: Sequence[Recipe], port: Port, where: str) -> None:
    """Nothing, where the process that trains makes the modules that this one makes. Raises UsageError.

    recipes: of which each module is compared once. Both must look alike and, with the same weights, say the same of a
    few examples. where: the "file:name" that the other process imports.
    """
    name = getattr(build, "__name__", "the model's function")
    for recipe in {tuple(each.own.items()): each for each in reversed(recipes)}.values():
        with tempfile.TemporaryDirectory(prefix="tame-") as folder:
            theirs = keep(recipe, port, Path(folder) / "model")
            found = _apart(build, recipe, theirs, Path(folder) / "model")
        file = where.rpartition(":")[0] or "its file"
        arguments = ", ".join(f"{key}={value!r}" for key, value in recipe.own.items())
        require(
            not found,
            f"{name}({arguments}) makes another model in the process that trains than in this one: {found}. That "
            f'process imports {file}, where nothing under `if __name__ == "__main__":` has happened. '
            "Set what the function depends on at the top of the file, or make it an argument and give it in "
            f"set={{...}}, or give model=functools.partial({name}), which this process trains itself",
        )


def keep(recipe: Recipe, port: Port, folder: Path) -> Looks:
    """How the module of a recipe looks in the process that trains, which writes it into a folder as if delivered."""
    sketch = Sketch(recipe=recipe.flat(), folder=str(folder))
    return from_plain(Looks, port.ask("looks", to_plain(sketch)), what="the answer to 'looks'")


def recognise(folder: Path, build: Build) -> None:
    """Nothing, where a function makes the module that `keep` wrote, or none was kept. Raises UsageError."""
    require_own_folder(folder)
    if not folder.is_dir():
        return  # of a study from before it was kept
    try:
        read_model(folder, build)  # which compares what both say
    except UsageError as problem:
        raise UsageError(f"this study cannot go on with another model than it was started with: {problem}") from None


def _apart(build: Build, recipe: Recipe, theirs: Looks, folder: Path) -> str:
    """In what the module of a folder, made elsewhere, differs from the one that is made here; "" for nothing."""
    try:
        with same_chance(recipe.seed, "build"):
            mine = looks_of(make_module(build, recipe.own))
        found = differences(theirs, mine)
        if not found:
            read_model(folder, build)  # which compares what both say
    except UsageError as problem:
        return str(problem)
    return found


def judge(model: Path, study: Path, build: Build, rows: Sequence[int]) -> np.ndarray:
    """Canonical outputs (n, C) of rows of a study's examples, by its delivered model as it is loaded here."""
    x = np.load(study / INPUTS, mmap_mode="r", allow_pickle=False)
    network = read_model(model, build)
    return judge_arrays(network, x[np.asarray(rows, dtype=np.int64)], device=torch.device("cpu")).double().numpy()


OWN_MODEL = OwnModel(compare=compare, keep=keep, recognise=recognise, judge=judge)
