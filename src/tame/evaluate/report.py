"""The report: one HTML file that needs no network, no script and nothing beside it.

Whatever comes from outside (names of files and classes, reasons) is text: made inert here, escaped by the template.
"""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tame.core.recipe import Value
from tame.core.records import Finding, History, Trial
from tame.evaluate import words
from tame.evaluate.charts import Dot, Kind, Line, Row, curves, intervals, scatter, shares

FINALIST = "finalist"
MATRIX_CLASSES = 30  # a larger matrix cannot be read; its largest mistakes can
MOST_PAIRS = 25
FIRST_FINDINGS = 3  # on the first screen
MOST_LINES = 150  # curves in one chart; more are thinned evenly over the ranking
PARTS = {"train": "training", "val": "validation", "test": "sealed test", "aside": "put aside"}
FIELDS = {
    "input.size": "side of the square picture that the network sees, in pixels",
    "input.views": "views of each picture that are learnt: the picture, its mirror image, crops",
    "input.crop": "share of the picture's shorter side that is seen",
    "model.name": "what is trained: a head on the backbone's features, or a whole network",
    "model.hidden": "units in the head's hidden layer; 0 is a linear head",
    "model.width": "channels of the first stage of a network from scratch",
    "model.dropout": "share of units switched off at random in each training step",
    "model.unfrozen": "stages of the backbone that are trained as well",
    "loss.name": "what training makes small",
    "loss.label_smoothing": "share of the target that is spread over all classes",
    "optimizer.name": "how weights follow the gradient",
    "optimizer.lr": "learning rate: how far one step goes",
    "optimizer.weight_decay": "pull of the weights towards zero",
    "optimizer.momentum": "how much of the last step's direction is kept",
    "schedule.name": "how the learning rate falls during training",
    "schedule.warmup": "share of all steps in which the rate rises from zero",
    "augment.flip": "mirror images, at random, in training",
    "augment.crop": "random shifts and scales in training, as a share of the side",
    "batch_size": "pictures in one step",
    "epochs": "passes through the training pictures",
    "seed": "of the training's own chance; never searched",
}


def render_report(result: Mapping[str, Any], history: History, thumbnails: Mapping[str, bytes]) -> str:
    """The report as one HTML text. result: what finals.py returns; thumbnails: JPEG files by picture id."""
    return _environment().get_template("report.html").render(view(result, history, thumbnails))


def render_failure(name: str, why: str, findings: Sequence[Finding], history: History) -> str:
    """The page of a study in which nothing usable was trained: why, what was found, and every trial."""
    found = [_finding(finding.to_json()) for finding in findings]
    trials = list(history.trials.values())
    return _environment().get_template("failed.html").render(name=name, why=why, findings=found, trials=trials)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tame.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else words.inert(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number, "signed": words.signed, "compact": words.compact, "duration": words.duration,
        "short": words.short, "sentence": words.sentence,
    }  # fmt: skip
    environment.globals |= {"count": words.count}
    return environment


