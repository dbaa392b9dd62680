"""Pretrained backbones from timm: loaded safely, split into a frozen and a trained part."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from tame.core.config import AUTO, NONE
from tame.core.errors import RefusedError, StorageError, UsageError, require, unknown
from tame.core.files import write_bytes
from tame.parts.embedded import EMBEDDED, Embedded, content_of
from tame.parts.stages import MOST_POOLED, Staged, pooled_widths

MOST_PIXELS = 1024  # on one side of a network's input
LEAST_STD = 1e-3
KEPT = "backbones"  # the cache's folder of embedded networks
UNSAFE_WEIGHTS = (".bin", ".pth", ".pt", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network that turns pictures into features, with the preprocessing that its weights expect.

    module: (B, 3, S, S) normalised pictures to (B, D) features; digest: of the weights; stages: paths of the blocks
    that fine-tuning may unfreeze, first to last (empty if the network cannot be split); pooled: channels of the last of
    these whose maps may be averaged to further features, first to last.
    """

    name: str
    module: nn.Module
    config: Mapping[str, Any]  # architecture and preprocessing, as in timm's config.json
    digest: str
    num_features: int
    stages: tuple[str, ...]
    pooled: tuple[int, ...] = ()

    def width(self, pooled: int) -> int:
        """The number of features with so many of the last stages averaged beside the network's own."""
        return self.num_features + sum(self.pooled[len(self.pooled) - pooled :])

    def staged(self) -> nn.Module:
        """The network that gives all its features, the stages' first: the last `width(n)` are those with n stages."""
        if not self.pooled:
            return self.module
        return Staged(self.module, _units(self.module), self.stages[-len(self.pooled) :])

    @property
    def size(self) -> int:
        """The side in pixels of the pictures that the weights were trained on."""
        return int(self.config["input_size"][-1])

    @property
    def fixed_size(self) -> bool:
        """Whether the network accepts only that size."""
        return bool(self.config.get("fixed_input_size", False))


def open_backbone(name: str, *, cache: Path | None = None) -> Backbone:
    """The backbone of a name: embedded, a folder in timm's local-dir format, or timm's (weights downloaded once).

    cache: where the weights of an embedded one are kept. Raises UsageError for an unknown name (with the nearest one),
    for an invalid weights folder, if the package of an embedded network is missing, and if weights cannot be
    downloaded; RefusedError if the only weights would have to be unpickled, or are not those that are known.
    """
    if name in EMBEDDED:
        return _open_embedded(name, cache)
    if Path(name).expanduser().is_dir():
        return _open_folder(Path(name).expanduser())
    looks_like_path = "/" in name and not name.startswith("hf-hub:")
    require(not looks_like_path, f"no weights folder {name!r}; give a folder with config.json and model.safetensors")
    known = timm.list_models(pretrained=True)
    base = name.split(".")[0]
    if name not in known and base not in {each.split(".")[0] for each in known}:
        raise UsageError(unknown_backbone(name, known))
    return _open_named(name)


def build_backbone(config: Mapping[str, object], weights: Mapping[str, Tensor], *, name: str, digest: str) -> Backbone:
    """The backbone of a config and its weights. Raises UsageError if the weights do not fit the architecture."""
    architecture = str(config.get("architecture", ""))
    require(timm.is_model(architecture), f"{name}: timm has no architecture {architecture!r}")
    _check_preprocessing(config, name)
    module = timm.create_model(architecture, pretrained=False, num_classes=0)
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in weights]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or wrong:
        what = f"{missing[0]!r} is missing" if missing else f"{wrong[0]!r} has shape {tuple(weights[wrong[0]].shape)}"
        raise UsageError(f"{name}: the weights do not fit {architecture}: {what} ({len(missing) + len(wrong)} in all)")
    module.load_state_dict({key: weights[key] for key in wanted})
    module.requires_grad_(False).eval()
    features = int(getattr(module, "head_hidden_size", module.num_features))  # type: ignore[arg-type]
    full = {**timm_defaults(module), **config}
    stages = _stages(module)
    pooled = pooled_widths(module, _units(module), stages[-MOST_POOLED:], _probe()) if stages else ()
    return Backbone(name, module, full, digest, features, stages, pooled)


