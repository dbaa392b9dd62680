"""Settings that nothing in a recipe uses: TAME follows what the user asks for, or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.parts.losses import LOSSES
from tame.parts.mlp import WORDS
from tame.parts.models import TIMM
from tame.parts.optimizers import USES
from tame.parts.schedules import SCHEDULES

# Values that request nothing, so that fixing them ignores nothing.
OFF = {
    "model.hidden": 0, "model.pooled": 0, "model.unfrozen": 0, "model.dropout": 0.0, "model.residual": False,
    "model.norm": "none", "loss.label_smoothing": 0.0, "loss.class_weights": "none", "loss.costs": "",
    "optimizer.weight_decay": 0.0, "optimizer.momentum": 0.0, "then.start": 1.0,
}  # fmt: skip
MOST_NAMED = 8  # parts that an error lists


def refuse_unused(recipes: Sequence[Recipe], names: Sequence[str], *, uses: Collection[str]) -> None:
    """Raises UsageError for one of the `names` that has no effect in any of the recipes, and says what would use it.

    recipes: all that may be trained, at least one; names: what the user fixed or searches; uses: the parts of a recipe
    that this kind of data uses, of those that only some kinds use: input, table, adapter, own, augment.
    """
    for name in names:
        room, _, leaf = name.rpartition(".")
        if room not in _ROOMS or all(recipe.flat().get(name) == OFF.get(name, _NOTHING) for recipe in recipes):
            continue
        said = [_ROOMS[room](recipe, leaf, uses) for recipe in recipes]
        if all(said):
            raise UsageError(f"{name} would have no effect: {said[0]}")


_NOTHING = object()


def _input(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    if leaf != "length":
        return "" if "input" in uses and "adapter" not in uses else "it is only for pictures; leave it out"
    reads = "adapter" in uses or ("table" in uses and recipe.table.texts == "encoder" and recipe.model.name != WORDS)
    return "" if reads else "it is only for texts that an encoder or a language model reads; leave it out"


def _adapter(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    return "" if "adapter" in uses else "it is only for language models; leave it out"


def _table(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    if "table" not in uses:
        return "it is only for the columns of tables; leave it out"
    wanted = {"bins": "piecewise", "dim": "periodic", "sigma": "periodic"}.get(leaf)
    own = recipe.table.numbers
    return "" if wanted in (None, own) else f"table.numbers is {own!r}; {wanted!r} uses it"


def _model(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    own = recipe.model
    if leaf in ("hidden", "pooled", "unfrozen"):
        return "" if own.name == "head" else f"it is only for heads on a backbone, and model.name is {own.name!r}"
    if leaf == "name" or own.name == "own":
        return "" if leaf == "name" else "it is only for TAME's models; give your function an argument for it"
    if own.name == "adapted":
        return "" if leaf == "dropout" else "a language model has the shape that it came with; leave it out"
    if own.name == "head":
        if leaf == "dropout":
            return "" if own.hidden else "a linear head has no layer for it; set model.hidden as well"
        return "it is not for heads on a backbone; set model.hidden for a hidden layer"
    if own.name not in ("linear", "mlp"):
        used = leaf == "dropout" or (leaf == "width" and not own.name.startswith(TIMM))
        return "" if used else f"{own.name} has a fixed one; leave it out"
    if own.name == "linear":
        return "a linear model has no hidden layers; model.name=mlp uses it"
    if leaf == "depth":
        return ""
    least = 2 if leaf == "residual" else 1
    return "" if own.depth >= least else f"model.depth is {own.depth}; it is used from {least} on"


def _own(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    return "" if "own" in uses else "it is an argument of a model of your own, which only tame.fit accepts"


def _loss(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    name = recipe.loss.name
    if leaf in ("name", "costs") or leaf in LOSSES.get(name).settings:  # the report uses the costs too
        return ""
    return f"{name} does not use it; {_some(n for n in LOSSES.names() if leaf in LOSSES.get(n).settings)}"


def _optimizer(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    if leaf == "name" or leaf.startswith("clip_") or leaf in USES[recipe.optimizer.name]:
        return ""
    if leaf == "beta2" and recipe.then.start < 1 and leaf in USES[recipe.then.optimizer]:
        return ""
    return f"{recipe.optimizer.name} does not use it; {_some(n for n in sorted(USES) if leaf in USES[n])}"


def _schedule(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    running = [recipe.schedule.name, *([recipe.then.schedule] if recipe.then.start < 1 else [])]
    if leaf in ("name", "warmup") or any(leaf in SCHEDULES.get(name).uses for name in running):
        return ""
    users = _some(name for name in SCHEDULES.names() if leaf in SCHEDULES.get(name).uses)
    return f"{running[0]} does not use it; {users}"


def _then(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    then = recipe.then
    if then.start >= 1:
        return "there is no second phase; then.start, such as 0.5, is the share of the epochs after which it starts"
    if leaf in ("momentum", "weight_decay") and leaf not in USES[then.optimizer]:
        return f"{then.optimizer} does not use it; {_some(n for n in sorted(USES) if leaf in USES[n])}"
    return ""


def _augment(recipe: Recipe, leaf: str, uses: Collection[str]) -> str:
    if "augment" not in uses:
        if "own" in uses:
            return "a model of your own gets arrays as they are; change them in its forward()"
        return "this kind of data is trained on as it is; leave it out"
    return ""  # pictures and tables refuse what they do not support in their own check


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{', '.join(found[:MOST_NAMED])}{more} would"


_ROOMS: dict[str, Callable[[Recipe, str, Collection[str]], str]] = {
    "input": _input, "adapter": _adapter, "table": _table, "model": _model, "own": _own, "loss": _loss,
    "optimizer": _optimizer, "schedule": _schedule, "then": _then, "augment": _augment,
}  # fmt: skip
