"""The state of a plain optimizer as named tensors, and back, so that a checkpoint needs no pickle.

A name is the path to a value and its type: "state/3/exp_avg/tensor" of parameter 3, "group/0/weight_sum/float" of group
0, "shared/k/tensor" of no parameter. Lists, tuples and dicts have their own entry before their contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from tame.core.errors import UsageError, require

_NUMBERS: dict[type, torch.dtype] = {bool: torch.bool, int: torch.int64, float: torch.float64}
_NUMBER_KINDS = {kind.__name__: kind for kind in _NUMBERS}
_HOST = "host"  # a tensor that stays on the CPU although its parameter does not
_CPU = torch.device("cpu")

Way = tuple[str, ...]
Entries = dict[Way, tuple[str, Tensor]]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of the optimizer's state: everything that it keeps per parameter, and what has changed in its groups.

    The initial values of a group (weight decay, betas) are left to the recipe; numbers and tensors that have changed or
    were added since are kept.
    Raises UsageError if the state contains anything but numbers, tensors, and lists, tuples or dicts of these.
    """
    found: dict[str, Tensor] = {}
    own, shared = _remembered(optimizer)
    tree: dict[str, Any] = {"state": own, "group": _changed_in_groups(optimizer), "shared": shared}
    devices = _devices(optimizer)
    entries = (entry for room, value in tree.items() for entry in _flat(value, (room,), devices=devices))
    for way, kind, tensor in entries:
        require(kind != "", f"{type(optimizer).__name__} has a value in {'.'.join(way)} that no checkpoint can hold")
        require(all("/" not in key for key in way), f"{type(optimizer).__name__} has a key with a slash: {way}")
        found["/".join((*way, kind))] = tensor
    return found


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Loads the state from `optimizer_tensors` into an optimizer of the same kind, groups and parameters.

    Its next steps are then bit-identical. Does not use `load_state_dict`, which casts to the parameters' type.
    Raises UsageError for a parameter or group that it does not have.
    """
    entries = {tuple(name.split("/")[:-1]): (name.rsplit("/", 1)[-1], tensor) for name, tensor in tensors.items()}
    tree = _grown(entries, devices=_devices(optimizer))
    params = _params(optimizer)
    for room, places in (("state", len(params)), ("group", len(optimizer.param_groups))):
        strange = [key for key in tree[room] if int(key) >= places]
        kind = type(optimizer).__name__
        require(not strange, f"the checkpoint has {room} {', '.join(strange)}; this {kind} has only {places}")
    optimizer.state.clear()
    optimizer.state.update({params[int(key)]: value for key, value in tree["state"].items()})
    optimizer.state.update(tree["shared"])
    for number, group in enumerate(optimizer.param_groups):
        group.update({key: value for key, value in optimizer.defaults.items() if _fits(value)})
        group.update(tree["group"].get(str(number), {}))


def _params(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def _remembered(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state of each parameter, by its number, and the state under other keys, for all of them."""
    params = _params(optimizer)
    own = {str(i): dict(optimizer.state[param]) for i, param in enumerate(params) if param in optimizer.state}
    words: Mapping[Any, Any] = optimizer.state  # contrary to torch's types, some also keep values under text keys
    return own, {key: value for key, value in words.items() if isinstance(key, str)}


def _changed_in_groups(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {
        str(number): {
            key: value
            for key, value in group.items()
            if key not in ("params", "param_names") and _fits(value) and not _as_made(optimizer, key, value)
        }
        for number, group in enumerate(optimizer.param_groups)
    }


def _as_made(optimizer: torch.optim.Optimizer, key: str, value: Any) -> bool:
    if key not in optimizer.defaults:
        return False
    made = optimizer.defaults[key]
    if isinstance(made, Tensor) or isinstance(value, Tensor):
        return made is value
    return type(made) is type(value) and bool(made == value)


def _fits(value: Any) -> bool:
    return all(kind != "" for _, kind, _ in _flat(value, (), devices={}))


def _devices(optimizer: torch.optim.Optimizer) -> dict[Way, torch.device]:
    """The device of the tensors of each parameter and group, by the first two parts of their path."""
    found: dict[Way, torch.device] = {
        ("state", str(number)): param.device for number, param in enumerate(_params(optimizer))
    }
    for number, group in enumerate(optimizer.param_groups):
        found["group", str(number)] = group["params"][0].device if group["params"] else _CPU
    return found


def _flat(value: Any, way: Way, *, devices: Mapping[Way, torch.device]) -> Iterator[tuple[Way, str, Tensor]]:
    """Path, kind and tensor of the value and of its contents; the kind is "" if no tensor can hold it."""
    empty = torch.zeros((), dtype=torch.int64)
    if isinstance(value, Tensor):
        stays = value.device.type == "cpu" and devices.get(way[:2], _CPU).type != "cpu"
        yield way, _HOST if stays else "tensor", value.detach().clone()
    elif value is None:
        yield way, "none", empty
    elif type(value) in _NUMBERS:
        yield way, type(value).__name__, torch.tensor(value, dtype=_NUMBERS[type(value)])
    elif type(value) is dict and all(isinstance(key, str) for key in value):
        yield way, "dict", empty
        for key, inner in value.items():
            yield from _flat(inner, (*way, key), devices=devices)
    elif type(value) in (list, tuple):
        yield way, type(value).__name__, torch.tensor(len(value))
        for place, inner in enumerate(value):
            yield from _flat(inner, (*way, str(place)), devices=devices)
    else:
        yield way, "", empty


def _grown(entries: Entries, *, devices: Mapping[Way, torch.device]) -> Any:
    """The inverse of `_flat`. Raises UsageError if the entries are not those of an optimizer."""
    inside: dict[Way, list[str]] = {}
    for way in entries:
        inside.setdefault(way[:-1], []).append(way[-1])

    def value(way: Way) -> Any:
        kind, tensor = entries[way]
        if kind == "none":
            return None
        if kind in _NUMBER_KINDS:
            return _NUMBER_KINDS[kind](tensor.item())
        if kind == "dict":
            return {key: value((*way, key)) for key in inside.get(way, [])}
        if kind in ("list", "tuple"):
            items = [value((*way, str(place))) for place in range(int(tensor))]
            return items if kind == "list" else tuple(items)
        return tensor.detach().clone().to(_CPU if kind == _HOST else devices.get(way[:2], _CPU))

    try:
        return {room: value((room,)) for room in ("state", "group", "shared")}
    except KeyError as error:
        raise UsageError(f"the tensors of the optimizer are incomplete: {error} is missing") from None
