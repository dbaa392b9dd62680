"""A trained network with everything that it needs to predict an example: it is scored, delivered and loaded again.

Its folder contains `model.safetensors` (all weights, including the backbone's) and `model.json` (recipe, preprocessing,
labels, hashes). It contains no code, and its hashes are verified before any weight is used.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tame.core.errors import RefusedError, UsageError, require
from tame.core.recipe import Recipe
from tame.parts.losses import LOSSES
from tame.parts.mlp import Mlp

if TYPE_CHECKING:
    from tame.parts.backbones import Backbone

SCHEMA = "tame-model/1"


@dataclass(frozen=True, slots=True)
class Network:
    """A module with the preprocessing of its raw inputs.

    module: a head on a backbone, a network from scratch on pictures, or a model of tables or arrays. run: how to run
    the backbone (such as its precision). prepared, arrays: what was fitted on the training examples (for a table: its
    columns and their encoding; for a regression: the scale of the target), as plain values and as tensors.
    """

    kind: str  # of the data
    task: str  # binary, multiclass or regression
    recipe: Recipe
    labels: tuple[str, ...]  # names of the classes; empty for a regression
    module: nn.Module
    backbone: Backbone | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    shortest: int = 0  # pictures are first shrunk to this shorter side in pixels
    prepared: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Tensor] = field(default_factory=dict)

    def in_units(self, outputs: Tensor) -> Tensor:
        """Canonical outputs (n, C) of a regression in the units of the data; those of a classification unchanged.

        Numbers become float64: if their mean is far larger than their spread (seconds since 1970), float32 would round
        them.
        """
        if self.labels:
            return outputs
        target = self.prepared["target"]
        return outputs.double() * float(target["scale"]) + float(target["shift"])


Build = Callable[..., nn.Module]  # the user's function that builds a module from its own hyperparameters


@dataclass(frozen=True, slots=True)
class Described:
    """What a model folder says about its network, before there is a module to load the weights into."""

    kind: str
    recipe: Recipe
    labels: tuple[str, ...]
    prepared: Mapping[str, Any]
    backbone: Backbone | None

    @property
    def num_outputs(self) -> int:
        return LOSSES.get(self.recipe.loss.name).num_outputs(len(self.labels))


Empty = Callable[[Described], nn.Module]  # builds a module with the shapes of the weights, with any values


def write_network(network: Network, folder: Path) -> dict[str, str]:
    """Writes the model folder and returns the SHA-256 of each file. Raises OSError if the disk fails."""
    tensors = {f"module.{name}": value for name, value in network.module.state_dict().items()}
    if network.backbone is not None:
        tensors |= {f"backbone.{name}": value for name, value in network.backbone.module.state_dict().items()}
    tensors |= {f"prepared.{name}": value for name, value in network.arrays.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    weights = folder / "model.safetensors"
    temporary = folder / ".model.safetensors.tmp"
    save_file(plain, temporary, metadata={"schema": SCHEMA})
    os.chmod(temporary, 0o600)
    _sync(temporary)
    os.replace(temporary, weights)
    digest = _sha256(weights)
    about: dict[str, object] = {
        "schema": SCHEMA,
        "kind": network.kind,
        "task": network.task,
        "recipe": network.recipe.flat(),
        "labels": list(network.labels),
        "run": dict(network.run),
        "shortest": network.shortest,
        "prepared": dict(network.prepared),
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


def read_network(folder: Path, empty: Empty) -> Network:
    """The network of a model folder, ready to predict. empty: builds the module that the weights are loaded into.

    Raises UsageError if there is none or its parts do not fit together, RefusedError if a hash differs.
    """
    description = folder / "model.json"
    require(description.is_file(), f"{folder} contains no model.json; give a study's folder or its model/ folder")
    try:
        about = json.loads(description.read_text(encoding="utf-8"))
        require(about["schema"] == SCHEMA, f"{description} has format {about['schema']!r}; this TAME reads {SCHEMA}")
        weights = folder / "model.safetensors"
        require(weights.is_file(), f"{folder} contains no model.safetensors")
        if _sha256(weights) != about["weights"]["sha256"]:
            raise RefusedError(f"{weights} is not the file that {description.name} describes: its hash differs")
        tensors = load_file(weights)
        recipe = Recipe.from_flat(about["recipe"])
        labels = tuple(str(label) for label in about["labels"])
        backbone = None
        if about["backbone"] is not None:
            from tame.parts.backbones import build_backbone  # timm takes seconds to load, and tables do not need it

            own = about["backbone"]
            backbone = build_backbone(
                own["config"], _part(tensors, "backbone."), name=str(own["name"]), digest=str(own["digest"])
            )
        kind, prepared = str(about["kind"]), about["prepared"]
        module = empty(Described(kind, recipe, labels, prepared, backbone))
        module.load_state_dict(_part(tensors, "module."))
        return Network(
            kind, str(about["task"]), recipe, labels, module.eval(), backbone, about["run"], int(about["shortest"]),
            prepared, _part(tensors, "prepared."),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, SafetensorError, OSError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise UsageError(f"{folder} is not a model folder that TAME can read: {reason}") from None


def plain_head(head: Mlp, *, shift: Tensor, scale: Tensor) -> Mlp:
    """A head on plain features, from one that was trained on (features - shift) x scale. shift: (D,); scale: ()."""
    own = copy.deepcopy(head).cpu().eval()
    first = own.body[0] if len(own.body) else own.out
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight.mul_(scale.cpu())
        first.bias.sub_(first.weight @ shift.cpu())
    return own


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
