"""A tiny language model of letters, trained on a text about everyday things and adapted to contracts, in seconds.

Its figures are measured when they are asked for: how well it foretells passages that it is not trained on.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import require, unknown
from tame.core.recipe import AdapterRecipe, OptimizerRecipe
from tame.core.rng import stream, stream_seed
from tame.kinds.language.telling import other_text
from tame.parts.adapters import Adapted, nats
from tame.parts.generation import generate
from tame.parts.llama import Llama, LlamaConfig, plain_product
from tame.parts.optimizers import plain_optimizer

TOKENS, BATCH = 48, 12  # letters of a block, and blocks of a step
STEPS, EACH, RATE = 400, 20, 4e-3  # of the training on everyday text, done in parts
HELD_OUT = 8  # every eighth block is judged on
WAYS = ("all weights", "adapters")
RATES = {"all weights": 1e-3, "adapters": 1e-2}  # the usual ones
MOST_STEPS, MOST_FACTOR = 200, 100.0
RANK = 4
WRITTEN, TEMPERATURE = 140, 0.6  # letters that are written
OPENINGS = ("The ", "In the ", "Every ")
CONTRACTS = 90  # sentences
WHO = ("tenant", "landlord", "licensee", "licensor", "buyer", "seller", "agent", "company")
WHAT = ("the fee", "the rent", "the deposit", "the costs", "all taxes", "the price", "the damages")
WHEN = ("within thirty days", "on the first day of each month", "without delay", "upon written notice", "in advance")
CLAUSES = (
    "The {who} shall pay {what} to the {other} {when}.",
    "The {who} shall not assign this agreement without the written consent of the {other}.",
    "If the {who} fails to pay {what} {when}, the {other} may terminate this agreement.",
    "The {who} shall keep confidential all information received from the {other} under this agreement.",
    "The {other} shall be liable to the {who} for {what} arising out of this agreement.",
    "This agreement shall be governed by the laws of the country in which the {who} has its seat.",
    "Any notice to the {who} shall be given in writing and delivered {when}.",
)


def contracts(*, seed: int = 0) -> str:
    """Sentences as contracts have them, drawn from clauses that were written for the lesson."""
    rng = stream(seed, "lesson", "contracts")
    found = []
    for _ in range(CONTRACTS):
        who, other = (WHO[place] for place in rng.permutation(len(WHO))[:2])
        what, when, clause = (own[int(rng.integers(len(own)))] for own in (WHAT, WHEN, CLAUSES))
        found.append(clause.format(who=who, other=other, what=what, when=when))
    return " ".join(found)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in blocks (n, T + 1) of letters: those that are trained on, and those that are judged on."""

    train: Tensor
    held: Tensor


@dataclass(frozen=True, slots=True)
class Bits:
    """How many bits each letter of both texts costs; fewer is better."""

    everyday: float
    contracts: float


@dataclass(frozen=True, slots=True)
class AdaptedTo:
    """The model after it was adapted. num_trained: numbers that were trained; written: what it writes."""

    bits: Bits
    num_trained: int
    written: tuple[str, ...]


