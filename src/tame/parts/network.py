"""A trained network with everything it needs to judge a picture: what is scored, delivered and loaded again.

The folder holds `model.safetensors` (all weights, the backbone's too) and `model.json` (recipe, preprocessing, labels,
hashes). Nothing in it is code, and its hashes are verified before a weight is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tame.core.errors import RefusedError, UsageError, require
from tame.core.recipe import Recipe
from tame.parts.backbones import Backbone, build_backbone
from tame.parts.models import MODELS, Head

SCHEMA = "tame-model/1"


@dataclass(frozen=True, slots=True)
class Network:
    """backbone and head, or a network from scratch. run: how the backbone is run (precision and the like)."""

    recipe: Recipe
    labels: tuple[str, ...]
    backbone: Backbone | None
    module: nn.Module  # the head, or the network from scratch
    run: Mapping[str, Any]
    shortest: int  # pixels of the shorter side that pictures are shrunk to before anything else


def write_network(network: Network, folder: Path) -> dict[str, str]:
    """Writes the model folder and returns the SHA-256 of each file. Raises OSError where the disk fails."""
    tensors = {f"module.{name}": value for name, value in network.module.state_dict().items()}
    if network.backbone is not None:
        tensors |= {f"backbone.{name}": value for name, value in network.backbone.module.state_dict().items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    weights = folder / "model.safetensors"
    temporary = folder / ".model.safetensors.tmp"
    save_file(plain, temporary, metadata={"schema": SCHEMA})
    os.chmod(temporary, 0o600)
    _sync(temporary)
    os.replace(temporary, weights)
    digest = _sha256(weights)
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "recipe": network.recipe.flat(),
        "labels": list(network.labels),
        "run": dict(network.run),
        "shortest": network.shortest,
        "weights": {"file": weights.name, "sha256": digest, "size_bytes": weights.stat().st_size},
        "backbone": None,
    }
    if network.backbone is not None:
        own = network.backbone
        about["backbone"] = {"name": own.name, "digest": own.digest, "config": dict(own.config)}
    text = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    description = folder / "model.json"
    draft = folder / ".model.json.tmp"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, description)
    return {weights.name: digest, description.name: _sha256(description)}


def read_network(folder: Path) -> Network:
    """The network of a model folder, ready to judge.

    Raises UsageError where there is none or it does not fit together, RefusedError where a hash differs.
    """
    description = folder / "model.json"
    require(description.is_file(), f"{folder} holds no model.json; give a study's folder or its model/ folder")
    try:
        about = json.loads(description.read_text(encoding="utf-8"))
        require(about["schema"] == SCHEMA, f"{description} is of format {about['schema']!r}; this TAME reads {SCHEMA}")
        weights = folder / "model.safetensors"
        require(weights.is_file(), f"{folder} holds no model.safetensors")
        if _sha256(weights) != about["weights"]["sha256"]:
            raise RefusedError(f"{weights} is not the file that {description.name} describes: its hash differs")
        tensors = load_file(weights)
        recipe = Recipe.from_flat(about["recipe"])
        labels = tuple(str(label) for label in about["labels"])
        backbone = None
        if about["backbone"] is not None:
            own = about["backbone"]
            backbone = build_backbone(
                own["config"], _part(tensors, "backbone."), name=str(own["name"]), digest=str(own["digest"])
            )
        module = _empty(recipe, len(labels), backbone)
        module.load_state_dict(_part(tensors, "module."))
        return Network(recipe, labels, backbone, module.eval(), about["run"], int(about["shortest"]))
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, SafetensorError, OSError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise UsageError(f"{folder} is not a model folder that TAME can read: {reason}") from None


def plain_head(params: Mapping[str, Tensor], *, shift: Tensor, scale: Tensor) -> Head:
    """A head on plain features from one that was trained on (features - shift) x scale. shift: (D,); scale: ()."""
    first = "mid" if "mid.weight" in params else "out"
    own = {name: value.detach().cpu().clone() for name, value in params.items()}
    own[f"{first}.weight"] = own[f"{first}.weight"] * scale.cpu()
    own[f"{first}.bias"] = own[f"{first}.bias"] - own[f"{first}.weight"] @ shift.cpu()
    hidden = own["mid.weight"].shape[0] if first == "mid" else 0
    head = Head(own[f"{first}.weight"].shape[1], own["out.bias"].shape[0], hidden=hidden)
    head.load_state_dict(own)
    return head.eval()


def _empty(recipe: Recipe, num_classes: int, backbone: Backbone | None) -> nn.Module:
    if backbone is None:
        return MODELS.get(recipe.model.name)(recipe.model, num_classes)
    return Head(backbone.num_features, num_classes, hidden=recipe.model.hidden, dropout=recipe.model.dropout)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
