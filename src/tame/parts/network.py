"""A trained network with everything that it needs to predict an example: it is scored, delivered and loaded again.

Its folder contains `model.safetensors` (all weights, including the backbone's), `model.json` (recipe, preprocessing,
labels) and `SHA256SUMS` (the hash of each file). It contains no code, and its hashes are verified before any is used.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tame.core.errors import RefusedError, UsageError, require
from tame.core.files import TEXT_BYTES, read_bytes, write_bytes, write_text
from tame.core.recipe import Recipe
from tame.core.sums import DESCRIPTION, SUMS, WEIGHTS, read_sums, sha256_of, write_sums
from tame.parts.encoders import TextEncoder, encoder_json, encoder_tensors, restored_encoder
from tame.parts.familiar import Familiar
from tame.parts.losses import LOSSES
from tame.parts.mlp import Mlp

if TYPE_CHECKING:
    from tame.parts.backbones import Backbone

SCHEMA = "tame-model/3"
# Of earlier versions: the first, which the weights' own header still says, has no SHA256SUMS; the second, no
# temperature and no further members, which it would leave out without a word.
UNPROVEN, OPENS = "tame-model/1", ("tame-model/1", "tame-model/2")
TIMES_AS_LARGE, SPARE_BYTES = 2, 64 * 2**20  # of what a module may allocate before its weights are loaded

Plain = Mapping[str, Any]  # JSON values

_WHICH = "give a study's folder or its model/ folder"


@dataclass(frozen=True, slots=True)
class Network:
    """A module with the preprocessing of its raw inputs.

    module: a head on a backbone, a network from scratch on pictures, or a model of tables or arrays. run: how to run
    the backbone (such as its precision). prepared, arrays: what was fitted on the training examples (for a table: its
    columns and their encoding; for a regression: the scale of the target), as plain values and as tensors.
    temperature: by which the logits of all members together are divided; others: networks that judge beside this one,
    each with a recipe and an encoding of its own. familiar: tells examples that are unlike those of the training, from
    what this network sees of them. texts: the frozen encoder of texts, where a member sees its features.
    """

    kind: str  # of the data
    task: str  # binary, multiclass or regression
    recipe: Recipe
    labels: tuple[str, ...]  # names of the classes; empty for a regression
    module: nn.Module
    backbone: Backbone | None = None
    run: Plain = field(default_factory=dict)
    shortest: int = 0  # pictures are first shrunk to this shorter side in pixels
    prepared: Plain = field(default_factory=dict)
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    note: str = ""  # to be said wherever it judges
    temperature: float = 1.0
    others: tuple[Network, ...] = ()
    familiar: Familiar | None = None
    texts: TextEncoder | None = None

    @property
    def members(self) -> tuple[Network, ...]:
        """All networks that judge together, this one first."""
        return (self, *self.others)

    def together(self, outputs: Sequence[Tensor]) -> Tensor:
        """Canonical outputs (n, C) of all members as one: logits whose softmax is the mean of theirs, at the
        temperature of the network; of a regression the mean of their numbers.

        outputs: of each member, as `in_units` gives them.
        """
        if not self.labels:
            return torch.stack(list(outputs)).mean(dim=0) if len(outputs) > 1 else outputs[0]
        found = outputs[0]
        if len(outputs) > 1:
            found = torch.stack([each.log_softmax(dim=1) for each in outputs]).logsumexp(dim=0) - math.log(len(outputs))
        return found if self.temperature == 1.0 else found / self.temperature

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
    prepared: Plain
    backbone: Backbone | None

    @property
    def num_outputs(self) -> int:
        return LOSSES.get(self.recipe.loss.name).num_outputs(len(self.labels))


Empty = Callable[[Described], nn.Module]  # builds a module with the shapes of the weights, with any values
Check = Callable[[Network], None]  # raises where what a folder describes is not what its kind of data needs


def write_network(network: Network, folder: Path) -> dict[str, str]:
    """Writes the model folder and returns the SHA-256 of each file. Raises OSError if the disk fails."""
    tensors = {f"module.{name}": value for name, value in network.module.state_dict().items()}
    if network.backbone is not None:
        tensors |= {f"backbone.{name}": value for name, value in network.backbone.module.state_dict().items()}
    tensors |= {f"prepared.{name}": value for name, value in network.arrays.items()}
    for number, other in enumerate(network.others):
        tensors |= {f"others.{number}.module.{name}": value for name, value in other.module.state_dict().items()}
        tensors |= {f"others.{number}.prepared.{name}": value for name, value in other.arrays.items()}
    if network.familiar is not None:
        tensors |= {f"familiar.{name}": value for name, value in network.familiar.tensors().items()}
    if network.texts is not None:
        tensors |= {f"texts.{name}": value for name, value in encoder_tensors(network.texts).items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = save(plain, metadata={"schema": UNPROVEN})
    digest = hashlib.sha256(content).hexdigest()
    about: dict[str, object] = {
        "schema": SCHEMA,
        "kind": network.kind,
        "task": network.task,
        "recipe": network.recipe.flat(),
        "labels": list(network.labels),
        "run": dict(network.run),
        "shortest": network.shortest,
        "prepared": dict(network.prepared),
        "weights": {"file": WEIGHTS, "sha256": digest, "size_bytes": len(content)},
        "backbone": None,
        "temperature": network.temperature,
        "familiar": None if network.familiar is None else network.familiar.to_json(),
        "others": [{"recipe": each.recipe.flat(), "prepared": dict(each.prepared)} for each in network.others],
    }
    if network.backbone is not None:
        own = network.backbone
        about["backbone"] = {"name": own.name, "digest": own.digest, "config": dict(own.config)}
    if network.texts is not None:
        about["texts"] = encoder_json(network.texts)
    text = json.dumps(about, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    # From here on the folder is sound again only once the hashes are written; a kill in between is delivered again.
    write_bytes(folder.parent, f"{folder.name}/{WEIGHTS}", content)
    write_text(folder.parent, f"{folder.name}/{DESCRIPTION}", text)
    files = {WEIGHTS: digest, DESCRIPTION: hashlib.sha256(text.encode()).hexdigest()}
    write_sums(folder, files)
    return files


def read_network(
    folder: Path, empty: Empty, *, files: Mapping[str, str] | None = None, check: Check | None = None
) -> Network:
    """The network of a model folder, ready to predict. empty: builds the module that the weights are loaded into.

    files: SHA-256 by name as the study's event holds them, where the folder is that of a study. check: of what was
    prepared, before anything is predicted with it.
    Raises UsageError where there is none or it does not fit together, RefusedError if a hash differs or the
    description asks for a larger network than there are weights for.
    """
    try:
        require((folder / DESCRIPTION).exists(), f"{folder} contains no {DESCRIPTION}; {_WHICH}")
        text = read_bytes(folder, DESCRIPTION, most=TEXT_BYTES)
        sums = read_sums(folder)
        for known, where in ((sums, SUMS), (files, "the study's record")):
            _require_same(folder, DESCRIPTION, hashlib.sha256(text).hexdigest(), known, where)
        about = json.loads(text)
        known_schema = about["schema"] in (SCHEMA, *OPENS)
        require(known_schema, f"{folder / DESCRIPTION} has format {about['schema']!r}; this TAME reads {SCHEMA}")
        if about["schema"] != UNPROVEN and sums is None:
            raise RefusedError(f"{folder} holds no {SUMS}, so nothing proves its {DESCRIPTION}: copy the whole folder")
        weights = folder / WEIGHTS
        require(weights.exists(), f"{folder} contains no {WEIGHTS}")
        digest = sha256_of(folder, WEIGHTS)
        for known, where in (({WEIGHTS: about["weights"]["sha256"]}, DESCRIPTION), (sums, SUMS), (files, "the study")):
            _require_same(folder, WEIGHTS, digest, known, where)
        network = _assembled(about, load_file(weights), folder, empty, note=_unproven(folder, sums, files))
        if check is not None:
            check(network)
        return network
    except (
        KeyError, TypeError, AttributeError, ValueError, RuntimeError, SafetensorError, OSError, OverflowError,
        MemoryError,
    ) as problem:  # fmt: skip
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise UsageError(f"{folder} is not a model folder that TAME can read: {reason}") from None


def _assembled(about: Plain, tensors: Mapping[str, Tensor], folder: Path, empty: Empty, *, note: str) -> Network:
    """The network that a description and its tensors hold."""
    labels = _labels(about)
    kind, temperature = str(about["kind"]), float(about.get("temperature", 1.0))
    require(0 < temperature < math.inf, f"its temperature is {temperature}, not a number above 0")
    with NoMoreThan(tensors, folder):
        backbone = None
        if about["backbone"] is not None:
            from tame.parts.backbones import build_backbone  # timm takes seconds to load; tables do not need it

            own = about["backbone"]
            backbone = build_backbone(
                own["config"], _part(tensors, "backbone."), name=str(own["name"]), digest=str(own["digest"])
            )

    def member(one: Plain, prefix: str) -> Network:
        recipe, prepared = Recipe.from_flat(one["recipe"]), _object(one, "prepared")
        with NoMoreThan(tensors, folder):
            module = empty(Described(kind, recipe, labels, prepared, backbone))
        weights = _part(tensors, f"{prefix}module.")
        require(not (apart := _apart(weights, module)), f"{folder} has weights of another module than this: {apart}")
        module.load_state_dict(weights)
        arrays = _part(tensors, f"{prefix}prepared.")
        found = Network(kind, str(about["task"]), recipe, labels, module.eval(), prepared=prepared, arrays=arrays)
        if found.task == "regression":
            require(bool(found.in_units(torch.zeros(1)).isfinite().all()), "the scale of its target is not finite")
        return found

    known, encoder = about.get("familiar"), about.get("texts")
    return replace(
        member(about, ""), backbone=backbone, run=_object(about, "run"), shortest=int(about["shortest"]), note=note,
        temperature=temperature,
        others=tuple(member(one, f"others.{number}.") for number, one in enumerate(about.get("others", ()))),
        familiar=None if known is None else Familiar.restore(known, _part(tensors, "familiar.")),
        texts=None if encoder is None else restored_encoder(encoder, _part(tensors, "texts."), where=str(folder)),
    )  # fmt: skip


def _object(about: Plain, name: str) -> Plain:
    found: Plain = about[name]
    require(isinstance(found, dict), f"its {name!r} is not a JSON object")
    return found


def _labels(about: Plain) -> tuple[str, ...]:
    """The names of the classes, each another; none of a regression."""
    told, task = about["labels"], about["task"]
    sound = isinstance(told, list) and all(isinstance(label, str) for label in told) and len(set(told)) == len(told)
    require(sound, "its labels are not a list of different texts")
    least = {"binary": 2, "multiclass": 2}.get(task, 0)
    require(len(told) >= least and (task != "regression" or not told), f"{len(told)} labels do not fit the task {task}")
    return tuple(told)


def _apart(weights: Mapping[str, Tensor], module: nn.Module) -> str:
    """Which weights have other names or shapes than those of a module, in words; empty if none."""
    file, made = ({k: str(list(v.shape)) for k, v in each.items()} for each in (weights, module.state_dict()))
    absent = "not there"
    names = [name for name in dict.fromkeys((*file, *made)) if file.get(name) != made.get(name)]
    some = [f"{name} is {file.get(name, absent)} in the file and {made.get(name, absent)} here" for name in names[:3]]
    return "; ".join([*some, *([f"{len(names) - 3} more"] if len(names) > 3 else [])])


class NoMoreThan(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it holds, new tensors are refused beyond the size of the weights that they are made for.

    A description of a few bytes could otherwise ask for any amount of memory: modules allocate, and fill, what they
    are told before their weights can be compared with those in the file. Raises RefusedError.
    """

    def __init__(self, weights: Mapping[str, Tensor], folder: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._size_bytes = sum(value.numel() * value.element_size() for value in weights.values())
        self._folder = folder
        self._made_bytes = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Plain | None = None,
    ) -> Any:  # fmt: skip
        made = func(*args, **(kwargs or {}))
        # What is made of other tensors is about as large as these; what is made of nothing is as large as it is told.
        if isinstance(made, Tensor) and not any(isinstance(each, Tensor) for each in args):
            self._made_bytes += made.numel() * made.element_size()
            most = TIMES_AS_LARGE * self._size_bytes + SPARE_BYTES
            if self._made_bytes > most:
                held = f"{self._size_bytes / 1e6:.1f} MB of weights"
                raise RefusedError(f"{self._folder} holds {held}, but its {DESCRIPTION} describes a larger network")
        return made


def _require_same(folder: Path, name: str, digest: str, known: Mapping[str, str] | None, where: str) -> None:
    """Raises RefusedError unless the hash is the one that is known, or none is."""
    if known is not None and known.get(name) != digest:
        raise RefusedError(f"{folder / name} is not the file that {where} describes: its hash differs")


def _unproven(folder: Path, sums: Mapping[str, str] | None, files: Mapping[str, str] | None) -> str:
    if sums is not None or files is not None:
        return ""
    return f"{folder} was written by an earlier TAME: no hash covers its {DESCRIPTION}, so its labels are taken as read"


def plain_head(head: Mlp, *, shift: Tensor, scale: Tensor) -> Mlp:
    """A head on plain features, from one that was trained on (features - shift) x scale. shift: (D,); scale: () or
    (D,)."""
    own = copy.deepcopy(head).cpu().eval()
    first = own.body[0] if len(own.body) else own.out
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight.mul_(scale.cpu())
        first.bias.sub_(first.weight @ shift.cpu())
    return own


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