class Letters:
    """The tiny model, its texts, and how far it is trained. steps: of the training on everyday text."""

    def __init__(self, *, steps: int = STEPS) -> None:
        self.steps = steps
        texts = " ".join(other_text().split()), contracts()
        self._letters = ("\0", "\1", "\2", *sorted(set("".join(texts))))  # the first three begin and end texts
        self._codes = {letter: code for code, letter in enumerate(self._letters)}
        self.everyday, self.contracts = (self._blocks(text) for text in texts)
        config = LlamaConfig(
            vocab_size=len(self._letters), hidden_size=64, intermediate_size=160, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=4, head_dim=16, max_position_embeddings=256,
            tie_word_embeddings=True,
        )  # fmt: skip
        self.model = _drawn(config)
        self.num_done = 0
        self._optimizer = plain_optimizer(
            list(self.model.requires_grad_(True).named_parameters()), OptimizerRecipe(name="adam", lr=RATE)
        )

    @property
    def is_done(self) -> bool:
        """Whether the training on everyday text is over."""
        return self.num_done >= self.steps

    @property
    def num_weights(self) -> int:
        return sum(each.numel() for each in self.model.parameters())

    def advance(self) -> None:
        """A part of the training on everyday text."""
        for step in range(self.num_done, min(self.num_done + EACH, self.steps)):
            for group in self._optimizer.param_groups:
                group["lr"] = RATE * (1 - step / self.steps)
            _step(self.model, self._optimizer, _some(self.everyday.train, step))
        self.num_done = min(self.num_done + EACH, self.steps)

    def finish(self) -> None:
        """All of it that is left."""
        while not self.is_done:
            self.advance()

    @cached_property
    def before(self) -> AdaptedTo:
        """What the model is before it is adapted."""
        self.finish()
        return AdaptedTo(self.bits(self.model), self.num_weights, self.write(self.model))

    def adapt(self, way: str, *, factor: float, steps: int) -> AdaptedTo:
        """The model adapted to the contracts. factor: of the usual rate of this way. Raises UsageError."""
        require(way in WAYS, unknown("way to adapt", way, WAYS))
        good = math.isfinite(factor) and 1 / MOST_FACTOR <= factor <= MOST_FACTOR
        require(good, f"a rate is {1 / MOST_FACTOR:g} to {MOST_FACTOR:g} times the usual one, got {factor}")
        require(1 <= steps <= MOST_STEPS, f"1 to {MOST_STEPS} steps can be made, got {steps}")
        self.finish()
        recipe = OptimizerRecipe(name="adam", lr=RATES[way] * factor, weight_decay=0.0)
        module: nn.Module
        if way == "adapters":
            self.model.requires_grad_(False)
            own = AdapterRecipe(name="lora", rank=RANK, alpha=2 * RANK, matrices="all")
            module = Adapted(self.model, own, length=TOKENS, dropout=0.0, seed=0)
            num_trained = module.num_trained()
        else:
            module = copy.deepcopy(self.model).requires_grad_(True)
            num_trained = self.num_weights
        optimizer = plain_optimizer(list(module.named_parameters()), recipe)
        for step in range(steps):
            _step(module, optimizer, _some(self.contracts.train, step))
        merged = module.merge() if isinstance(module, Adapted) else module
        assert isinstance(merged, Llama)
        return AdaptedTo(self.bits(merged), num_trained, self.write(merged))

    def bits(self, model: Llama) -> Bits:
        """What each letter of the passages that are judged costs."""
        with torch.no_grad():
            each = [float(_lost(model, own.held)) / math.log(2) for own in (self.everyday, self.contracts)]
        return Bits(*each)

    @torch.no_grad()
    def write(self, model: Llama) -> tuple[str, ...]:
        """What a model writes after each of some openings."""
        found = []
        for number, opening in enumerate(OPENINGS):
            prompt = [self._codes[letter] for letter in opening]
            seed = stream_seed(number, "lesson", "written")
            ids = generate(model, prompt, tokens=WRITTEN, temperature=TEMPERATURE, seed=seed)
            found.append(opening + "".join(self._letters[code] for code in ids if code > 2))
        return tuple(found)

    def _blocks(self, text: str) -> Text:
        ids = torch.tensor([self._codes[letter] for letter in text])
        every = ids.unfold(0, TOKENS + 1, TOKENS)
        held = torch.arange(len(every)) % HELD_OUT == HELD_OUT - 1
        trained = set(map(tuple, every[~held].tolist()))  # clauses of contracts come again, also letter by letter
        return Text(every[~held], torch.stack([own for own in every[held] if tuple(own.tolist()) not in trained]))


def _drawn(config: LlamaConfig) -> Llama:
    """A model with small random weights."""
    model, chance = Llama(config), torch.Generator().manual_seed(stream_seed(0, "lesson", "letters"))
    with torch.no_grad():
        for name, value in model.named_parameters():
            own = torch.ones(value.shape) if "norm" in name else 0.06 * torch.randn(value.shape, generator=chance)
            value.copy_(own)
    return model


def _some(blocks: Tensor, step: int) -> Tensor:
    """The blocks of a step: an order for each turn through all of them."""
    each = max(1, len(blocks) // BATCH)
    order = stream(step // each, "lesson", "letters").permutation(len(blocks))
    place = step % each * BATCH
    return blocks[torch.from_numpy(np.ascontiguousarray(order[place : place + BATCH]))]


def _lost(module: nn.Module, blocks: Tensor) -> Tensor:
    """Nats for each letter that is foretold."""
    if isinstance(module, Adapted):
        counted = torch.full((len(blocks), 1), blocks.shape[1] - 1)
        bits: Tensor = module(torch.cat([blocks, counted], dim=1))
        return bits.mean() * math.log(2)
    assert isinstance(module, Llama)
    return nats(module, blocks, plain_product).mean() / (blocks.shape[1] - 1)


def _step(module: nn.Module, optimizer: torch.optim.Optimizer, blocks: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(_lost(module, blocks))
    optimizer.step()
