"""The model card: what the delivered network is, in the form that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tame.evaluate import words


def model_card(result: Mapping[str, Any]) -> str:
    """The README.md of a model folder: what the network does, how good it is, how to use it. result: of a study."""
    score, backbone = result["score"], result["backbone"]
    data = PurePath(str(result["data"])).name
    # A JSON string is a YAML string too: what comes from file names stays data.
    front = [
        "---",
        "library_name: tame",
        f"license: {json.dumps((backbone or {}).get('license') or 'other')}",
        "tags: [image-classification]",
        "model-index:",
        f"- name: {json.dumps(data)}",
        "  results:",
        "  - task: {type: image-classification}",
        f"    dataset: {{name: {json.dumps(data)}, type: imagefolder, split: test}}",
        f"    metrics: [{{type: {result['metric']}, value: {score['value']:.6f}}}]",
        "---",
    ]
    base = f"a frozen {backbone['name']}" if backbone else "a small network from scratch"
    if result["winner"]["recipe"]["model.unfrozen"]:
        stages = result["winner"]["recipe"]["model.unfrozen"]
        base = f"{(backbone or {}).get('name')}, its last {stages} stages fine-tuned"
    labels = "\n".join(f"- {words.inert(name)}" for name in result["classes"])
    body = [
        f"# {words.inert(data)}",
        f"Tells {len(result['classes'])} classes of pictures apart with {base}, tuned by TAME:",
        labels,
        f"**{words.metric_name(result['metric'])} {score['value']:.3f}** ({words.span(score)}, 95 % interval, "
        f"n = {score['n']}), {score['how']}. {words.verdict(result).capitalize()}.",
        "Pictures are turned upright, made RGB, cropped to the central square and resized as `model.json` says. "
        "It always names one of its classes, also for a picture of something else.",
        "```\ntame predict MODEL_FOLDER photo.jpg\n```",
    ]
    return "\n".join(front) + "\n\n" + "\n\n".join(body) + "\n"
