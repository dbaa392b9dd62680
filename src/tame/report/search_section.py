"""What the report shows of the search: curves, trials, finalists, the winner's recipe and how it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from tame.core.recipe import Recipe, Value
from tame.core.records import History, Trial
from tame.report import words
from tame.report.charts import Dot, Kind, Line, Row, curves, intervals, scatter

FINALIST = "finalist"
MOST_LINES = 150  # curves in one chart; more are thinned evenly over the ranking
MOST_COLUMNS = 4  # of the table of trials that hold one field each
FIELDS = {
    "input.size": "side of the square picture that the network sees, in pixels",
    "input.views": "views of each picture that are learnt: the picture, its mirror image, crops",
    "input.crop": "share of the picture's shorter side that is seen",
    "table.scaling": "how numeric columns are scaled: to a normal distribution, or by mean and spread",
    "table.numbers": "how a number enters: plain, in pieces, or as periodic functions",
    "table.bins": "pieces of a column's range",
    "table.dim": "numbers that a periodic embedding makes of one",
    "table.sigma": "spread of the first frequencies of a periodic embedding",
    "table.one_hot": "categories of a column that are written one-hot; columns with more are embedded",
    "model.name": "what is trained: a head on a backbone's features, a linear model, an mlp, or a whole network",
    "model.hidden": "units in the head's hidden layer; 0 is a linear head",
    "model.width": "units of each layer, or channels of the first stage of a network from scratch",
    "model.depth": "hidden layers",
    "model.activation": "what bends the output of each layer",
    "model.norm": "how each layer's output is normalised",
    "model.residual": "whether each hidden layer is added to what it is given",
    "model.dropout": "share of units switched off at random in each training step",
    "model.unfrozen": "stages of the backbone that are trained as well",
    "loss.name": "what training makes small",
    "loss.label_smoothing": "share of the target that is spread over all classes",
    "loss.class_weights": "whether each class weighs the same in all, however rare it is",
    "loss.delta": "where huber turns from squared to absolute errors, in standard deviations of the target",
    "loss.quantile": "that the quantile loss estimates",
    "loss.gamma": "how much the focal loss plays down what is already right",
    "loss.costs": "of confusing one class with another",
    "optimizer.name": "how weights follow the gradient",
    "optimizer.lr": "learning rate: how far one step goes",
    "optimizer.weight_decay": "pull of the weights towards zero",
    "optimizer.momentum": "how much of the last step's direction is kept",
    "optimizer.beta2": "memory of squared gradients",
    "optimizer.clip_norm": "longest gradient of all parameters together; 0: no limit",
    "optimizer.clip_value": "largest entry of a gradient; 0: no limit",
    "schedule.name": "how the learning rate falls during training",
    "schedule.warmup": "share of all steps in which the rate rises from zero",
    "then.start": "share of the epochs after which a second phase of training begins",
    "regularize.l1": "weight of the sum of absolute weights in the loss",
    "regularize.l2": "weight of half the sum of squared weights in the loss",
    "regularize.max_norm": "longest row of weights of one unit; 0: no limit",
    "regularize.ema": "memory of the averaged weights that are judged; 0: none",
    "regularize.swa": "share of the last epochs over whose ends the weights are averaged; 0: none",
    "regularize.mixup": "strength of mixing pairs of examples; 0: none",
    "regularize.cutmix": "strength of pasting a part of one picture into another; 0: none",
    "regularize.early_stopping": "epochs without a lower validation loss after which the best epoch is restored",
    "augment.flip": "mirror images, at random, in training",
    "augment.crop": "random shifts and scales in training, as a share of the side",
    "augment.rotation": "degrees that a picture is turned by at most, either way",
    "augment.color": "strength of random changes of brightness, contrast and saturation",
    "augment.strength": "of a random augmentation drawn for each picture, from 0 (none) to 1",
    "augment.noise": "added to a table's numbers in training, in standard deviations",
    "batch_size": "examples in one step",
    "epochs": "passes through the training examples",
    "seed": "of the training's own chance; never searched",
}


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: (_loss(trial), trial.number))


def _loss(trial: Trial) -> float:
    return math.inf if trial.state == "diverged" else trial.loss


def default_recipe(result: Mapping[str, Any], searched: Sequence[Trial]) -> Mapping[str, Value]:
    """The fields of the default recipe."""
    for trial in searched:
        if trial.origin == "default":
            return trial.recipe.flat()
    known = [each["recipe"] for each in result["finalists"] if each["origin"] == "default"]
    return known[0] if known else {}


def training(result: Mapping[str, Any], history: History, searched: Sequence[Trial]) -> dict[str, Any]:
    """The learning curves: the winner on its own terms among all recipes, then training loss and metric."""
    own = history.trials.get(result["winner"]["trial"]) or history.trials.get(result["winner"]["from_trial"])
    finalists = {each["from_trial"] for each in result["finalists"]}
    rest = [trial for trial in searched if trial.number not in finalists and trial.curve.points]
    shown = rest[:: math.ceil(len(rest) / MOST_LINES)] if rest else []
    parts = {
        "valid": _lines(history, shown, finalists, result, own, field="valid_loss"),
        "train": _lines(history, shown, finalists, result, own, field="train_loss"),
        "metric": _lines(history, shown, finalists, result, own, field="valid_metric"),
    }
    guess = words.guess_loss(result)
    fit = [Line(_points(own, "train_loss"), "train", "its training loss")] if own else []
    low, high = _metric_range(result["metric"], parts["metric"])
    name, unit = words.metric_name(result["metric"]), words.loss_unit(result)
    return {
        "curves_chart": curves(
            [*parts["valid"], *fit],
            name="curves", title="Validation loss of every recipe by epoch",
            desc="The winner is the heavy line; its training loss is dashed; other recipes are faint.",
            low=0.0, high=_ceiling([*parts["valid"], *fit], guess), y_label=f"validation loss{unit}",
        ),
        "train_chart": curves(
            parts["train"], name="train", title="Training loss of every recipe by epoch",
            desc="The winner is the heavy line; other recipes are faint.",
            low=0.0, high=_ceiling(parts["train"], guess), y_label=f"training loss{unit}",
            width=506, height=280, label_width=98,
        ),
        "metric_chart": curves(
            parts["metric"], name="metric", title=f"Validation {name} of every recipe by epoch",
            desc="The winner is the heavy line; other recipes are faint.",
            low=low, high=high, y_label=f"validation {name}", width=506, height=280, label_width=98,
        ),
        "curves_shown": len(shown) + len(finalists), "curves_all": len(rest) + len(finalists),
        "winner_gap": gap(own),
    }  # fmt: skip


def _lines(
    history: History, rest: Sequence[Trial], finalists: set[int], result: Mapping[str, Any], own: Trial | None,
    *, field: str,
) -> list[Line]:  # fmt: skip
    """One quantity of all trials as lines: faint, finalists with their number, the default, the winner."""
    lines = [Line(_points(trial, field), "faint") for trial in rest]
    for number in sorted(finalists):
        trial = history.trials.get(number)
        if trial is None or number == result["winner"]["from_trial"]:
            continue
        is_default = trial.origin == "default"
        label = f"default, trial {number}" if is_default else f"trial {number}"
        lines.append(Line(_points(trial, field), "default" if is_default else "finalist", label))
    return [*lines, Line(_points(own, field), "winner", "the winner")] if own else lines


def _points(trial: Trial, field: str) -> tuple[tuple[float, float | None], ...]:
    return tuple((point.epoch, getattr(point, field)) for point in trial.curve.points)


def _values(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for _, value in line.points if value is not None and math.isfinite(value)]


def _ceiling(lines: Sequence[Line], guess: float) -> float:
    """The upper end of a loss axis: what is much worse than guessing is cut off, the chosen ones never are."""
    chosen = _values([line for line in lines if line.kind != "faint"])
    everything = _values(lines)
    return 1.05 * max(max(chosen, default=0.0), min(max(everything, default=guess), 1.1 * guess), 1e-3)


def _metric_range(metric: str, lines: Sequence[Line]) -> tuple[float, float]:
    """The metric's axis without the worst few values, which the first epochs have."""
    values = sorted(_values(lines)) or [0.0, 1.0]
    if not words.is_rising(metric):
        return 0.0, 1.05 * values[int(0.95 * (len(values) - 1))] or 1.0
    low = values[int(0.02 * (len(values) - 1))]
    if metric == "r2":
        # Before it has learnt the target's mean a network can be worse than that without bound.
        return max(low, -0.5) - 0.03, min(1.0, max(values[-1], -0.4) + 0.02)
    return max(0.0, low - 0.03), min(1.0, max(values[-1] + 0.01, low + 0.05))