def _check_preprocessing(config: Mapping[str, object], name: str) -> None:
    """Raises UsageError if TAME cannot apply the preprocessing of a config."""

    def three(key: str, low: float, high: float) -> bool:
        values = config.get(key, (high, high, high))
        return isinstance(values, list | tuple) and len(values) == 3 and all(_within(v, low, high) for v in values)

    require(three("input_size", 1, MOST_PIXELS), f"{name}: input_size must be 3 numbers of at most {MOST_PIXELS}")
    require(three("mean", -1, 1), f"{name}: mean must be 3 numbers from -1 to 1")
    require(three("std", LEAST_STD, 1), f"{name}: std must be 3 numbers above 0 and at most 1")
    require(_within(config.get("crop_pct", 1), 0.1, 1), f"{name}: crop_pct must be 0.1 to 1")


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def timm_defaults(module: nn.Module) -> dict[str, object]:
    """The part of timm's preprocessing for an architecture that TAME uses."""
    found = dict(getattr(module, "pretrained_cfg", {}) or {})
    keys = ("input_size", "fixed_input_size", "interpolation", "crop_pct", "mean", "std", "license", "tag")
    return {key: found[key] for key in keys if found.get(key) is not None}


def unknown_backbone(name: str, known: list[str]) -> str:
    """The message for an unknown backbone; timm's full list is too long to print."""
    text = unknown("backbone", name, {AUTO, NONE, *EMBEDDED, *(each.split(".")[0] for each in known)})
    hint = text.split(" (known:")[0]
    own = ", ".join(EMBEDDED)
    return f"{hint}; give {AUTO}, {own}, any timm name, a folder with config.json and model.safetensors, or {NONE}"


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors by name, in whatever format they were stored."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(name.encode())
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


def cut(backbone: Backbone, unfrozen: int) -> tuple[nn.Module, nn.Module]:
    """The network split where training starts: upper(lower(x)) equals the whole network on x.

    unfrozen: how many of the last stages are trained. Both are copies. Raises UsageError if it cannot be split there.
    """
    limit = len(backbone.stages)
    require(1 <= unfrozen <= limit, f"{backbone.name} has {limit} stages that can be unfrozen, not {unfrozen}")
    first = backbone.stages[limit - unfrozen]
    lower, upper = copy.deepcopy(backbone.module), copy.deepcopy(backbone.module)
    units = _units(backbone.module)
    place = units.index(first)
    for path in units[place:]:
        lower.set_submodule(path, nn.Identity())
    for path in units[:place]:
        upper.set_submodule(path, nn.Identity())
    return _Trunk(lower), upper


class _Trunk(nn.Module):
    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, S, S) to the feature maps (B, C, H, W) that the trained part starts from."""
        return self.whole.forward_features(x)  # type: ignore[operator, no-any-return]


def _units(module: nn.Module) -> list[str]:
    """Paths of the parts of `forward_features`, in order of execution: children, with stacks of blocks expanded."""
    paths: list[str] = []
    for name, child in module.named_children():
        if name in ("blocks", "stages") and isinstance(child, nn.Sequential):
            paths += [f"{name}.{index}" for index in range(len(child))]
        elif name in ("global_pool", "head", "fc", "classifier"):
            break
        else:
            paths.append(name)
    return paths


def _stages(module: nn.Module) -> tuple[str, ...]:
    """The blocks that may be unfrozen. That splitting there is exact is tested, not assumed."""
    names = [
        p for p in _units(module) if p.startswith(("blocks.", "stages.", "layer")) or p in ("s1", "s2", "s3", "s4")
    ]
    if len(names) < 2:
        return ()
    probe = Backbone("probe", module, {}, "", 0, tuple(names))
    x = _probe()
    try:
        lower, upper = cut(probe, 1)
        with torch.no_grad():
            same = torch.allclose(upper(lower(x)), module(x), rtol=1e-4, atol=1e-5)
    except (RuntimeError, AttributeError, AssertionError, TypeError, ValueError):
        return ()  # not a chain of parts, or this size is not accepted: frozen features only
    return tuple(names) if same else ()


def _probe() -> Tensor:
    return torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


def _open_embedded(name: str, cache: Path | None) -> Backbone:
    own = EMBEDDED[name]
    weights = None if cache is None else _kept(own, cache)
    if weights is None:
        weights = _unpacked(name, own)
        if cache is not None:
            _keep(own, weights, cache)
    config = {
        "architecture": own.architecture, "input_size": [3, own.pixels, own.pixels], "crop_pct": own.crop,
        "interpolation": "bicubic", "mean": [127 / 255] * 3, "std": [128 / 255] * 3, "license": "apache-2.0",
    }  # fmt: skip
    return build_backbone(config, weights, name=own.name, digest=own.digest)


def _unpacked(name: str, own: Embedded) -> dict[str, Tensor]:
    """The tensors in the file of a package, by timm's names. Their order is the same; shapes and digest prove it."""
    content = io.BytesIO(content_of(name))  # proved before a byte of it is parsed
    inside = torch.load(content, weights_only=True, map_location="cpu")
    tensors = [value.contiguous() for value in inside.values()]
    wanted = timm.create_model(own.architecture, pretrained=False).state_dict()
    fit = [a.shape for a in tensors] == [b.shape for b in wanted.values()]
    weights = dict(zip(wanted, tensors, strict=False))
    if not fit or digest_of(weights) != own.digest:
        raise RefusedError(
            f"timm {timm.__version__} has the tensors of {own.architecture} in another order than {own.package}; "
            f"install timm as TAME was tested with it, or name another network with --backbone"
        )
    return weights


