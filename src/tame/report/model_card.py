"""The model card: what the delivered network is, in the form that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from tame.core.exported import Exported
from tame.core.result import Result
from tame.kinds.known import KINDS
from tame.report import formats, words
from tame.report.delivered_section import of_export, sentences
from tame.report.trade_section import sentences as of_price

# What a hub calls a task; it has no name for numbers from pictures or texts.
PIPELINES = (
    "image-classification", "tabular-classification", "tabular-regression", "text-classification", "text-generation",
)  # fmt: skip
METRICS = {"f1_macro": "f1", "r2": "r_squared"}  # as model hubs call them, where that is not TAME's name


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHub:
    """What a card says of other places on the Hub, each as OWNER/NAME. base: the model that was fine-tuned or whose
    features are used; dataset: what it was trained on; "" where that is not known."""

    base: str = ""
    dataset: str = ""


def model_card(result: Result, exports: Sequence[Exported] = (), hub: OnHub | None = None) -> str:
    """The README.md of a model folder: what the network does, how good it is, how to use it.

    exports: the files that were written of it, and how far each was from it; hub: other places that it names.
    """
    hub = hub or OnHub()
    score, backbone, own = result.score, result.backbone, KINDS.get(result.kind).words
    data = PurePath(result.data).name
    task = _hub_task(result)
    # A JSON string is a YAML string too: what comes from file names stays data.
    front = [
        "---",
        "library_name: tame",
        f"license: {json.dumps((backbone and backbone.license) or 'other')}",
        *([f"pipeline_tag: {task}"] if task in PIPELINES else []),
        *([f"base_model: {json.dumps(hub.base)}"] if hub.base else []),
        *([f"datasets: [{json.dumps(hub.dataset)}]"] if hub.dataset else []),
        f"metrics: [{', '.join(dict.fromkeys(METRICS.get(name, name) for name in (result.metric, *result.metrics)))}]",
        f"tags: [tame, {task}]",
        "model-index:",
        f"- name: {json.dumps(data)}",
        "  results:",
        f"  - task: {{type: {task}}}",
        f"    dataset: {{name: {json.dumps(data)}, type: {json.dumps(hub.dataset or own.card_type)}, split: test}}",
        "    metrics:",
        *_measured(result),
        "---",
    ]
    metric = result.metric
    value = f"{formats.metric_name(metric)} {formats.shown(metric, score.value)}"
    body = [
        f"# {formats.inert(data)}",
        _what(result),
        f"**{value}** ({words.span(score, metric)}, 95 % interval, n = {score.n}), {score.how}. "
        f"{formats.sentence(words.verdict(result))}",
        *([formats.sentence(edited)] if (edited := words.edited(result)) else []),
        f"{own.takes} {_limit(result)}",
        *([" ".join(told)] if (told := [*sentences(result), *of_price(result)]) else []),
        *(formats.inert(formats.sentence(of_export(each))) for each in exports),
        f"```\n{words.predict_command(replace(result, study='MODEL_FOLDER'), str)}\n```",
    ]
    return "\n".join(front) + "\n\n" + "\n\n".join(body) + "\n"


def _measured(result: Result) -> list[str]:
    """The metrics of a model index: the score with its interval, and the others."""
    score, metric = result.score, result.metric
    name = f"{formats.metric_name(metric)} (95 % interval {words.span(score, metric)}, n = {score.n})"
    ends = f"interval: [{score.low:.6g}, {score.high:.6g}], level: 0.95, n: {score.n}"
    others = {name: value for name, value in result.metrics.items() if name != metric}
    return [
        f"    - {{type: {METRICS.get(metric, metric)}, value: {score.value:.6g}, name: {json.dumps(name)}, "
        f"args: {{{ends}}}}}",
        *(
            f"    - {{type: {METRICS.get(other, other)}, value: {value:.6g}, name: "
            f"{json.dumps(formats.metric_name(other))}}}"
            for other, value in others.items()
        ),
    ]


def _hub_task(result: Result) -> str:
    if result.is_language_model:
        return KINDS.get(result.kind).words.card_task
    what = "regression" if result.is_regression else "classification"
    return f"{KINDS.get(result.kind).words.card_task}-{what}"


def _what(result: Result) -> str:
    """What the network does, and its classes."""
    target = formats.inert(formats.short(result.target, 80))
    if (texts := result.data_facts.language) is not None:
        name = formats.inert(texts.model)
        return f"Writes on from a beginning: {name}, adapted by TAME to {texts.texts['train']:,} texts."
    many, base = words.noun(result.kind), _base(result)
    if result.is_regression:
        return f"Predicts {target or 'a number'} with {base}, tuned by TAME."
    about = f"{f'{target}: ' if target else ''}one of {len(result.classes)} classes of {many}"
    labels = "\n".join(f"- {formats.inert(name)}" for name in result.classes)
    return f"Predicts {about}, with {base}, tuned by TAME:\n\n{labels}"


def _base(result: Result) -> str:
    recipe, backbone = result.winner.recipe, result.backbone
    if KINDS.get(result.kind).features is None:
        blocks = int(recipe["model.unfrozen"])
        below = f" on an encoder with its last {formats.count(blocks, 'block')} fine-tuned" if blocks else ""
        return f"a network of type {formats.inert(str(recipe['model.name']))}{below}"
    if not backbone:
        return "a small network trained from scratch"
    name, stages = formats.inert(backbone.name), recipe["model.unfrozen"]
    return f"{name} with its last {stages} stages fine-tuned" if stages else f"a frozen {name}"


def _limit(result: Result) -> str:
    own = KINDS.get(result.kind).words
    if result.is_language_model:
        return ""
    unlike = f"{own.a_noun} unlike the training data"
    if result.is_regression:
        return f"It always predicts a number, even for {unlike}."
    return f"It always predicts one of its classes, even for {own.stranger or unlike}."
