"""Text that a language model writes: token by token, by seed and temperature, from a cache of keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tame.core.errors import require
from tame.parts.llama import Cache, Llama, Product, plain_product

TEMPERATURES = (1e-3, 1e3)  # below, the likeliest token is drawn anyway; beyond, all are about alike


@torch.no_grad()
def generate(
    model: Llama, prompt: Sequence[int], *, tokens: int, temperature: float, seed: int,
    product: Product = plain_product,
) -> Iterator[int]:  # fmt: skip
    """The tokens that follow a prompt, one after the other, up to so many or the one that ends a text.

    temperature: by which logits are divided; 0 takes the likeliest token. The same seed draws the same. product: as of
    `Llama`, of one member. Raises UsageError for a prompt that is empty or longer than the model's context leaves room
    for.
    """
    require(bool(prompt), "the prompt has no tokens; give at least a word")
    low, high = TEMPERATURES
    good = temperature == 0 or low <= temperature <= high
    require(good, f"the temperature must be 0, or between {low:g} and {high:g}, got {temperature:g}")
    require(0 <= seed < 2**63, f"the seed must be 0 or more and below 2**63, got {seed}")
    context = model.config.max_position_embeddings
    asked = f"the prompt has {len(prompt):,} tokens, and {tokens:,} more are asked for"
    require(len(prompt) + tokens <= context, f"{asked}, but the model sees {context:,} at once: shorten one of them")
    chance, cache = torch.Generator().manual_seed(seed), Cache()
    device = model.weights()["model.norm.weight"].device
    seen = torch.tensor([list(prompt)], dtype=torch.int64, device=device)
    for _ in range(tokens):
        logits = model(seen, product=product, cache=cache, last=True)[0, 0, -1]
        drawn = _drawn(logits, temperature, chance)
        if drawn == model.config.eos_token_id:
            return
        yield drawn
        seen = torch.tensor([[drawn]], dtype=torch.int64, device=device)


def _drawn(logits: Tensor, temperature: float, chance: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    # On the CPU, in double precision: the same draws on every device.
    shares = torch.softmax(logits.double().cpu() / temperature, dim=-1)
    return int(torch.multinomial(shares, 1, generator=chance))