def _kept(own: Embedded, cache: Path) -> dict[str, Tensor] | None:
    """The weights of an embedded network from the cache; None where they are not there or not the right ones."""
    try:
        weights = load((cache / KEPT / _kept_name(own)).read_bytes())
    except (OSError, SafetensorError):
        return None
    return weights if digest_of(weights) == own.digest else None


def _keep(own: Embedded, weights: Mapping[str, Tensor], cache: Path) -> None:
    try:
        (cache / KEPT).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(cache / KEPT, _kept_name(own), save(dict(weights)))
    except OSError as problem:
        raise StorageError(f"cannot write to the cache {cache / KEPT}: {problem.strerror}") from None


def _kept_name(own: Embedded) -> str:
    return f"{own.architecture}-{own.digest[:16]}.safetensors"


def _open_folder(folder: Path) -> Backbone:
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    require(config_path.is_file(), f"{folder} has no config.json; a weights folder must be in timm's local-dir format")
    if not weights_path.is_file():
        unsafe = [each.name for each in sorted(folder.iterdir()) if each.suffix in UNSAFE_WEIGHTS]
        if unsafe:
            raise RefusedError(
                f"{folder / unsafe[0]} would have to be unpickled, which can run code; give model.safetensors"
            )
        raise UsageError(f"{folder} has no model.safetensors")
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it does not contain an object")
    except (ValueError, OSError) as problem:
        raise UsageError(f"{config_path} cannot be read: {problem}") from None
    nested = config.pop("pretrained_cfg", {})
    config = {**(nested if isinstance(nested, dict) else {}), **config}
    try:
        weights = load_file(weights_path)
        digest = hashlib.sha256(weights_path.read_bytes()).hexdigest()
    except (SafetensorError, OSError) as problem:
        raise UsageError(f"{weights_path} cannot be read: {problem}") from None
    return build_backbone(config, weights, name=folder.name, digest=digest)


def _open_named(name: str) -> Backbone:
    # Slow to load, and needed only here.
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

    pretrained = timm.get_pretrained_cfg(name)
    repository = getattr(pretrained, "hf_hub_id", None)
    require(
        bool(repository), f"{name} has no weights to download; give a folder with config.json and model.safetensors"
    )
    assert pretrained is not None
    repository = repository if "/" in str(repository) and not str(repository).endswith("/") else f"timm/{name}"
    try:
        cached = try_to_load_from_cache(str(repository), "model.safetensors")
        if not isinstance(cached, str):
            # The hub's client retries for half a minute; a failed name lookup shows at once that there is no network.
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
            cached = hf_hub_download(str(repository), "model.safetensors")
        path = Path(cached)
        weights = load_file(path)
    except (
        Exception
    ) as problem:  # the hub raises the errors of its transport: all of them mean that the download failed
        reason = str(problem).strip().splitlines()[0][:120] if str(problem).strip() else type(problem).__name__
        advice = "without a network, give a weights folder with --backbone FOLDER, or --backbone none"
        raise UsageError(f"the weights of {name} could not be downloaded ({reason}); {advice}") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    config = {"architecture": name.split(".")[0], **timm_defaults_of(pretrained)}
    return build_backbone(config, weights, name=name, digest=digest)


def timm_defaults_of(pretrained: object) -> dict[str, object]:
    """The part of a timm pretrained config that TAME uses."""
    keys = ("input_size", "fixed_input_size", "interpolation", "crop_pct", "mean", "std", "license", "tag")
    return {key: getattr(pretrained, key) for key in keys if getattr(pretrained, key, None) is not None}
