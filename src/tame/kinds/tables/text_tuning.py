"""Fine-tuning of an encoder of texts: its last blocks are trained, with a linear head on all columns of a table."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.data.tables import Table
from tame.kinds.tables.row_encoder import RowEncoder
from tame.parts.encoders import TextEncoder, batches_of, padded, pooled_states, tokens_of
from tame.parts.mlp import Draws, Mlp
from tame.trial.commands import Fold
from tame.trial.memory_needs import FLOAT
from tame.trial.population import Examples, Group, Groups, Member, Task, stage_groups
from tame.trial.stacked import Stacked

KEPT_BYTES = 2**29  # of what the frozen blocks make of all texts: beyond it, they make it for each batch
TOGETHER = 8  # texts of about the same length that pass the trained blocks at once, so that little is filled up
HEAD_RATE = 2.0  # of the encoder's rate
PROBE = {  # the head that fine-tuning starts from
    "model.unfrozen": 0, "optimizer.name": "adamw", "optimizer.lr": 5e-3, "optimizer.weight_decay": 3e-2,
    "optimizer.momentum": 0.9, "schedule.name": "cosine", "schedule.warmup": 0.0, "epochs": 20, "batch_size": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class FlatTokens:
    """The tokens of different texts, one text after the other. ids: (T,) int32; counts: (K,) how many each has."""

    ids: Tensor
    counts: Tensor

    @classmethod
    def of(cls, encoder: TextEncoder, texts: Sequence[str], *, length: int, device: torch.device) -> FlatTokens:
        """length: tokens that are read of a text."""
        own = tokens_of(encoder, texts, length=length).ids
        ids = torch.from_numpy(np.fromiter((token for each in own for token in each), np.int32))
        return cls(ids.to(device), torch.tensor([len(each) for each in own], device=device))


class LowerStates:
    """What the frozen blocks of an encoder make of the tokens of different texts.

    It is kept where there is room, else made again for each batch. blocks: of the encoder, from the last on, that are
    trained; keeps: whether anything is kept; dtype: of products.
    """

    def __init__(
        self, encoder: TextEncoder, tokens: FlatTokens, *, blocks: int, keeps: bool, dtype: torch.dtype = torch.float32
    ) -> None:
        self._dtype = dtype
        # One more, without a token, for a text that is missing.
        self._counts = torch.cat([tokens.counts, tokens.counts.new_zeros(1)])
        self._starts = torch.cumsum(self._counts, dim=0) - self._counts
        self._ids = tokens.ids
        self._module = encoder.module.to(tokens.ids.device)
        self._layers = encoder.shape.num_hidden_layers - blocks
        fits = FLOAT * len(self._ids) * encoder.num_features <= KEPT_BYTES
        self._kept = self._all(tokens.counts.tolist(), encoder.num_features) if keeps and fits else None

    @torch.no_grad()
    def of(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors (n, L, D) of the tokens of these texts, and which are there (n, L). codes: (n,) numbers of texts,
        MISSING (which counts from the end) for none."""
        counts = self._counts[codes]
        places = torch.arange(max(1, int(counts.max())) if len(codes) else 1, device=codes.device)
        present = places < counts[:, None]
        places = (self._starts[codes][:, None] + places).clamp(max=max(len(self._ids) - 1, 0))
        if self._kept is not None:
            return self._kept[places] * present[..., None], present
        ids = self._ids[places].long() * present
        found = self._made(ids, present)
        return torch.where(present[..., None], found, 0.0), present  # of no token at all, a softmax is no number

    @torch.no_grad()
    def _all(self, counts: Sequence[int], width: int) -> Tensor:
        """(T, D) the vectors of all tokens, text after text."""
        found = torch.empty(len(self._ids), width, device=self._ids.device)
        for rows in batches_of(counts):
            own = [self._ids[self._starts[row] : self._starts[row] + counts[row]].tolist() for row in rows]
            states = self._made(*padded(own, device=self._ids.device))
            for row, each in zip(rows, states, strict=True):
                found[self._starts[row] : self._starts[row] + counts[row]] = each[: counts[row]]
        return found

    def _made(self, ids: Tensor, present: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            found: Tensor = self._module(ids, present, layers=self._layers).float()
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the features of texts are in an encoded row, and how they are centred and scaled there.

    starts: the first number of each column of text; shifts, scales: (C, D) and (C, 1).
    """

    starts: tuple[int, ...]
    shifts: Tensor
    scales: Tensor

    @classmethod
    def of(cls, encoder: RowEncoder, device: torch.device) -> Places:
        starts = np.cumsum([0, *(plan.width for plan in encoder.texts)])[:-1].tolist()
        shifts = torch.from_numpy(np.stack([_shift(plan.shift) for plan in encoder.texts]))
        scales = torch.tensor([[plan.scale] for plan in encoder.texts], dtype=torch.float32)
        return cls(tuple(starts), shifts.to(device), scales.to(device))

    def filled(self, rows: Tensor, vectors: Tensor, here: Tensor) -> Tensor:
        """Rows (B, W) with other features (B, C, D) of their texts; zeros where a text is missing. here: (B, C)."""
        own = (vectors - self.shifts) * self.scales * here[..., None]
        found = rows.clone()
        for place, start in enumerate(self.starts):
            found[:, start : start + own.shape[2]] = own[:, place]
        return found


class TunedTexts(nn.Module):
    """The last blocks of an encoder with a head on top: what fine-tuning trains."""

    takes_draws = True

    def __init__(self, upper: nn.ModuleList, head: Mlp, *, pooling: str, places: Places, width: int) -> None:
        """width: of an encoded row."""
        super().__init__()
        self.upper = upper
        self.head = head
        self.pooling = pooling
        self.places = places
        self.width = width

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """x: (B, P) as of `packed`. Returns (B, O)."""
        states, present, rows = self.unpacked(x)
        batch, columns, _, dim = states.shape
        vectors = self._vectors(states.flatten(0, 1), present.flatten(0, 1)).view(batch, columns, dim)
        found: Tensor = self.head(self.places.filled(rows, vectors, present.any(dim=2).to(vectors)), draws)
        return found

    def unpacked(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of tokens (B, C, L, D), which are there (B, C, L), and encoded rows (B, W)."""
        columns, dim = self.places.shifts.shape
        states, rows = x[:, : x.shape[1] - self.width], x[:, x.shape[1] - self.width :]
        cells = states.reshape(len(x), columns, -1, dim + 1)
        return cells[..., :dim], cells[..., dim] > 0, rows

    def _vectors(self, states: Tensor, present: Tensor) -> Tensor:
        """(n, D) features of texts, zeros of those without tokens, in groups of about the same length."""
        found = states.new_zeros(len(states), states.shape[2])
        counts = present.sum(dim=1)
        order = counts.argsort(stable=True)
        places, parts = order[counts[order] > 0], []
        for some in torch.split(places, TOGETHER) if len(places) else ():
            most = int(counts[some].max())
            own, here = states[some, :most], present[some, :most]
            for layer in self.upper:
                own = layer(own, here[:, None, None, :])
            parts.append(pooled_states(own.float(), here, self.pooling))
        return found.index_copy(0, places, torch.cat(parts)) if parts else found


@dataclass(frozen=True, slots=True, eq=False)
class TunedTask:
    """Fine-tuning of the last blocks of an encoder, and of a head on encoded rows.

    rows: (N, W) encoded, with the features of the encoder as it was; codes: (N, C) numbers of texts; lower: the frozen
    blocks, for each column of text; upper: those that are trained; heads: what the member of a fold starts from;
    encoder: of rows.
    """

    rows: Tensor
    codes: Tensor
    lower: tuple[LowerStates, ...]
    upper: nn.ModuleList
    pooling: str
    heads: Mapping[int | None, Mlp]
    encoder: RowEncoder
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 64
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        upper = copy.deepcopy(self.upper).requires_grad_(True)
        head = copy.deepcopy(self.heads[member.fold])
        places = Places.of(self.encoder, self.device)
        return TunedTexts(
            upper, head, pooling=self.pooling, places=places, width=self.rows.shape[1]
        ).to(self.device)  # fmt: skip

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        return self.views(recipe, rows)[0]

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        own = [each.of(self.codes[rows, place]) for place, each in enumerate(self.lower)]
        return [packed(own, self.rows[rows])]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        assert isinstance(module, TunedTexts)
        blocks = [list(block.named_parameters(prefix=str(place))) for place, block in enumerate(module.upper)]
        return [*stage_groups(blocks, recipe.model), Group(list(module.head.named_parameters()), HEAD_RATE)]


def packed(texts: Sequence[tuple[Tensor, Tensor]], rows: Tensor) -> Tensor:
    """One tensor (B, P) of the vectors of the tokens of all columns, which are there, and encoded rows, for engines
    that take one. texts: (B, L, D) and (B, L) of each column; they are filled up to the longest."""
    most = max(states.shape[1] for states, _ in texts)
    cells = [
        nn.functional.pad(torch.cat([states, present[..., None].to(states)], dim=2), (0, 0, 0, most - states.shape[1]))
        for states, present in texts
    ]
    return torch.cat([torch.stack(cells, dim=1).flatten(1), rows], dim=1)


class TextTuning:
    """Fine-tuning of the encoder of a table's texts. What its frozen blocks make of them, and the heads that it starts
    from, are made once."""

    def __init__(self, table: Table, encoder: TextEncoder, device: torch.device, *, dtype: torch.dtype) -> None:
        """dtype: of products, in training."""
        self._dtype = dtype
        self._table = table
        self._encoder = encoder
        self._device = device
        self._tokens: dict[int, list[FlatTokens]] = {}
        self._lower: dict[Hashable, tuple[LowerStates, ...]] = {}
        self._heads: dict[Hashable, Mlp] = {}

    def adds_bytes(self, recipe: Recipe, num_folds: int) -> int:
        """Of fine-tuning: what the frozen blocks made, the activations of a step, and the states of all folds."""
        shape, length, blocks = self._encoder.shape, recipe.input.length, recipe.model.unfrozen
        width, wide = shape.hidden_size, shape.intermediate_size
        tokens = sum(len(texts) for texts in self._table.texts.values()) * length  # at most
        batch = recipe.batch(self._table.num_rows) * len(self._table.texts) * length
        of_token = blocks * (8 * width + 2 * wide + 2 * shape.num_attention_heads * length)
        weights = blocks * (4 * width**2 + 2 * width * wide)
        return min(FLOAT * tokens * width, KEPT_BYTES) + FLOAT * (batch * of_token + weights * (4 + 3 * num_folds))

    def task(
        self, recipe: Recipe, rows: Sequence[int], fold: Fold, *, encoder: RowEncoder, x: Tensor, frozen: Task,
        rehearses: bool,
    ) -> TunedTask:  # fmt: skip
        """What is trained for the member of a fold.

        encoder: of rows, fitted for this fold; x: (N, W) these rows as it encodes them; frozen: of models on them;
        rehearses: whether no head is trained for it, and nothing is made in advance.
        """
        probe = recipe.but({**PROBE, "seed": recipe.seed})
        member, every, own = Member(-1, fold, probe), np.array(rows, dtype=np.int64), self._encoder
        codes = np.stack([self._table.values[name][every] for name in self._table.texts], axis=1)
        key = (probe, fold, hash(tuple(rows)))
        if rehearses:
            head = frozen.build(member)
            assert isinstance(head, Mlp)
        else:
            head = self._heads[key] = self._heads.get(key) or first_head(frozen, member)
        return TunedTask(
            rows=x, codes=torch.from_numpy(codes.astype(np.int64)).to(self._device),
            lower=self._below(recipe, rehearses=rehearses),
            upper=own.module.layers[len(own.module.layers) - recipe.model.unfrozen :], pooling=own.pooling,
            heads={fold: head}, encoder=encoder, examples=frozen.examples, device=self._device,
            autocast=None if self._dtype == torch.float32 else self._dtype,
        )  # fmt: skip

    def _below(self, recipe: Recipe, *, rehearses: bool) -> tuple[LowerStates, ...]:
        length, blocks = recipe.input.length, recipe.model.unfrozen
        key = (length, blocks, rehearses)
        if key not in self._lower:
            texts, own, device = self._table.texts.values(), self._encoder, self._device
            if length not in self._tokens:
                self._tokens = {length: [FlatTokens.of(own, each, length=length, device=device) for each in texts]}
            each = self._tokens[length]
            lower = (
                LowerStates(own, some, blocks=blocks, keeps=not rehearses, dtype=self._dtype) for some in each
            )  # fmt: skip
            self._lower = {key: tuple(lower)}
        return self._lower[key]


def first_head(task: Task, member: Member) -> Mlp:
    """The head that fine-tuning starts from, trained on the features of the frozen encoder.

    Source: Kumar et al., Fine-Tuning can Distort Pretrained Features (2022): probe first, then tune.
    """
    engine = Stacked(task)
    population = engine.advance(engine.start([member]), until=member.recipe.epochs, watch=lambda *_: None)
    found = engine.module(population, 0)
    assert isinstance(found, Mlp)
    return found


def _shift(shift: np.ndarray | None) -> np.ndarray:
    assert shift is not None, "features of an encoder have a centre"
    return shift