def view(result: Mapping[str, Any], history: History, thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    """What the templates print: plain values, sentences, and charts as markup."""
    searched = _ranked([trial for trial in history.trials.values() if trial.origin != FINALIST])
    default = _default(result, searched)
    return {
        "result": result,
        "name": PurePath(str(result["data"]).rstrip("/")).name or "data",
        "metric": words.metric_name(result["metric"]),
        "rising": words.is_rising(result["metric"]),
        "learnt": words.learnt(result),
        "span": words.span(result["score"]),
        "right": _right(result),
        "opened": words.opened(result),
        "verdict": words.verdict(result),
        "default_is_beaten": _is_beaten(result),
        "dummy_verdict": words.dummy_verdict(result),
        "optimism": words.optimism(result),
        "findings": [_finding(each) for each in result["findings"]],
        "first_findings": FIRST_FINDINGS,
        "predict": words.predict_command(result, shlex.quote),
        "score_chart": _score_chart(result),
        **_training(result, history, searched),
        "matrix": _matrix(result),
        "pairs": _pairs(result),
        "class_chart": _class_chart(result),
        "mistakes": [_mistake(each, thumbnails) for each in result["mistakes"]],
        **_data(result),
        "recipe": _recipe(result["winner"]["recipe"], default),
        "space": [(name, words.setting(dimension)) for name, dimension in result["space"].items()],
        "trials": [_trial(trial, default, result) for trial in searched],
        "states": _states(searched),
        "lr_chart": _lr_chart(result, searched),
        "finalists": [_finalist(each, default, result) for each in result["finalists"]],
        "finalist_chart": _finalist_chart(result),
        "is_retrained": words.is_retrained(result),
        "fine_tuning": _fine_tuning(result),
        "again": _again(result),
        "terms": _terms(result, history),
    }


def _ranked(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: (_loss(trial), trial.number))


def _loss(trial: Trial) -> float:
    last = trial.curve.last
    return math.inf if trial.state == "diverged" or last is None or last.valid_loss is None else last.valid_loss


def _default(result: Mapping[str, Any], searched: Sequence[Trial]) -> Mapping[str, Value]:
    """The fields of the default recipe."""
    for trial in searched:
        if trial.origin == "default":
            return trial.recipe.flat()
    known = [each["recipe"] for each in result["finalists"] if each["origin"] == "default"]
    return known[0] if known else {}


def _right(result: Mapping[str, Any]) -> str:
    right = sum(each["right"] for each in result["per_class"])
    return f"{right:,} of {words.count(result['score']['n'], 'test picture')} right"


def _is_beaten(result: Mapping[str, Any]) -> bool:
    own = result["baselines"]["default"]
    if own is None or own["is_winner"]:
        return False
    return bool(words.is_real(own["difference"]) and words.gain(result["metric"], own["difference"])[0] > 0)


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {**finding, "words": words.evidence(finding), "outcome": words.outcome(finding)}


def _score_chart(result: Mapping[str, Any]) -> Markup:
    """The interval of the score beside what it must be measured against."""
    score, validation = result["score"], result["validation"]["value"]
    dummy, default = result["baselines"]["dummy"], result["baselines"]["default"]
    shown = [dummy, score, *([default] if default else [])]
    ends = [each[end] for each in shown for end in ("low", "high")]
    low, high = _range(result["metric"], [validation, *ends])
    rows = [
        _row("sealed test", score, "winner"),
        *([_row("default recipe", default, "default")] if default else []),
        _row("commonest class", dummy, "dummy"),
        Row("validation", validation, note=words.number(validation), kind="valid"),
    ]
    desc = "; ".join(f"{row.label} {row.note}" for row in rows)
    title = f"{words.metric_name(result['metric'])} with 95 % intervals"
    return intervals(
        rows, name="score", title=title, desc=desc, low=low, high=high, width=500, label_width=128, row_height=38
    )


def _row(label: str, score: Mapping[str, Any], kind: Kind) -> Row:
    return Row(label, score["value"], score["low"], score["high"], words.number(score["value"]), kind)


def _range(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """A range that holds these values with some air; for shares never past 0 and 1."""
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.05
    if metric == "log_loss":
        return 0.0, high + air
    return max(0.0, low - air), min(1.0, high + air)


def _training(result: Mapping[str, Any], history: History, searched: Sequence[Trial]) -> dict[str, Any]:
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
    guess = math.log(max(len(result["classes"]), 2))
    fit = [Line(_points(own, "train_loss"), "train", "its training loss")] if own else []
    low, high = _metric_range(result["metric"], parts["metric"])
    name = words.metric_name(result["metric"])
    return {
        "curves_chart": curves(
            [*parts["valid"], *fit],
            name="curves", title="Validation loss of every recipe by epoch",
            desc="The winner is the heavy line; its training loss is dashed; other recipes are faint.",
            low=0.0, high=_ceiling([*parts["valid"], *fit], guess), y_label="validation loss, nats a picture",
        ),
        "train_chart": curves(
            parts["train"], name="train", title="Training loss of every recipe by epoch",
            desc="The winner is the heavy line; other recipes are faint.",
            low=0.0, high=_ceiling(parts["train"], guess), y_label="training loss, nats a picture",
            width=506, height=280, label_width=98,
        ),
        "metric_chart": curves(
            parts["metric"], name="metric", title=f"Validation {name} of every recipe by epoch",
            desc="The winner is the heavy line; other recipes are faint.",
            low=low, high=high, y_label=f"validation {name}", width=506, height=280, label_width=98,
        ),
        "curves_shown": len(shown) + len(finalists), "curves_all": len(rest) + len(finalists),
        "winner_gap": _gap(own),
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
    values = sorted(_values(lines)) or [0.0, 1.0]
    if metric == "log_loss":
        return 0.0, 1.05 * values[int(0.95 * (len(values) - 1))] or 1.0
    low = values[int(0.02 * (len(values) - 1))]
    return max(0.0, low - 0.03), min(1.0, max(values[-1] + 0.01, low + 0.05))


def _gap(trial: Trial | None) -> str:
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


def _matrix(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The confusion matrix with the strength of each cell's shade, as a share of its row."""
    counts = result["confusion"]
    if counts is None or len(counts) > MATRIX_CLASSES:
        return None
    rows = []
    for truth, (name, row) in enumerate(zip(result["classes"], counts, strict=True)):
        total = sum(row)
        cells = [
            {
                "count": amount, "shade": round(100 * amount / total) if total else 0, "is_right": truth == column,
                "words": f"{amount} of {total} {name} called {result['classes'][column]}",
            }
            for column, amount in enumerate(row)
        ]  # fmt: skip
        rows.append({"name": name, "cells": cells, "total": total})
    return {"rows": rows, "totals": [sum(column) for column in zip(*counts, strict=True)]}


def _pairs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most, the most frequent first."""
    counts, classes = result["confusion"] or [], result["classes"]
    found = [
        {"true": classes[t], "predicted": classes[p], "count": amount, "of": sum(row)}
        for t, row in enumerate(counts)
        for p, amount in enumerate(row)
        if t != p and amount
    ]
    return sorted(found, key=lambda pair: (-pair["count"], pair["of"]))[:MOST_PAIRS]


def _class_chart(result: Mapping[str, Any]) -> Markup:
    """The share of each class that was recognised, the hardest first where there are many."""
    classes = list(result["per_class"])
    if len(classes) > 8:
        classes.sort(key=lambda each: (2.0 if each["value"] is None else each["value"], each["class"]))
    rows = [
        Row(
            words.inert(each["class"]), each["value"], each["low"] if each["n"] else None,
            each["high"] if each["n"] else None, _class_note(each), "each",
        )
        for each in classes
    ]  # fmt: skip
    low = min([each["low"] for each in classes if each["n"]], default=0.0)
    label_width = min(40 + 7 * max(len(row.label) for row in rows), 230)
    return intervals(
        rows, name="classes", title="Share of each class that was recognised, with 95 % intervals",
        desc="; ".join(f"{row.label} {row.note}" for row in rows[:12]), low=max(0.0, low - 0.04), high=1.0,
        width=1040, label_width=label_width, note_width=230, row_height=34 if len(rows) <= 12 else 26,
    )  # fmt: skip


def _class_note(each: Mapping[str, Any]) -> str:
    if not each["n"]:
        return "no test pictures"
    return f"{each['right']} of {each['n']} · {words.number(each['value'])} ({words.span(each)})"


def _mistake(mistake: Mapping[str, Any], thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    jpeg = thumbnails.get(mistake["id"])
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
    return {**mistake, "source": source, "probability": f"{100 * mistake['probability']:.1f} %"}


def _data(result: Mapping[str, Any]) -> dict[str, Any]:
    """Counts by class and part, and the bar of the parts."""
    facts, counts = result["data_facts"], result["data_facts"]["counts"]
    parts = [part for part in PARTS if part in counts]
    names = [PARTS[part] for part in parts]
    if facts["folds"] > 1 and "val" not in parts:
        names = ["training and validation" if part == "train" else PARTS[part] for part in parts]
    sums = [sum(counts[part].values()) for part in parts]
    rows = [
        {"name": name, "counts": own, "total": sum(own)}
        for name in result["classes"]
        for own in [[counts[part].get(name, 0) for part in parts]]
    ]
    bar = [(name, amount, part) for name, amount, part in zip(names, sums, parts, strict=True)]
    desc = "; ".join(f"{name} {amount}" for name, amount, _ in bar)
    return {
        "part_names": names,
        "part_sums": sums,
        "class_counts": rows,
        "parts_chart": shares(bar, name="parts", title="How the pictures are divided", desc=desc),
    }


def _recipe(own: Mapping[str, Value], default: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [
        {
            "field": field,
            "own": words.compact(value) if field != "seed" else str(value),
            "default": words.compact(default[field]) if field in default and field != "seed" else "–",
            "differs": field in default and field != "seed" and value != default[field],
            "about": FIELDS.get(field, ""),
        }
        for field, value in own.items()
    ]


def _changed(recipe: Mapping[str, Value], default: Mapping[str, Value], *, without: Sequence[str] = ()) -> str:
    """The fields in which a recipe differs from the default one."""
    found = [
        f"{field} {words.compact(value)}"
        for field, value in recipe.items()
        if field != "seed" and field not in without and field in default and value != default[field]
    ]
    return ", ".join(found)


def _trial(trial: Trial, default: Mapping[str, Value], result: Mapping[str, Any]) -> dict[str, Any]:
    recipe, last = trial.recipe, trial.curve.last
    own_columns = ("input.size", "optimizer.lr", "optimizer.weight_decay", "epochs")
    return {
        "number": trial.number, "origin": trial.origin, "state": trial.state,
        "epochs": f"{trial.epochs} of {recipe.epochs}", "size": recipe.input.size,
        "lr": words.compact(recipe.optimizer.lr), "decay": words.compact(recipe.optimizer.weight_decay),
        "other": _changed(recipe.flat(), default, without=own_columns),
        "loss": words.number(last.valid_loss if last else None, 4),
        "metric": words.number(last.valid_metric if last else None),
        "reason": trial.last_reason or trial.reason, "is_winner": trial.number == result["winner"]["from_trial"],
    }  # fmt: skip


def _states(trials: Sequence[Trial]) -> str:
    """How many trials ended in which state."""
    found: dict[str, int] = {}
    for trial in trials:
        found[trial.state] = found.get(trial.state, 0) + 1
    return words.listed([f"{amount:,} {state}" for state, amount in found.items()])


def _lr_chart(result: Mapping[str, Any], searched: Sequence[Trial]) -> Markup:
    """Learning rate against validation loss, the winner marked, with the edges of the space."""
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
        y_label="last validation loss, nats a picture", high=max(most, 1e-3), edges=edges,
    )  # fmt: skip


def _finalist(each: Mapping[str, Any], default: Mapping[str, Value], result: Mapping[str, Any]) -> dict[str, Any]:
    """A finalist with its values and what is said of its difference to the winner."""
    behind = each["behind"]
    said, interval = "the winner", ""
    if behind is not None:
        real = words.is_real(behind)
        value = words.gain(result["metric"], behind)[0]
        said = ("behind" if value > 0 else "ahead") if real else "no real difference"
        interval = f"{words.signed(behind['value'])} ({words.signed(behind['low'])} to {words.signed(behind['high'])})"
    return {
        **each, "verdict": said, "interval": interval,
        "other": _changed(each["recipe"], default) or "the default recipe itself",
    }  # fmt: skip


def _finalist_chart(result: Mapping[str, Any]) -> Markup:
    """Each finalist's values, one tick a seed, around their mean."""
    rows = []
    for each in result["finalists"]:
        kind: Kind = "winner" if each["is_winner"] else "default" if each["origin"] == "default" else "finalist"
        label = f"trial {each['from_trial']}, {each['origin']}"
        rows.append(Row(label, each["value"], note=words.number(each["value"]), kind=kind, dots=tuple(each["values"])))
    values = [value for each in result["finalists"] for value in (*each["values"], each["value"])]
    low, high = _range(result["metric"], values)
    if result["metric"] == "log_loss":
        low = max(0.0, min(values) - 0.1 * (max(values) - min(values)) - 1e-3)
    return intervals(
        rows, name="finalists", title="Validation values of the finalists, one tick a seed",
        desc="; ".join(f"{row.label} {row.note}" for row in rows), low=low, high=high, width=1040, label_width=180,
        row_height=34,
    )  # fmt: skip


def _fine_tuning(result: Mapping[str, Any]) -> dict[str, str]:
    """What fine-tuning added, or why it was not tried."""
    about = result["fine_tuning"]
    if about is None:
        why = "there is no backbone: the network was trained from scratch, all of it"
        return {"head": "Not tried", "why": why if result["backbone"] is None else "the study's plan left it out"}
    difference = about.get("difference")
    if difference is None:
        return {"head": "Tried without success" if "trial" in about else "Not tried", "why": about["why"]}
    change = words.comparison(result["metric"], difference, "the best network on frozen features")
    head = "Kept" if about["kept"] else "Tried, not kept"
    return {"head": head, "why": f"{change}, on the validation pictures. {about['why']}"}


def _again(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is needed to make the study once more."""
    machine, backbone, delivered = result["machine"], result["backbone"], result["delivered"]
    rows = [
        ("seeds of the winner", ", ".join(str(seed) for seed in result["winner"]["seeds"])),
        ("wall time", words.duration(result["wall_s"])),
        *((name.replace("_", " "), words.compact(value)) for name, value in machine.items()),
        *((name, words.compact(value)) for name, value in result.get("versions", {}).items()),
    ]
    if result["speed"]:
        rows.append(("backbone, as measured here", words.compact(result["speed"])))
    if backbone is not None:
        rows.append(("backbone", f"{backbone['name']}, SHA-256 {backbone['digest']}"))
    rows += [(f"model/{name}", f"SHA-256 {digest}") for name, digest in delivered["files"].items()]
    apart = words.compact(float(delivered["largest_difference"]))
    checked = words.count(delivered["checked"], "test picture")
    rows.append(("model loaded again", f"judged {checked} the same; largest difference of a probability {apart}"))
    return rows


def _terms(result: Mapping[str, Any], history: History) -> list[tuple[str, str, str]]:
    """A glossary with this study's own numbers: anchor, term, meaning."""
    score, validation, facts = result["score"], result["validation"], result["data_facts"]
    own, metric = result["winner"]["recipe"], words.metric_name(result["metric"])
    guess = math.log(max(len(result["classes"]), 2))
    folds = facts["folds"]
    judged = (
        f"Here the {validation['n']:,} pictures outside the test part were divided into {folds} folds: each fold was "
        f"judged by a network that had learnt from the other {folds - 1}."
        if folds > 1
        else f"Here {validation['n']:,} pictures that no recipe learnt from."
    )
    terms = [
        (
            "recipe", "Recipe and trial",
            f"A recipe is everything that decides how a network is trained; a trial is a recipe being trained. "
            f"This study tried {words.count(result['trials'], 'recipe')} in {words.duration(result['wall_s'])}.",
        ),
        (
            "epoch", "Epoch",
            f"One pass through the training pictures. The winner was trained for "
            f"{words.count(result['winner']['epochs'], 'epoch')}; all trials together for {result['epochs']:,}.",
        ),
        (
            "loss", "Loss",
            f"What training makes small: minus the logarithm of the probability given to the right class, averaged, "
            f"in nats. Giving every one of the {len(result['classes'])} classes the same probability costs "
            f"ln {len(result['classes'])} = {words.number(guess)}.",
        ),
        ("validation", "Validation", f"What recipes are compared on. {judged} The winner reached {metric} "
            f"{words.number(validation['value'])} ({validation['how']})."),
        (
            "test", "Sealed test",
            f"{score['n']:,} pictures that took no part in learning or choosing. At the end their labels were "
            f"{words.opened(result)}; the winner reached {metric} {words.number(score['value'])}.",
        ),
        (
            "optimism", "Optimism",
            f"How much better a winner looks on the pictures that chose it than on pictures that did not: the best of "
            f"many is partly the luckiest. {words.sentence(words.optimism(result))}",
        ),
        (
            "interval", "95 % interval",
            f"A test of {score['n']:,} pictures leaves room for chance. Intervals made this way hold the true value in "
            f"about 95 of 100 studies; here {words.span(score)}. More test pictures would make it narrower.",
        ),
        (
            "dummy", "Commonest class",
            f"What is reached without looking at a picture, by always giving the commonest class of the training data: "
            f"{metric} {words.number(result['baselines']['dummy']['value'])} here. A network must beat it.",
        ),
        (
            "default", "Default recipe",
            f"The recipe that is used when nothing is searched. It is always a finalist, so that the search has to "
            f"show what it was worth: {words.verdict(result)}.",
        ),
        (
            "overfitting", "Overfitting",
            "Learning the training pictures instead of what they have in common: the training loss falls on while the "
            f"validation loss rises. {_gap(history.trials.get(result['winner']['trial'])) or ''}".strip(),
        ),
        (
            "rate", "Learning rate",
            f"How far the weights move in one step: too high and the loss jumps or grows without bound, too low and "
            f"little is learnt. The winner's is {words.compact(own['optimizer.lr'])}"
            + (f"; searched was {words.setting(result['space']['optimizer.lr'])}."
               if "optimizer.lr" in result["space"] else "."),
        ),
        (
            "decay", "Weight decay",
            f"A pull of the weights towards zero, against overfitting: {words.compact(own['optimizer.weight_decay'])} "
            f"in the winner.",
        ),
        (
            "seed", "Seed",
            "Where chance starts: first weights, order of pictures. One seed can be lucky"
            + (f", so the winner was trained again with {words.count(len(result['winner']['seeds']), 'fresh seed')}."
               if words.is_retrained(result) else "; there was no time here to train the winner with others."),
        ),
    ]  # fmt: skip
    if folds > 1:
        terms.append(("fold", "Fold", f"One of {folds} parts that take turns: learn from the others, judge this one."))
    if result["backbone"] is not None:
        terms.append(
            (
                "backbone", "Backbone, head, fine-tuning",
                f"The backbone ({result['backbone']['name']}) was trained on other pictures before and turns a picture "
                f"into numbers, its features; the head turns these into classes. With a frozen backbone only the head "
                f"learns; fine-tuning trains the last stages of the backbone as well.",
            )
        )  # fmt: skip
    return terms
