"""Hand-written gradients of all members of a group of multi-layer perceptrons.

A step of small networks is a series of short calls, and autograd makes three of each. Products, norms, relu and
dropout, which are most of them, are differentiated by hand; other activations and embeddings piecewise by autograd.
`Mlp.stacked` is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.parts.activations import relu
from tame.parts.kernels import played_back
from tame.parts.mlp import Draws, Mlp, kept
from tame.parts.products import product

Tensors = Mapping[str, Tensor]
Slopes = Callable[[Tensor], dict[str, Tensor]]
_native_layer_norm_back = torch.ops.aten.native_layer_norm_backward
_gated = torch.ops.aten.threshold_backward  # (values, by, 0): the values where `by` is above 0 or NaN, otherwise 0


def is_by_hand(module: Mlp) -> bool:
    """Whether no part of a step needs autograd."""
    return module.activation is relu and not module.columns.embedding_width


@torch.no_grad()
def outputs_and_slopes(
    module: Mlp, params: Tensors, buffers: Tensors, x: Tensor,
    *, dropout: Tensor | None, draws: Draws, mine: Tensor | None = None, half: bool = False,
) -> tuple[Tensor, Slopes]:  # fmt: skip
    """Outputs (M, B, O) of a training step, as `Mlp.stacked`, and the function from their gradient to the parameters'.

    params, buffers: as in the module's `state_dict`, each with a leading M; the rest as in `Mlp.stacked`. The function
    may be called once; gradients come in the order of the backward pass. Autograd sees nothing of this.
    half: products between hidden layers use numbers rounded to bfloat16, summed in float32; inputs, outputs and
    everything that is not a product keep their type.
    """
    tensors, members = {**params, **buffers}, params["out.weight"].shape[0]
    first = _First.of(module, tensors, x if x.ndim == 3 else x.expand(members, -1, -1))
    layers: list[_Layer] = []
    rate = None if dropout is None else dropout[:, None, None]
    scale = None if rate is None else 1 / (1 - rate)
    rounded = Tensor.bfloat16 if half else _as_it_is
    h: Tensor | None = None
    for i in range(len(module.body)):
        name, inputs = f"body.{i}", None if h is None else rounded(h)
        z = first.product(tensors, name) if inputs is None else _product(tensors, name, inputs)
        chance = None if rate is None else kept(draws(z.shape[2]).to(z.dtype), rate, scale)
        layer = _Layer.of(module, tensors, i, z, chance, inputs=inputs, mine=mine)
        layers.append(layer)
        h = layer.output if h is None or not module.residual else h + layer.output
    outputs = first.product(tensors, "out") if h is None else _product(tensors, "out", h)

    @torch.no_grad()
    def slopes(of_outputs: Tensor) -> dict[str, Tensor]:
        if h is None:
            return first.slopes(tensors, "out", of_outputs)
        found = {"out.weight": product(of_outputs.transpose(1, 2), h), "out.bias": of_outputs.sum(dim=1)}
        of_h = product(of_outputs, tensors["out.weight"])
        for i, layer in reversed(list(enumerate(layers))):
            of_z, of_norm = layer.back(of_h)
            found |= of_norm
            if layer.inputs is None:
                return found | first.slopes(tensors, f"body.{i}", of_z)
            if f"body.{i}.bias" in tensors:
                found[f"body.{i}.bias"] = of_z.sum(dim=1)
            of_z = rounded(of_z)
            found[f"body.{i}.weight"] = product(of_z.transpose(1, 2), layer.inputs)
            weight = tensors[f"body.{i}.weight"]
            of_h = product(of_z, weight, of_h if module.residual else None)
        return found

    return outputs, slopes


@dataclass(frozen=True, slots=True)
class _First:
    """The inputs of the first layer: plain ones (M, B, D), and embeddings (M, B, L), which depend on `leaves`."""

    plain: Tensor
    embedded: Tensor | None
    leaves: dict[str, Tensor]

    @classmethod
    def of(cls, module: Mlp, tensors: Tensors, x: Tensor) -> _First:
        if not module.columns.embedding_width:
            return cls(x, None, {})
        leaves = {name: tensors[name].detach().requires_grad_() for name in module.embedding_names()}
        with torch.enable_grad():
            embedded = module.embedded({**tensors, **leaves}, x)
        return cls(x[..., : module.columns.dense], embedded, leaves)

    def product(self, tensors: Tensors, name: str) -> Tensor:
        """The output (M, B, W) of the first layer, which has that name."""
        z = _product(tensors, name, self.plain)
        if self.embedded is None:
            return z
        return product(self.embedded, tensors[f"{name}.weight"][:, :, self.plain.shape[2] :].transpose(1, 2), z)

    def slopes(self, tensors: Tensors, name: str, of_z: Tensor) -> dict[str, Tensor]:
        """Gradients of that layer and of the embeddings before it."""
        found, turned = {}, of_z.transpose(1, 2)
        weight = product(turned, self.plain)
        if self.embedded is not None:
            weight = torch.cat([weight, product(turned, self.embedded)], dim=2)
            of_embedded = product(of_z, tensors[f"{name}.weight"][:, :, self.plain.shape[2] :])
            given = torch.autograd.grad(self.embedded, list(self.leaves.values()), of_embedded)
            found = dict(zip(self.leaves, given, strict=True))
        found[f"{name}.weight"] = weight
        if f"{name}.bias" in tensors:
            found[f"{name}.bias"] = of_z.sum(dim=1)
        return found


@dataclass(frozen=True, slots=True)
class _Layer:
    """A hidden layer after its product: its output (M, B, W), and the backward pass to product and norm."""

    inputs: Tensor | None  # None: those of the network
    output: Tensor
    back: Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]

    @classmethod
    def of(
        cls, module: Mlp, tensors: Tensors, i: int, z: Tensor, chance: Tensor | None,
        *, inputs: Tensor | None, mine: Tensor | None,
    ) -> _Layer:  # fmt: skip
        """z: the product, changed in place; chance: the multiplier of dropout, changed in place too."""
        y, back_norm = _normed(module, tensors, i, z, mine=mine)
        output, back_bend = _bent(module, y, chance)
        return cls(inputs, output, lambda of_output: back_norm(back_bend(of_output)))


def _bent(module: Mlp, y: Tensor, chance: Tensor | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Activation and dropout of y, which is changed in place, and the backward pass to y."""
    if module.activation is relu:
        if chance is None:
            output = y.relu_()
            return output, lambda of_output: _gated(of_output, output, 0)
        gate = _gated(chance, y, 0)  # relu and dropout are one factor
        return y.mul_(gate), lambda of_output: gate.mul_(of_output)
    leaf = y.detach().requires_grad_()
    with torch.enable_grad():
        bent = module.activation(leaf)

    def back(of_output: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(bent, leaf, of_output if chance is None else chance * of_output)
        return found

    return bent.detach() if chance is None else bent.detach() * chance, back


def _normed(
    module: Mlp, tensors: Tensors, i: int, z: Tensor, *, mine: Tensor | None
) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]]:
    """The norm of layer i on z, which is changed in place, and the backward pass to z and the norm."""
    if module.norm == "none":
        return z, lambda of_y: (of_y, {})
    names = f"norms.{i}.weight", f"norms.{i}.bias"
    scale, shift = (tensors[name][:, None] for name in names)
    if module.norm == "layer":
        hat, mean, over = torch.native_layer_norm(z, z.shape[-1:], None, None, module.eps(i))
    else:
        mean, spread, share = module.statistics(tensors, i, z, training=True, mine=mine)
        over = (spread + module.eps(i)).rsqrt()
        hat = (z - mean).mul_(over)

    def back(of_y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        of_scale, of_shift = (of_y * hat).sum(dim=1), of_y.sum(dim=1)
        of_hat = of_y * scale
        if module.norm == "layer":
            of_z = _layer_norm_back(of_hat, z, module.widths[i], mean, over)
        elif share is None:
            of_z = of_hat.mul_(over)
        else:  # the mean and the spread depend on z too
            about = torch.addcmul(scale * of_shift[:, None], hat, scale * of_scale[:, None])
            of_z = of_hat.sub_(about.mul_(share)).mul_(over)
        return of_z, dict(zip(names, (of_scale, of_shift), strict=True))

    return torch.addcmul(shift, hat, scale), back


def _layer_norm_back(of_hat: Tensor, z: Tensor, width: int, mean: Tensor, over: Tensor) -> Tensor:
    """The gradient of z from that of the standardised z; mean and over = 1 / deviation: of the forward pass."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # which knows this call from its own language only
        found: Tensor = played_back().layer_norm_back(of_hat, z, width, mean, over)
        return found
    some: Tensor = _native_layer_norm_back(of_hat, z, [width], mean, over, None, None, [True, False, False])[0]
    return some


def _as_it_is(h: Tensor) -> Tensor:
    return h


def _product(tensors: Tensors, name: str, h: Tensor) -> Tensor:
    """(M, B, I) to (M, B, O) with the first I columns of that layer's weight."""
    weight, bias = tensors[f"{name}.weight"][:, :, : h.shape[2]].transpose(1, 2), tensors.get(f"{name}.bias")
    return product(h, weight, None if bias is None else bias.unsqueeze(1))