def gap(trial: Trial | None) -> str:
    """What the two losses of the winner say of overfitting."""
    last = trial.curve.last if trial else None
    if trial is None or last is None or last.train_loss is None or last.valid_loss is None:
        return ""
    known = [(p.valid_loss, p.epoch) for p in trial.curve.points if p.valid_loss is not None]
    low, epoch = min(known)
    train, valid = words.number(last.train_loss), words.number(last.valid_loss)
    where = "in the last epoch" if epoch == last.epoch else f"in epoch {epoch} ({words.number(low)})"
    said = f"In the last epoch the winner's training loss is {train} and its validation loss {valid}"
    return f"{said}; the validation loss was lowest {where}."


def recipe_rows(own: Mapping[str, Value], default: Mapping[str, Value]) -> list[dict[str, Any]]:
    """The fields worth telling: what every training has, what is not plain, and what differs from the default."""
    told = Recipe.from_flat(own).told()
    return [
        {
            "field": field,
            "own": words.compact(value) if field != "seed" else str(value),
            "default": words.compact(default[field]) if field in default and field != "seed" else "–",
            "differs": _differs(field, value, default),
            "about": FIELDS.get(field, ""),
        }
        for field, value in own.items()
        if field in told or _differs(field, value, default)
    ]


def _differs(field: str, value: Value, default: Mapping[str, Value]) -> bool:
    return field != "seed" and field in default and value != default[field]


