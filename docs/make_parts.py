"""Writes docs/parts.md from the sources: every named part of training, and every field of a recipe."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tame.core import recipe as recipes
from tame.core.config import CLASSIFICATION_METRICS, METRIC_MODES
from tame.core.recipe import Recipe
from tame.parts import descent, losses, muon, optimizers, schedule_free, schedules
from tame.parts.activations import ACTIVATIONS
from tame.parts.extra_optimizers import EXTRA
from tame.parts.losses import LOSSES, TASKS
from tame.parts.metrics import METRICS
from tame.parts.mlp import TABLE_MODELS
from tame.parts.models import MODELS, TIMM
from tame.parts.optimizers import OPTIMIZERS, USES
from tame.parts.regularizers import REGULARIZERS
from tame.parts.schedules import SCHEDULES

PAGE = Path(__file__).parent / "parts.md"
HEAD = """# Parts

Every part of training that a recipe can name, and every field of a recipe. Fix a field with
`--set optimizer.name=lion` (in Python `set={"optimizer.name": "lion"}`); search it with
`--space "optimizer.lr=1e-4..1e-1:log"` or `--space "optimizer.name=adamw|lion"`. TAME refuses a name that does not
exist or does not fit the data before it trains anything.

`make docs` writes this page from the sources; a test compares the two.
"""

# Where an optimizer or a schedule is described, if not beside its registration or in its own docstring.
DESCRIBED_OPTIMIZERS = {
    "lion": descent.Lion,
    "muon": muon,
    "schedule_free_adamw": schedule_free,
    "schedule_free_sgd": schedule_free,
}
DESCRIBED_SCHEDULES = {"plateau": schedules.step_plateau}
# The models that are not functions in a registry.
OTHER_MODELS = {
    "head": ("pictures, with a backbone", "A linear layer on the backbone's features, or one hidden layer before it"),
    "linear": ("tables", "A linear model"),
    "mlp": ("tables", "Hidden layers of equal width: linear, norm, activation, dropout; optionally residual"),
    f"{TIMM}NAME": ("pictures", "Any architecture of timm, trained from scratch"),
    "own": ("arrays", "The module that your own function builds: `tame.fit((X, y), model=build)`"),
}
# The kinds of parts that text fields name.
NAMES = {
    "model.name": "a model",
    "model.activation": "an activation",
    "loss.name": "a loss",
    "optimizer.name": "an optimizer",
    "then.optimizer": "an optimizer",
    "schedule.name": "a schedule",
    "then.schedule": "a schedule",
    "batch_size": "1 to 1,000,000",
    "seed": "0 to 2**63 - 1",
}


def page() -> str:
    """The whole page, in Markdown."""
    rooms = {
        "Losses": _losses(),
        "Optimizers": _optimizers(),
        "Optimizers of the extra `optim`": _extra_optimizers(),
        "Schedules": _schedules(),
        "Regularisers": _regularizers(),
        "Activations": _activations(),
        "Models": _models(),
        "Metrics": _metrics(),
        "Fields of a recipe": _fields(),
    }
    return HEAD + "".join(f"\n## {title}\n\n{text}" for title, text in rooms.items())


def _losses() -> str:
    rows = []
    for name in LOSSES.names():
        loss, (what, source) = LOSSES.get(name), _described(getattr(losses, name))
        fits = ", ".join(task for task in TASKS if task in loss.tasks)
        rows.append((_code(name), fits, _codes(sorted(loss.settings)), what, source))
    about = (
        "Counts are a regression whose targets are 0 or more; a distribution is a row of probabilities for each "
        "example.\nEach loss uses only the fields of `loss.` that are listed here.\n\n"
    )
    return about + _table(("`loss.name`", "for", "set by", "what", "source"), rows)


def _optimizers() -> str:
    comments, rows = _comments(optimizers), []
    for name in OPTIMIZERS.names():
        beside = next((said for line, said in comments.items() if line.startswith(f'OPTIMIZERS.add("{name}")')), "")
        text = beside or " ".join(_described(DESCRIBED_OPTIMIZERS[name]))
        rows.append((_code(name), _codes(sorted(USES[name])), text))
    about = (
        "Each optimizer uses the fields of `optimizer.` that are listed here, and all of them use `clip_norm` and\n"
        "`clip_value`.\n\n"
    )
    return about + _table(("`optimizer.name`", "set by", "what, and source"), rows)


def _extra_optimizers() -> str:
    rows = [
        (_code(name), _codes(sorted(extra.uses)), f"{extra.package}: {extra.kind}", extra.licence)
        for name, extra in sorted(EXTRA.items())
    ]
    about = "They need `pip install tame-ml[optim]`, and train only one network at a time.\n\n"
    return about + _table(("`optimizer.name`", "set by", "from", "licence of the original code"), rows)


def _schedules() -> str:
    rows = []
    for name in SCHEDULES.names():
        one = SCHEDULES.get(name)
        what, source = _described(DESCRIBED_SCHEDULES.get(name, one.multiplier))
        fields = [*sorted(one.uses), *([] if one.own_warmup else ["warmup"])]
        rows.append((_code(name), _codes(fields), "yes" if one.open_ended else "no", what, source))
    about = (
        "The multiplier applies to `optimizer.lr`; each schedule uses only the fields of `schedule.` that are listed\n"
        "here. Open-ended: the rate at a step does not depend on how many steps follow.\n\n"
    )
    return about + _table(("`schedule.name`", "set by", "open-ended", "what", "source"), rows)


def _regularizers() -> str:
    every = [(name, REGULARIZERS.get(name)) for name in REGULARIZERS.names()]
    rows = [(_code(name), _codes(one.fields), one.does, one.source) for name, one in every]
    return _table(("name", "set by", "what", "source"), rows)


def _activations() -> str:
    rows = [(_code(name), *_described(ACTIVATIONS.get(name))) for name in ACTIVATIONS.names()]
    return _table(("`model.activation`", "what", "source"), rows)


def _models() -> str:
    missing = set(TABLE_MODELS) - set(OTHER_MODELS)
    if missing:
        raise KeyError(f"models of tables that this page does not describe: {missing}")
    rows = [(_code(name), "pictures", _described(MODELS.get(name))[0]) for name in MODELS.names()]
    rows += [(_code(name), data, f"{what}.") for name, (data, what) in OTHER_MODELS.items()]
    about = (
        "A backbone is not a model of a recipe: `--backbone` names the one that comes with TAME (`auto`), any timm\n"
        "network that is pretrained, or a folder in timm's local-dir format; `model.unfrozen` sets how many of its\n"
        "last stages are trained.\n\n"
    )
    return about + _table(("`model.name`", "for", "what"), rows)


def _metrics() -> str:
    rows = []
    for name in METRICS.names():
        task = "classification" if name in CLASSIFICATION_METRICS else "regression"
        better = "higher" if METRIC_MODES[name] == "max" else "lower"
        rows.append((_code(name), task, better, _described(METRICS.get(name))[0]))
    about = "The numbers in reports come from scikit-learn; tests check that these, for curves, agree with them.\n\n"
    return about + _table(("`--metric`", "for", "better is", "what"), rows)


def _fields() -> str:
    """The fields of a recipe: default, range and comment of each, in the order of the source."""
    defaults, text = Recipe().flat(), inspect.getsource(recipes)
    lines, comments = text.splitlines(), _comments(recipes)
    rooms = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    ranges = dict(pair for node in rooms.values() for pair in _ranges(node))
    rows = []
    for room, field in _own_fields(rooms["Recipe"]):
        owner = rooms.get(f"{room.capitalize()}Recipe")
        for leaf, each in _own_fields(owner) if owner is not None else [("", field)]:
            name = f"{room}.{leaf}" if leaf else room
            said = comments.get(lines[each.lineno - 1].strip(), "")
            default = "" if name == "own" else _code(_shown(defaults[name]))
            shown = "own.NAME" if name == "own" else name
            limits = "true, false" if isinstance(defaults.get(name), bool) else ranges.get(name, "")
            rows.append((_code(shown), default, NAMES.get(name, limits), said))
    return _table(("field", "default", "range", "what"), rows)


def _own_fields(node: ast.ClassDef) -> list[tuple[str, ast.AnnAssign]]:
    own = [(ast.unparse(each.target), each) for each in node.body if isinstance(each, ast.AnnAssign)]
    return [(name, each) for name, each in own if not name.startswith("_")]


def _ranges(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Field and range in words, from the checks of a recipe's `__post_init__`."""
    words = {"_within": "{} to {}", "_below": "{} to below {}", "_above": "above {}, at most {}"}
    for call in ast.walk(node):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id == "_one_of":
            yield ast.literal_eval(call.args[0]), ", ".join(ast.literal_eval(call.args[2]))
        elif call.func.id in words:
            low, high, *unit = map(_value, call.args[2:])
            text = words[call.func.id].format(_number(low), _number(high))
            yield ast.literal_eval(call.args[0]), " ".join([text, *unit])


def _value(node: ast.expr) -> Any:
    """The value of an argument of a check: a literal, or a constant of the same file."""
    return getattr(recipes, node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)


def _described(thing: Any) -> tuple[str, str]:
    """The first sentence of a docstring, and the source that it names or what it equals; "" if it names none."""
    text = " ".join((inspect.getdoc(thing) or "").split())
    what = re.match(r".*?\.(?=\s|$)", text)
    if what is None:
        raise ValueError(f"{thing} has no docstring with a sentence")
    source = re.search(r"(?:Sources?: |(?=Equals torch))(.*?)(?:\.(?=\s|$)|$)", text)
    return what[0], source[1].replace("Equals", "equals", 1) if source else ""


def _comments(module: Any) -> dict[str, str]:
    """The comments at the ends of a module's lines, by the whole line without its indentation."""
    text = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.line.strip(): token.string[1:].strip() for token in tokens if token.type == tokenize.COMMENT}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return '""' if value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(_code, names))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
