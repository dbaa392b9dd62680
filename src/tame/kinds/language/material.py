"""Texts and a frozen language model in the process that trains."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import StorageError, WorkerError, require
from tame.core.evaluation import LanguageAnswers
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.sources import TEXT_COLUMNS, open_columns, texts_of
from tame.data.texts import read_text
from tame.kinds.language import commands
from tame.kinds.language.commands import Asked, Given, Layout, Opened, Passages, Speed, SpeedAsked
from tame.kinds.language.prediction import empty_network, tokenizer_of
from tame.kinds.language.telling import OPENING, Models, tell
from tame.parts.adapters import ADAPTERS, AT_ONCE, Adapted, half_product, halved, nats
from tame.parts.llama import LanguageModel, Llama, open_language_model, plain_product
from tame.parts.mlp import num_weights
from tame.parts.network import Network, read_network
from tame.parts.products import has_half
from tame.parts.tokenizer import Tokenizer, Tokens, in_blocks
from tame.trial.commands import Fold, Plain
from tame.trial.measurements import recall, remember
from tame.trial.population import Examples, Group, Groups, Member, Task
from tame.trial.training_material import Room, Trained, need_pictures, not_asked

QUESTIONS = ("layout", "passages", "speed", "told")
PARITY = 1e-4  # bits per character, that merging adapters may change
PROBED = 2  # blocks that parity is proved on
MOST_SHARED = 20_000_000  # numbers of a base that members share on a processor
STEPS, LONG_S = 3, 2.0  # that the speed is measured in, and after how many seconds no more of them
TRIED, AGREES = 128, 0.01  # tokens that bfloat16 is tried on, and the share by which their loss may differ


@dataclass(frozen=True, slots=True)
class TextTask:
    """Adapters beside a frozen model. half: as of `Adapted`; train: (n, T + 2) blocks of the texts that are trained on,
    in shuffled order, as `Adapted` takes them; passages: (N - slots, T + 2) those that are judged; rows: of the
    examples, in the data.

    An epoch takes the next `slots` blocks of `train`.
    """

    base: Llama
    half: Mapping[str, Tensor]
    train: Tensor
    passages: Tensor
    slots: int
    rows: Tensor
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = AT_ONCE
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        own = member.recipe
        return Adapted(
            self.base, own.adapter, length=own.input.length, dropout=own.model.dropout, seed=own.seed, half=self.half
        ).to(self.device)  # fmt: skip

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        places = self.rows[rows.cpu()]
        whole = ((epoch - 1) * self.slots + places) % len(self.train)
        return self.train[whole].to(self.device)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [self.passages[self.rows[rows.cpu()] - self.slots].to(self.device)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group(list(module.named_parameters()))]


class TextMaterial:
    """Texts in tokens, and the model that is adapted to them."""

    kind = commands.LANGUAGE_MODEL

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, given: Given, room: Room) -> None:
        # Where the products of the base take all the time, members gain nothing from company, and trying it costs much.
        self._is_large = sum(each.numel() for each in model.module.parameters()) > MOST_SHARED
        large = room.device.type == "cpu" and self._is_large
        self.reason = "the base is so large that a processor gains nothing from several adapters at once" * large
        self._half: Mapping[str, Tensor] | None = None
        self.model = model
        self.tokenizer = tokenizer
        self.device = room.device
        self.given = given
        self._room = room
        self._base = model.module.to(room.device)
        self._texts = self._tokenized()
        self._layout: Layout | None = None
        self._train = torch.zeros(0, 0)
        self._passages = torch.zeros(0, 0)

    def _tokenized(self) -> list[Tokens]:
        found = []
        for number, text in enumerate(self._contents()):
            found.append(self.tokenizer.encode(text))
            self._room.say("texts split into tokens", number + 1, len(self.given.parts))
        return found

    def _contents(self) -> Iterable[str]:
        """All texts, as they are read."""
        given = self.given
        return texts_of(open_columns(Path(given.kept), TEXT_COLUMNS)) if given.kept else map(_content, given.paths)

    def opened(self) -> Opened:
        """What is known of the model and the texts."""
        counts = tuple(len(each.ids) for each in self._texts)
        strange = sum(self.tokenizer.unknown(each.ids) for each in self._texts)
        return Opened(
            name=self.model.name, digest=self.model.digest, device=self.device.type,
            parameters=sum(value.numel() for value in self._base.parameters()),
            context=self.model.config.max_position_embeddings, tokens=counts,
            characters=tuple(int(each.characters.sum()) for each in self._texts),
            unknown=strange / max(sum(counts), 1),
        )  # fmt: skip

    # Questions -------------------------------------------------------------------------------------------------------

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        what = f"{question!r} of texts"
        if question == "layout":
            self._lay_out(from_plain(Layout, given, what=what, error=WorkerError))
            return {}
        if question == "passages":
            return _plain(self._judged())
        if question == "speed":
            return _plain(self._speed(from_plain(SpeedAsked, given, what=what, error=WorkerError).length))
        if question == "told":
            asked = from_plain(Asked, given, what=what, error=WorkerError)
            return _plain(self._told(asked))
        raise not_asked(question, "texts", QUESTIONS)

    def _told(self, asked: Asked) -> LanguageAnswers:
        """What the delivered model does, beside the base."""
        network = self.read(Path(asked.model))
        assert isinstance(network.module, Llama)
        models = Models(before=self._base, after=network.module.to(self.device))
        sealed = self.rows_of(asked.rows)
        opening = self._of_part("val")
        return tell(
            models, self.tokenizer, asked, self._bits, foretold=int((sealed[:, 1:-1] >= 0).sum()),
            characters=int(sealed[:, -1].sum()), block=self._laid_out().block, trained=int(network.prepared["trained"]),
            seen=[text for text, part in zip(self._contents(), self.given.parts, strict=True) if part == "train"],
            openings=[self.tokenizer.decode(each.ids[:OPENING].tolist()) for each in opening],
        )  # fmt: skip

    def _of_part(self, part: str) -> list[Tokens]:
        return [each for each, own in zip(self._texts, self.given.parts, strict=True) if own == part]

    def _lay_out(self, layout: Layout) -> None:
        """Makes blocks of all texts that are trained on, in shuffled order, and passages of those that are judged."""
        self._layout = layout
        own = self._of_part("train")
        order = stream(layout.seed, "texts").permutation(len(own))
        ids, characters = zip(*(self._whole(own[number]) for number in order), strict=True)
        blocks = in_blocks(np.concatenate(ids), np.concatenate(characters), layout.block)
        self._train = torch.from_numpy(blocks[stream(layout.seed, "blocks").permutation(len(blocks))])
        parted: dict[int, np.ndarray] = {}
        found = []
        for text, number in layout.passages:
            if text not in parted:
                parted = {text: in_blocks(*self._whole(self._texts[text]), layout.block)}
            found.append(parted[text][number])
        self._passages = torch.from_numpy(np.stack(found))

    def _whole(self, text: Tokens) -> tuple[np.ndarray, np.ndarray]:
        """A text between the tokens that begin and end it: the model also learns where it ends."""
        config = self.model.config
        ids = np.concatenate([[config.bos_token_id], text.ids, [config.eos_token_id]]).astype(np.int64)
        return ids, np.concatenate([[0], text.characters, [0]]).astype(np.int64)

    def _judged(self) -> Passages:
        """The examples, and what the model as it is says of the passages; kept for the process that goes on."""
        layout = self._laid_out()
        slots = layout.slots
        key = f"{self.model.digest}-{layout.block}-{_digest(self._passages)}"
        path = None if self._room.study is None else self._room.study / "passages.json"
        known = None if path is None else recall(path, key, _numbers)
        if known is None:
            known = self._bits(self._base, self._passages)
            if path is not None:
                remember(path, key, known)
        own = self._train[:slots]
        characters = [int(self._train[:, -1].float().mean().round())] * slots + self._passages[:, -1].tolist()
        tokens = [(each[:, 1:-1] >= 0).sum(dim=1).tolist() for each in (own, self._passages)]
        return Passages(tuple(characters), (*tokens[0], *tokens[1]), (*[0.0] * slots, *known))

    def _bits(self, model: Llama, passages: Tensor) -> list[float]:
        """Bits per character of passages (n, T + 2) by a model as it is."""
        found: list[float] = []
        with torch.no_grad():
            for some in torch.split(passages, AT_ONCE):
                lost = nats(model, some[:, :-1].to(self.device), plain_product)[0].cpu().double()
                found += (lost / (np.log(2) * some[:, -1].clamp(min=1))).tolist()
                if len(passages) > PROBED:
                    self._room.say("passages judged", len(found), len(passages))
        return found

    def _speed(self, length: int) -> Speed:
        """Tokens a second in training and in judging, on blocks of the first texts."""
        ids = np.concatenate([each.ids for each in self._texts])[: 2 * length + 1].astype(np.int64)
        blocks = in_blocks(ids, np.ones_like(ids), length)[:1]
        x = torch.from_numpy(blocks).to(self.device)
        module = Adapted(
            self._base, Recipe().adapter, length=length, dropout=0.0, seed=0, half=self._halved()
        ).to(self.device)  # fmt: skip

        def step() -> None:
            module.zero_grad()
            module(x).mean().backward()

        def judge() -> None:
            with torch.no_grad():
                nats(self._base, x[:, :-1], plain_product)

        return Speed(*(length / _seconds(each) for each in (step, judge)))

    def _halved(self) -> Mapping[str, Tensor]:
        """The matrices of a large base in bfloat16, where that pays."""
        if self._half is None:
            path = self._room.cache / "machine.json"
            pays = self._is_large and half_pays(self.model, self._texts[0].ids[:TRIED], self.device, path)
            self._half = halved(self._base) if pays else {}
        return self._half

    # Training --------------------------------------------------------------------------------------------------------

    def check(self, recipe: Recipe, examples: Examples) -> None:
        require(recipe.model.name == "adapted", f"model.name is 'adapted' for texts, not {recipe.model.name!r}")
        ADAPTERS.get(recipe.adapter.name)
        need_pictures(recipe)
        mixes = recipe.regularize.mixup or recipe.augment.noise
        require(not mixes, "regularize.mixup and augment.noise are not for texts; leave them out")
        block, length = self._laid_out().block, recipe.input.length
        mend = f"--set input.length={length} changes both"
        require(block % length == 0, f"input.length must divide the blocks of {block} tokens, got {length}; {mend}")

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        own = replace(examples, together=False)
        return TextTask(
            self._base, self._halved(), self._train, self._passages, self._laid_out().slots, torch.tensor(list(rows)),
            own.to(self.device), self.device,
        )  # fmt: skip

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        return [[fold] for fold in folds]

    def small(self, recipe: Recipe) -> bool:
        return False

    def stacks(self, recipe: Recipe) -> bool:
        return not self.reason

    def rehearsed(self) -> TextMaterial:
        return self

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        return None

    def adds_bytes(self, trained: Trained) -> int:
        """The activations of a step of the largest group, which the base keeps for the way back, and the states."""
        found, states = 0, 0
        for recipe in trained.recipes:
            members = trained.members(recipe, len(trained.recipes))
            adapted = Adapted(self._base, recipe.adapter, length=recipe.input.length, dropout=0.0, seed=0)
            blocks = recipe.batch(len(trained.rows))
            found = max(found, members * adapted.step_bytes(blocks, self._laid_out().block))
            states += 12 * num_weights(adapted)
        return found + states

    # Judging and delivery --------------------------------------------------------------------------------------------

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        """The adapters merged into the base. Raises StorageError where that changes what the model says."""
        assert isinstance(module, Adapted)
        merged = module.eval().merge()
        probe = self._passages[:PROBED].to(self.device)
        with torch.no_grad():
            apart = module(probe)[:, 0].double().cpu() - torch.tensor(self._bits(merged, probe.cpu()))
        said = f"merging the adapters changed the model by {float(apart.abs().max()):.2g} bits per character"
        require(float(apart.abs().max()) <= PARITY, f"{said}; at most {PARITY:g} is rounding", error=StorageError)
        prepared = {
            "config": self.model.config.to_json(), "base": {"name": self.model.name, "digest": self.model.digest},
            "target": {"scale": 1.0, "shift": 0.0}, "trained": module.num_trained(),
        }  # fmt: skip
        content = torch.frombuffer(bytearray(self.model.tokenizer), dtype=torch.uint8)
        return Network(
            self.kind, kind_of_task, recipe, (), merged.cpu(), prepared=prepared, arrays={"tokenizer": content}
        )

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        assert isinstance(network.module, Llama)
        model = network.module.to(self.device)
        return torch.tensor(self._bits(model, self.rows_of(rows)), dtype=torch.float64)[:, None]

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        return None

    def read(self, folder: Path) -> Network:
        return read_network(folder, partial(empty_network, build=None))

    def rows_of(self, rows: Sequence[int]) -> Tensor:
        """The passages (n, T + 2) in these rows of the data."""
        return self._passages[torch.tensor(list(rows), dtype=torch.int64) - self._laid_out().slots]

    def _laid_out(self) -> Layout:
        assert self._layout is not None, "say how the texts are laid out first"
        return self._layout


def open_material(given: Plain, room: Room) -> tuple[TextMaterial, Plain]:
    """Opens the texts and the model. Raises UsageError and RefusedError for a folder that holds no language model."""
    asked = from_plain(Given, given, what="'open' of texts", error=WorkerError)
    model = open_language_model(Path(asked.backbone))
    tokenizer = tokenizer_of(model.tokenizer, model.config, where=asked.backbone)
    material = TextMaterial(model, tokenizer, asked, room)
    return material, _plain(material.opened())


def _content(path: str) -> str:
    return read_text(path).content


def half_pays(model: LanguageModel, ids: np.ndarray, device: torch.device, path: Path) -> bool:
    """Whether products in bfloat16 are faster here, and foretell these tokens about as well.

    Found out once and remembered for the machine in `path`, so that a study repeats.
    """
    parts = ("half", device.type, torch.__version__, os.cpu_count(), model.digest[:16])
    key = "-".join(map(str, parts))
    found = recall(path, key, bool)
    if found is None:
        found = has_half(device) and _agrees(model.module, torch.from_numpy(ids.astype(np.int64))[None].to(device))
        remember(path, key, found)
    return found


def _agrees(base: Llama, ids: Tensor) -> bool:
    own = halved(base)

    def product(path: str, x: Tensor, weight: Tensor) -> Tensor:
        return half_product(x, own[path])

    with torch.no_grad():
        usual, half = (float(nats(base, ids, each)) for each in (plain_product, product))
    return abs(half - usual) <= AGREES * usual


def _seconds(run: Callable[[], None]) -> float:
    times: list[float] = []
    while len(times) < STEPS and sum(times) < LONG_S:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def _digest(passages: Tensor) -> str:
    return hashlib.blake2b(passages.numpy().tobytes(), digest_size=8).hexdigest()


def _numbers(value: object) -> list[float]:
    return [float(each) for each in from_plain(list[float], value, what="what was kept of the passages")]


def _plain(value: object) -> Plain:
    found: Plain = to_plain(value)
    return found