def _changed(recipe: Mapping[str, Value], default: Mapping[str, Value], *, without: Sequence[str] = ()) -> str:
    """The fields in which a recipe differs from the default one."""
    found = [
        f"{field} {words.compact(value)}"
        for field, value in recipe.items()
        if field not in without and _differs(field, value, default)
    ]
    return ", ".join(found)


def columns(searched: Sequence[Trial]) -> list[tuple[str, str]]:
    """The fields that have a column of their own in the table of trials, each with its head: a few that vary."""
    return words.leading([trial.recipe.flat() for trial in searched], MOST_COLUMNS)


def trial_row(
    trial: Trial, default: Mapping[str, Value], result: Mapping[str, Any], own: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """A row of the table of trials. own: the fields that have a column."""
    flat, kept = trial.recipe.flat(), words.judged_point(trial)
    return {
        "number": trial.number, "origin": trial.origin, "state": words.state(trial), "kind": trial.state,
        "epochs": f"{trial.epochs} of {trial.recipe.epochs}",
        "fields": [words.compact(flat[field]) for field, _ in own],
        "other": _changed(flat, default, without=[*(field for field, _ in own), "epochs"]),
        "loss": words.number(kept.valid_loss if kept else None, 4),
        "metric": words.shown(result["metric"], kept.valid_metric if kept else None),
        "reason": trial.last_reason or trial.reason, "is_winner": trial.number == result["winner"]["from_trial"],
    }  # fmt: skip


def states(trials: Sequence[Trial]) -> str:
    """How many trials ended in which state, and how many of them before their last epoch because nothing improved."""
    found: dict[str, int] = {}
    for trial in trials:
        found[words.state(trial)] = found.get(words.state(trial), 0) + 1
    return words.listed([f"{amount:,} {state}" for state, amount in found.items()])


def lr_chart(result: Mapping[str, Any], searched: Sequence[Trial]) -> Markup | None:
    """Learning rate against validation loss, the winner marked, with the edges of the space; None for one rate."""
    if len({trial.recipe.optimizer.lr for trial in searched}) < 2:
        return None
    dots = []
    for trial in searched:
        loss = _loss(trial)
        kind: Kind = "finalist" if trial.state == "complete" else "faint"
        label = ""
        if trial.origin == "default":
            kind, label = "default", "default"
        if trial.number == result["winner"]["from_trial"]:
            kind, label = "winner", f"the winner, trial {trial.number}"
        shown = None if math.isinf(loss) else loss
        note = f"trial {trial.number}: rate {words.compact(trial.recipe.optimizer.lr)}, loss {words.number(shown)}"
        dots.append(Dot(trial.recipe.optimizer.lr, shown, kind, label, f"{note}, {trial.state}"))
    losses = sorted(dot.y for dot in dots if dot.y is not None)
    most = 1.1 * max(losses[int(0.9 * (len(losses) - 1))], losses[0]) if losses else 1.0
    dimension = result["space"].get("optimizer.lr", {})
    edges = (dimension["low"], dimension["high"]) if "low" in dimension else None
    return scatter(
        dots, name="rates", title="Learning rate and validation loss of every recipe", x_label="learning rate",
        desc="One mark for each recipe; the winner is labelled; crosses on the upper edge lie above it or diverged.",
        y_label=f"last validation loss{words.loss_unit(result)}", high=max(most, 1e-3), edges=edges,
    )  # fmt: skip


def finalist_row(each: Mapping[str, Any], default: Mapping[str, Value], result: Mapping[str, Any]) -> dict[str, Any]:
    """A finalist with its values and what is said of its difference to the winner."""
    behind, metric = each["behind"], result["metric"]
    shown = partial(words.shown_signed, metric)
    said, interval = "the winner", ""
    if behind is not None:
        value, low, high = words.gain(metric, behind)
        said = ("behind" if value > 0 else "ahead") if words.is_real(behind) else "no real difference"
        interval = f"{shown(value)} ({shown(low)} to {shown(high)})"
    tie = tie_break(result)
    # Older results named the loss by its metric.
    decided = words.shown(tie, each["loss"] if "loss" in each else each["log_loss"]) if tie else ""
    return {
        **each, "verdict": said, "interval": interval, "tie": decided,
        "other": _changed(each["recipe"], default) or "the default recipe itself",
    }  # fmt: skip


def tie_break(result: Mapping[str, Any]) -> str:
    """The metric that decides between finalists without a real difference; "" where it is the study's own."""
    found = "rmse" if words.is_regression(result) else "log_loss"
    return "" if found == result["metric"] else found


def finalist_chart(result: Mapping[str, Any]) -> Markup:
    """Each finalist's values, one tick a seed, around their mean."""
    rows = []
    for each in result["finalists"]:
        kind: Kind = "winner" if each["is_winner"] else "default" if each["origin"] == "default" else "finalist"
        label = f"trial {each['from_trial']}, {each['origin']}"
        note = words.shown(result["metric"], each["value"])
        rows.append(Row(label, each["value"], note=note, kind=kind, dots=tuple(each["values"])))
    values = [value for each in result["finalists"] for value in (*each["values"], each["value"])]
    low, high = value_range(result["metric"], values)
    if result["metric"] == "log_loss":
        low = max(0.0, min(values) - 0.1 * (max(values) - min(values)) - 1e-3)
    return intervals(
        rows, name="finalists", title="Validation values of the finalists, one tick a seed",
        desc="; ".join(f"{row.label} {row.note}" for row in rows), low=low, high=high, width=1040, label_width=180,
        row_height=34, show=partial(words.shown, result["metric"]),
    )  # fmt: skip


def fine_tuning(result: Mapping[str, Any]) -> dict[str, str]:
    """What fine-tuning added, or why it was not tried."""
    about = result.get("fine_tuning")
    if about is None:
        why = "there is no backbone: the network was trained from scratch, all of it"
        return {"head": "Not tried", "why": why if result.get("backbone") is None else "the study's plan left it out"}
    difference = about.get("difference")
    if difference is None:
        return {"head": "Tried without success" if "trial" in about else "Not tried", "why": about["why"]}
    change = words.comparison(result["metric"], difference, "the best network on frozen features")
    head = "Kept" if about["kept"] else "Tried, not kept"
    return {"head": head, "why": f"{change}, on the validation pictures. {about['why']}"}


def value_range(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """A range that holds these values of a metric with some air, but never what the metric cannot be."""
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.05 * (abs(high) if metric in words.IN_UNITS else 1) or 0.05
    if metric == "log_loss":
        return 0.0, high + air
    least = -math.inf if metric == "r2" else 0.0
    return max(least, low - air), high + air if metric in words.IN_UNITS else min(1.0, high + air)


def engines(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which engine trained which group of trials, and why."""
    return [
        {"group": each["group"], "members": f"{each['members']:,}", "engine": each["engine"], "why": each["why"]}
        for each in result.get("engines") or []
    ]
