"""Judging arrays with a module of the user's own: for scores, for parity checks and for `Study.predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import TameError, UsageError, require
from tame.data.own_inputs import read_own_inputs
from tame.kinds.arrays.modules import make_module
from tame.kinds.last_inputs import last_inputs, whole
from tame.kinds.prediction import Predicted, Prediction, Told, distances
from tame.parts.losses import LOSSES
from tame.parts.network import Build, Described, Network
from tame.trial.draws import same_chance
from tame.trial.own_module import words_of

JUDGED = 256  # examples at once
KEPT = 16  # examples whose outputs a model keeps, so that whoever loads it knows whether it is still the same
KEPT_BYTES = 2**20  # of these examples; of larger ones fewer are kept, at least two
INPUTS, OUTPUTS = "probe.inputs", "probe.outputs"  # of these examples, among the arrays of a network
APART = {"cpu": 3e-4, "cuda": 1e-2}  # of the largest output, that rounding comes to between machines


def empty_network(described: Described, build: Build | None) -> nn.Module:
    """What the user's function makes. Raises UsageError where it fails."""
    require(
        build is not None,
        "this network was built by a function of your own: tame.load(folder, model=build).predict(X)",
    )
    assert build is not None
    with same_chance(described.recipe.seed, "build"):
        return make_module(build, described.recipe.own)


def judge_arrays(network: Network, x: np.ndarray, *, device: torch.device) -> Tensor:
    """Canonical outputs (n, C) of inputs (n, ...)."""
    return looked_at(network, x, device=device)[0]


@torch.no_grad()
def looked_at(network: Network, x: np.ndarray, *, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """As `judge_arrays`, with what the last linear layer is given of each, (n, D); None where that is no vector."""
    shape = tuple(network.prepared["shape"])
    require(x.shape[1:] == shape, f"inputs are {x.shape[1:]} each, the network was trained on {shape}")
    module = network.module.to(device).eval()
    predict = LOSSES.get(network.recipe.loss.name).predict
    found, seen = [], []
    with last_inputs(module) as taken:
        for start in range(0, len(x), JUDGED):
            some = as_input(x[start : start + JUDGED], device)
            found.append(predict(answers(module, some)).float().cpu())
            seen.append(taken(len(some)))
    own = torch.cat(found) if found else torch.zeros(0, max(len(network.labels), 1))
    return network.together([network.in_units(own)]), whole(seen)


def answers(module: nn.Module, x: Tensor) -> Tensor:
    """What a module says of x, which nobody has looked at. Raises UsageError where it fails."""
    try:
        with torch.no_grad():
            said: Tensor = module(x)
            return said
    except (TameError, KeyboardInterrupt):  # Ctrl-C, once or twice
        raise
    except BaseException as problem:  # as above
        shape = tuple(x.shape)
        raise UsageError(f"the model failed on inputs {shape}: {words_of(problem)}") from problem


def probe(module: nn.Module, x: np.ndarray, device: torch.device) -> Mapping[str, Tensor]:
    """A few examples and what the module says of them, for `verify`. x: (N, ...) as `as_input` takes it."""
    size = max(1, x[:1].nbytes)
    most = min(len(x), KEPT, max(2, KEPT_BYTES // size))
    rows = np.linspace(0, len(x) - 1, most).astype(np.int64)
    some = np.ascontiguousarray(x[rows])
    if some.dtype.kind in "iu" and some.dtype != np.uint8:
        some = some.astype(np.int64)
    outputs = answers(module.to(device).eval(), as_input(some, device))
    return {INPUTS: torch.from_numpy(some.copy()), OUTPUTS: outputs.detach().cpu()}


def verify(network: Network) -> None:
    """Nothing, where the module says of the examples kept with it what the trained one said. Raises UsageError.

    The user's function may have made another module than it did for the training, with weights of the same shapes: it
    may read a global, a file or the environment.
    """
    if INPUTS not in network.arrays:
        return  # of a study from before these were kept
    wanted = network.arrays[OUTPUTS].double()
    found = answers(network.module.eval(), as_input(network.arrays[INPUTS].numpy(), torch.device("cpu"))).double()
    within = APART[str(network.prepared.get("device", "cpu"))]
    if tuple(found.shape) == tuple(wanted.shape):
        finite = wanted.isfinite()
        same = torch.equal(finite, found.isfinite())
        size = float(wanted[finite].abs().max()) if bool(finite.any()) else 0.0
        apart = float((found - wanted)[finite].abs().max()) if same and bool(finite.any()) else 0.0
        if same and apart <= within * size:
            return
        said = f"outputs {_shown(found)} instead of {_shown(wanted)}"
    else:
        said = f"outputs of shape {tuple(found.shape)} instead of {tuple(wanted.shape)}"
    raise UsageError(
        f"the model's function makes another model now than for the training: with the same weights and inputs, {said}"
        ". Set what it depends on (globals, files, environment variables, arguments) as it was for the training"
    )


def _shown(outputs: Tensor) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in outputs[0].flatten()[:4].tolist()) + ")"


def as_input(x: np.ndarray, device: torch.device) -> Tensor:
    """What a module is given: whole numbers as int64, bytes (pictures) as shares of 255, all else as float32.

    Arrays that were kept as float64, since float32 would lose their digits, come as float64.
    """
    array = np.require(x, requirements=("C", "W"))  # torch warns of memory that it may not write
    if array.dtype == np.uint8:
        return torch.from_numpy(array).to(device).float() / 255
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64)).to(device)
    if array.dtype == np.float64:
        return torch.from_numpy(array).to(device)
    return torch.from_numpy(array.astype(np.float32)).to(device)


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """Nothing: arrays are given from Python."""
    raise UsageError(f"this model judges {network.kind}, not tables")


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """What a network says of an array or frame."""
    array, _ = read_own_inputs(x, like=np.dtype(str(network.prepared["dtype"])))
    outputs, seen = looked_at(network, array, device=torch.device("cpu"))
    return Told(outputs.double().numpy(), distances(network, seen))


def own_module(network: Network) -> nn.Module:
    """The user's own module with its trained weights and its own keys, which takes raw examples.

    Hooks read what it is given as `predict` does, and give its outputs in canonical form.
    """
    module, target = network.module, network.prepared.get("target") or {"scale": 1.0, "shift": 0.0}
    scale = None if network.labels else (float(target["scale"]), float(target["shift"]))
    # The first of all, before one that makes the input float64.
    module.register_forward_pre_hook(partial(_read, str(network.prepared["dtype"])), prepend=True)
    module.register_forward_hook(partial(_told, network.recipe.loss.name, scale, network.temperature))
    return module


def _read(dtype: str, module: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...] | None:
    """Raw examples as the module sees them; floating-point tensors are taken to be that already."""
    if len(inputs) != 1:
        return None
    [x] = inputs
    like = next(module.parameters())
    if isinstance(x, Tensor) and x.is_floating_point():
        return (x.to(like.device, torch.float64 if dtype == "float64" else torch.float32),)
    return (as_input(read_own_inputs(x, like=np.dtype(dtype))[0], like.device),)


def _told(
    loss: str, scale: tuple[float, float] | None, temperature: float, module: nn.Module, _: object, outputs: Tensor
) -> Tensor:
    """Canonical outputs: logits, or numbers in units of the target."""
    found = LOSSES.get(loss).predict(outputs)
    if scale is None:
        return found if temperature == 1.0 else found / temperature
    return found.double() * scale[0] + scale[1]


PREDICTION = Prediction(empty=empty_network, of_paths=of_paths, of_inputs=of_inputs, verify=verify, module=own_module)
