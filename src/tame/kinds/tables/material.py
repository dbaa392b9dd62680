"""The rows of a table in the process that trains: encoded for each fold by what its members learn from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from tame.core.errors import WorkerError, require
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import InputRecipe, Recipe, TableRecipe
from tame.data.augment import add_noise
from tame.data.sources import only_own_texts, open_columns, open_rows, take_rows
from tame.data.tables import Table
from tame.data.trees import columns_for_trees
from tame.kinds.linear import QUESTION, Fitting, answer_linear, read_asked
from tame.kinds.tables.commands import QUOTES, Given, QuotesAsked
from tame.kinds.tables.kind import TABLES
from tame.kinds.tables.prediction import empty_network, judge_rows, seen_of
from tame.kinds.tables.quoting import tell
from tame.kinds.tables.row_encoder import Featured, RowEncoder
from tame.kinds.tables.text_choice import QUESTION as TEXTS
from tame.kinds.tables.text_choice import Asked
from tame.kinds.tables.text_columns import LENGTH, CountedTexts
from tame.kinds.tables.text_features import NO_ENCODER, FrozenTexts, no_encoder, texts_told, training_dtype
from tame.kinds.tables.text_tuning import TextTuning, TunedTask, TunedTexts
from tame.kinds.trees import TREES, TreesAnswer, TreesAsked, answer_trees, read_trees
from tame.parts.encoders import adapted, open_encoder
from tame.parts.mlp import WORDS, Columns, build_table_model, num_weights
from tame.parts.models import init_module
from tame.parts.network import Network, read_network
from tame.trial.choose import member_bytes
from tame.trial.commands import Fold, Plain
from tame.trial.fitted import SparseTask, check_solvable
from tame.trial.memory_needs import groups, size_bytes, states
from tame.trial.population import Examples, Group, Groups, Member, Task, built, joint, num_outputs
from tame.trial.training_material import Room, Trained, need_pictures, not_asked, scale_of, scaled

LINEAR_ONE_HOT = 200  # categories of a column that a linear model tells apart; those of larger columns it leaves out
SOLVED = "solved at once, each by itself"  # of the model on words
ONE_BY_ONE = "the blocks of an encoder are fine-tuned one by one"
T = TypeVar("T")

ENCODED = 8  # encodings that are kept: a few recipes of columns, times the folds


class TableMaterial:
    """A typed table. Rows of the test part are in it, their targets are not."""

    reason = ""

    def __init__(
        self, table: Table, *, device: torch.device, beside: Sequence[str] = (), kind: str = TABLES.name,
        frozen: FrozenTexts | None = None,
    ) -> None:  # fmt: skip
        """beside: columns of the files that are no features: target, groups, order; kind: of data, which may be one
        that is turned into columns; frozen: the encoder of columns of text."""
        self.kind = kind
        self._beside = tuple(beside)
        self._table = table
        self._device = device
        self._counted = CountedTexts(table)
        self._frozen = frozen
        self._featured: Featured = frozen or no_encoder
        self._kept: OrderedDict[Hashable, tuple[RowEncoder, Tensor]] = OrderedDict()
        self._sparse: OrderedDict[Hashable, tuple[RowEncoder, csr_matrix]] = OrderedDict()
        self._stacks: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._tuning = None if frozen is None else TextTuning(table, frozen.encoder, device, dtype=frozen.dtype)
        self._exact: FrozenTexts | None = None  # in float32, with the encoder of the network that was judged last

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        found: Plain
        if question == TEXTS:
            texts = from_plain(Asked, given, what="'texts'", error=WorkerError)
            found = to_plain(texts_told(self._table, self._frozen, texts))
            return found
        if question == QUOTES:
            quotes = from_plain(QuotesAsked, given, what="'quotes'", error=WorkerError)
            network = self.read(Path(quotes.model))
            found = to_plain(tell(self._table, network, quotes, counted=self._counted, frozen=self._frozen))
            return found
        if question == TREES:
            found = to_plain(self._trees(read_trees(given)))
            return found
        if question != QUESTION:
            raise not_asked(question, "tables", [QUESTION, TREES, TEXTS, QUOTES])
        asked = read_asked(given)
        encoder, x, seen = self._simple(asked.fitting)
        width = encoder.layout.dense + encoder.layout.periodic  # codes of embedded categories are no quantities
        found = to_plain(answer_linear(asked, x[:, :width], seen[:, :width]))
        return found

    def _simple(self, asked: Fitting) -> tuple[RowEncoder, np.ndarray, np.ndarray]:
        """The encoding that a linear model sees, of the rows that it is trained on and of those that it judges."""
        own, judged = (np.array(each, dtype=np.int64) for each in (asked.rows, asked.judged))
        recipe = Recipe(
            table=TableRecipe(one_hot=LINEAR_ONE_HOT, texts="encoder" if self._frozen else "tfidf"),
            input=InputRecipe(length=self._frozen.length if self._frozen else LENGTH),
        )
        encoder = self._fitted(own, recipe)
        x, seen = (encoder.dense(self._table, each, self._featured, self._counted, own) for each in (own, judged))
        return encoder, x, seen

    def _trees(self, asked: TreesAsked) -> TreesAnswer:
        """On the columns as they are, and the features of texts that a linear model sees."""
        own = asked.fitting
        (x, is_code), (seen, _) = (columns_for_trees(self._table, each) for each in (own.rows, own.judged))
        if self._table.texts:
            encoder, *encoded = self._simple(own)
            width = sum(plan.width for plan in encoder.texts)
            x, seen = (np.hstack([each[:, :width], plain]) for each, plain in zip(encoded, (x, seen), strict=True))
            is_code = np.concatenate([np.zeros(width, dtype=bool), is_code])
        return answer_trees(asked, x, seen, is_code)

    def rehearsed(self) -> TableMaterial:
        return self

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        """Of fine-tuning, with a head that is not trained and frozen blocks that make nothing in advance."""
        return self._tuned(recipe, rows, examples, folds[0], rehearses=True) if recipe.model.unfrozen else None

    def adds_bytes(self, trained: Trained) -> int:
        return of_tables(self, trained)

    def tuning_bytes(self, recipe: Recipe, num_folds: int) -> int:
        """Bytes that fine-tuning its encoder adds."""
        return 0 if self._tuning is None else self._tuning.adds_bytes(recipe, num_folds)

    def read(self, folder: Path) -> Network:
        return read_network(folder, empty_network)

    def check(self, recipe: Recipe, examples: Examples) -> None:
        need_pictures(recipe)
        if recipe.model.name == WORDS:
            require(bool(self._table.texts), "model.name=words is for tables with a column of text; there is none")
            shares = examples.num_classes > 0 and examples.target.ndim == 2
            require(not shares, "model.name=words takes one class for each row, not shares of classes")
            check_solvable(recipe)
            return
        if recipe.table.texts == "encoder" and self._table.texts:
            require(self._frozen is not None, NO_ENCODER)
        require(not recipe.model.unfrozen, "model.unfrozen is set by fine-tuning, after the search; it cannot be fixed")
        build_table_model(Columns(1), 1, recipe.model)

    def small(self, recipe: Recipe) -> bool:
        return not recipe.model.unfrozen

    def stacks(self, recipe: Recipe) -> bool:
        self.reason = ONE_BY_ONE if recipe.model.unfrozen else SOLVED if recipe.model.name == WORDS else ""
        return not self.reason

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        if recipe.model.name == WORDS:
            assert len(folds) == 1, "members on words are solved one by one"
            own = replace(scaled(examples, recipe), together=False)
            return SparseTask(self._words(recipe, rows, examples, folds[0])[1], own, self._device)
        if recipe.model.unfrozen:
            assert len(folds) == 1, "encoders are fine-tuned one by one"
            return self._tuned(recipe, rows, examples, folds[0])
        encoded = [self._encoded(recipe, rows, examples, fold) for fold in folds]
        encoder, x = encoded[0]
        own = replace(scaled(examples, recipe), together=int(examples.fold.max()) > 0).to(self._device)
        columns = columns_of(encoder, recipe)
        if len(folds) == 1:
            return TableTask(x, columns, own, self._device)
        return TableTask(self._all(recipe, rows, examples, folds), columns, own, self._device, by_fold=tuple(folds))

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        if recipe.model.name == WORDS or recipe.model.unfrozen:
            return [[fold] for fold in folds]
        if not joint(replace(examples, together=int(examples.fold.max()) > 0), recipe):
            return [[fold] for fold in folds]
        alike: dict[Hashable, list[Fold]] = {}
        for fold in folds:  # a category that a fold never learns from has no column there
            alike.setdefault(self._encoded(recipe, rows, examples, fold)[0].layout, []).append(fold)
        return list(alike.values())

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        frozen = None if self._frozen is None else self._frozen.encoder
        if isinstance(task, SparseTask):
            encoder = next(own for own, x in self._sparse.values() if x is task.x)
            columns = Columns(task.x.shape[1])
        elif isinstance(task, TunedTask):
            assert isinstance(module, TunedTexts)
            assert frozen is not None
            encoder, columns = task.encoder, columns_of(task.encoder, recipe)
            frozen = adapted(frozen, module.upper.state_dict(), blocks=recipe.model.unfrozen)
            module = module.head
        else:
            assert isinstance(task, TableTask)
            encoder = next(own for own, x in self._kept.values() if x is task.x)
            columns = task.columns
        prepared = {
            "columns": [column.to_json() for column in self._table.columns],
            **encoder.to_json(),
            "model_columns": columns.to_json(),
            "target": scale_of(task.examples, fold),
            "beside": list(self._beside),
        }
        arrays = {name: torch.from_numpy(np.array(value)) for name, value in encoder.arrays().items()}
        reads = any(plan.way == "encoder" for plan in encoder.texts)
        return Network(
            self.kind, kind_of_task, recipe, tuple(labels), module.eval(), prepared=prepared, arrays=arrays,
            texts=frozen if reads else None,
        )  # fmt: skip

    def input_names(self, task: Task) -> tuple[str, ...]:
        """The column that each number of a row comes from, but for the codes of embedded categories."""
        assert isinstance(task, TableTask)
        return next(own for own, x in self._kept.values() if x is task.x).names

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        table, own, featured = self._features_for(network, rows, cached=cached)
        return seen_of(network, table, own, featured)

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        table, own, featured = self._features_for(network, rows, cached=cached, exact=True)
        return judge_rows(network, table, own, device=self._device, featured=featured)

    def _features_for(
        self, network: Network, rows: Sequence[int], *, cached: bool, exact: bool = False
    ) -> tuple[Table, np.ndarray, Featured | None]:
        """A table that has these rows, their places in it, and the features of its texts.

        These are the ones that this process has, where the encoder of the network is the one that was not fine-tuned.
        None where a model must make them itself, as a recipient's would. exact: whether they must be the same as its.
        """
        own = np.array(rows, dtype=np.int64)
        if not self._table.texts:
            return self._table, own, None
        some = only_own_texts(take_rows(self._table, own))  # of no other text words are counted and features made
        every = np.arange(len(own))
        if not cached or network.texts is None:
            return some, every, None
        assert self._frozen is not None, "a network that reads texts was trained with an encoder"
        is_plain = network.texts.digest == self._frozen.encoder.digest
        if is_plain and not (exact and self._frozen.dtype != torch.float32):
            return some, every, self._featured
        if self._exact is None or self._exact.encoder.digest != network.texts.digest:
            self._exact = FrozenTexts(network.texts, device=self._device)
        return some, every, self._exact

    def _fitted(self, learnt: np.ndarray, recipe: Recipe) -> RowEncoder:
        return RowEncoder.fit(self._table, learnt, recipe, counted=self._counted, featured=self._featured)

    def _words(
        self, recipe: Recipe, rows: Sequence[int], examples: Examples, fold: Fold
    ) -> tuple[RowEncoder, csr_matrix]:
        """The sparse rows of a fold; the last ones are kept, since recipes differ in their penalty alone."""

        def make() -> tuple[RowEncoder, csr_matrix]:
            every = np.array(rows, dtype=np.int64)
            learnt = _learnt(every, examples, fold)
            encoder = self._fitted(learnt, recipe)
            return encoder, encoder.sparse(self._table, every, self._counted, learnt)

        return _recalled(self._sparse, (*key_of(recipe), fold, hash(tuple(rows))), make, most=ENCODED)

    def _encoded(
        self, recipe: Recipe, rows: Sequence[int], examples: Examples, fold: Fold
    ) -> tuple[RowEncoder, Tensor]:

        def make() -> tuple[RowEncoder, Tensor]:
            every = np.array(rows, dtype=np.int64)
            learnt = _learnt(every, examples, fold)
            encoder = self._fitted(learnt, recipe)
            x = encoder.dense(self._table, every, self._featured, self._counted, learnt)
            return encoder, torch.from_numpy(x).to(self._device)

        return _recalled(self._kept, (*key_of(recipe), fold, hash(tuple(rows))), make, most=ENCODED * 6)

    def _tuned(
        self, recipe: Recipe, rows: Sequence[int], examples: Examples, fold: Fold, *, rehearses: bool = False
    ) -> TunedTask:
        """Fine-tuning of the encoder for the member of a fold."""
        assert self._tuning is not None, NO_ENCODER
        encoder, x = self._encoded(recipe, rows, examples, fold)
        own = replace(scaled(examples, recipe), together=False).to(self._device)
        frozen = TableTask(x, columns_of(encoder, recipe), own, self._device)
        return self._tuning.task(recipe, rows, fold, encoder=encoder, x=x, frozen=frozen, rehearses=rehearses)

    def _all(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Tensor:
        """(F, N, D) the encodings of all these folds; the last ones are kept, since every round asks for them."""
        key = (*key_of(recipe), tuple(folds), hash(tuple(rows)))
        if key not in self._stacks:
            if len(self._stacks) >= ENCODED:
                self._stacks.popitem(last=False)
            self._stacks[key] = torch.stack([self._encoded(recipe, rows, examples, fold)[1] for fold in folds])
        self._stacks.move_to_end(key)
        return self._stacks[key]


def _recalled(kept: OrderedDict[Hashable, T], key: Hashable, make: Callable[[], T], *, most: int) -> T:
    """What is kept under a key, made where it is not there; of all, so many that were asked for last are kept."""
    if key not in kept:
        kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _learnt(every: np.ndarray, examples: Examples, fold: Fold) -> np.ndarray:
    """The rows that members of a fold learn from."""
    return every if fold is None else every[(examples.fold != fold).numpy()]


def key_of(recipe: Recipe) -> tuple[TableRecipe, int]:
    """What the encoding of rows depends on."""
    return recipe.table, recipe.input.length


def columns_of(encoder: RowEncoder, recipe: Recipe) -> Columns:
    """What the columns of an encoded row are, for the model."""
    layout, own = encoder.layout, recipe.table
    return Columns(layout.dense, layout.periodic, layout.embedded, own.dim, own.sigma)


@dataclass(frozen=True, slots=True)
class TableTask:
    """Models on encoded rows. x: (N, D) float32, columns as `columns` says; or (F, N, D), one for each of `by_fold`.

    Encodings are fitted on what the members of a fold learn from.
    """

    x: Tensor
    columns: Columns
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: tuple[int | None, ...] | None = None
    eval_batch: int = 8192
    draws: bool = False

    @property
    def codes_from(self) -> int | None:
        return self.columns.dense + self.columns.periodic if self.columns.embedded else None

    def build(self, member: Member) -> nn.Module:
        model = build_table_model(self.columns, num_outputs(member.recipe, self.examples), member.recipe.model)
        init_module(model, seed=member.recipe.seed)
        return model.to(self.x)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        x = self.x.index_select(-2, rows)  # less than half the time of x[rows]
        if not recipe.augment.noise:
            return x
        numbers = slice(0, self.columns.dense + self.columns.periodic)
        return add_noise(x, strength=recipe.augment.noise, seed=recipe.seed, epoch=epoch, step=step, columns=numbers)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [self.x.index_select(-2, rows)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group(list(module.named_parameters()))]


def of_tables(material: TableMaterial, trained: Trained) -> int:
    """Bytes that training all this on a table adds: its groups, the states that wait, and the encodings."""
    folds, rows, examples = trained.folds, trained.rows, trained.examples
    tasks: dict[Hashable, TableTask] = {}
    each: dict[Recipe, int] = {}
    weights: dict[Recipe, int] = {}
    for recipe in trained.recipes:
        if recipe.model.name == WORDS:
            continue  # sparse, and one at a time
        key = key_of(recipe)
        if key not in tasks:
            task = material.task(recipe, rows, examples, folds[:1])
            assert isinstance(task, TableTask)
            tasks[key] = task
        module = built(tasks[key], Member(-1, folds[0], recipe))
        weights[recipe] = num_weights(module)
        each[recipe] = member_bytes(module, recipe, recipe.batch(len(rows)))
    copies = 2 * len(folds) if len(folds) > 1 else 1  # of each fold its own, and all of them in one array
    encodings = sum(copies * size_bytes(task.x) for task in tasks.values())
    judged = int((examples.fold >= 0).sum())
    tuned = 0 if trained.tuning is None else material.tuning_bytes(trained.tuning, len(folds))
    if not each:
        return tuned
    together = groups(each, len(folds), trained.members, cores=trained.cores, judged=judged)
    return max(together + states(weights, len(folds)), tuned) + encodings


def open_material(given: Plain, room: Room) -> tuple[TableMaterial, Plain]:
    """Opens a table: `kinds/tables/commands.py` has what is given."""
    asked = from_plain(Given, given, what="'open' of a table", error=WorkerError)
    arrays = None if asked.arrays is None else Path(asked.arrays)
    if arrays is not None and (not asked.files or arrays.exists()):
        table = open_columns(arrays, asked.columns)
    else:
        files = [Path(file) for file in asked.files]
        table = take_rows(open_rows(files, asked.columns), np.array(asked.kept, dtype=np.int64))
    frozen = None
    if asked.encoder and table.texts:
        say = partial(room.say, "texts")
        encoder, some = open_encoder(asked.encoder), [text for texts in table.texts.values() for text in texts]
        dtype = training_dtype(encoder, some, device=room.device, path=room.cache / "machine.json")
        frozen = FrozenTexts(encoder, device=room.device, cache=room.cache, dtype=dtype, say=say)
    material = TableMaterial(table, device=room.device, beside=asked.beside, kind=asked.kind, frozen=frozen)
    return material, {"device": room.device.type}
