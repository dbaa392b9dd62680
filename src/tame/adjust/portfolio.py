"""What is known to work: default recipes, ordered lists of good ones, and the ranges worth searching.

From TAME's own runs on many tables, from measurements on the photographs and tables that it is tested on, and from the
sources named beside each entry. What applies to a kind of model is data, in `spaces/`; what depends on the size of the
data is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tame.adjust.presets import Known, Searched, Tried, given, known, without
from tame.core.conditions import in_order, met
from tame.core.recipe import Recipe, Value
from tame.core.space import Choice, Dimension, Space, field_of

SIZE_RANK, POOLED_RANK = 2, 4  # of the input size and of averaged stages, whose features are computed anyway
SMALL = 1000  # examples; with fewer, small batches and more epochs
MOST_WAVES = 256  # columns that may become periodic embeddings: more take minutes per epoch
LEAST_LENGTH, LENGTH_RANK = 32, 5  # tokens of context of a language model
SMALL_MODEL = 10_000_000  # parameters of a language model
MANY_ROWS = 4000  # rows of a table; the tables that the recipes were selected on have fewer
STRENGTHS = (30.0, 100.0, 10.0, 3.0)  # inverse penalties of linear models on words, in the order they are tried
TEXTS_RANK = 5  # of how texts enter
BATCHES = ((1000, 32), (3000, 64), (10_000, 128), (100_000, 256))  # (rows below, batch size) of tables


@dataclass(frozen=True, slots=True)
class Preset:
    """A default recipe, changes of it to try first, and dimensions to search."""

    base: Recipe
    portfolio: tuple[Mapping[str, Value], ...]
    dimensions: Mapping[str, Dimension]
    reasons: tuple[str, ...] = ()  # why each recipe of the portfolio is tried, in order
    whys: Mapping[str, str] = field(default_factory=dict)  # why each dimension has its range
    ranks: Mapping[str, int] = field(default_factory=dict)  # 1 for the dimension that matters most


def input_sizes(native: int, side: int, *, fixed: bool) -> tuple[int, ...]:
    """Input sizes worth trying for a backbone, the best guess first.

    native: pixels that the backbone was trained on; side: the median shorter side of the pictures. Networks trained on
    random crops see objects larger than at test time, so that larger inputs suit them, above all with a new head on top
    (Touvron et al., Fixing the train-test resolution discrepancy, 2019; FixEfficientNet, 2020: 320 pixels for a network
    trained on 224). A linear head on EfficientNet-Lite0 got 0.948, 0.954, 0.954, 0.967 and 0.974 of 153 photographs
    right at 224, 256, 288, 320 and 384 pixels. Validation on a few hundred pictures hardly tells these apart (log loss
    0.126, 0.137, 0.127, 0.127 and 0.133 on folds of 243 of them), so what is
    known decides: the largest comes first, and the native size is for a slow machine. Upscaling pictures much smaller
    than the input gains little, and they then cost as much as large ones.
    """
    if fixed:
        return (native,)
    larger = tuple(dict.fromkeys(_round32(native * factor) for factor in (10 / 7, 9 / 7)))
    if side >= native // 2:
        return larger
    small = sorted({size for size in (96, 128, 160, 192) if size >= 2 * side} | {_round32(native)})
    return tuple(small)


def smaller_sizes(native: int, side: int, *, fixed: bool) -> tuple[int, ...]:
    """Input sizes for a machine or a clock that is too slow for the first of `input_sizes`, the largest first; none if
    it is fixed.

    A third of the pixels cost a third of the time; below half of the native size features say little.
    """
    first, *_ = input_sizes(native, side, fixed=fixed)
    smaller = dict.fromkeys(_round32(native * factor) for factor in (9 / 7, 1, 5 / 7, 4 / 7))
    return () if fixed else tuple(size for size in smaller if size < first)


def given_by(asked: dict[str, Dimension]) -> dict[str, Any]:
    """Fields of the default recipe that follow from the dimensions that the user gave: the value of those that have
    only one, and the middle of the range of the own model's arguments. Nothing of those with a condition: see
    `own_given_by`."""
    return {
        field_of(name): dim.at(0.5)
        for name, dim in reversed(asked.items())
        if name == field_of(name) and not dim.when and (name.startswith("own.") or dim.count == 1)
    }


def own_given_by(space: Space) -> dict[str, Value]:
    """Of arguments of the user's function that are searched under conditions, the middle of those whose conditions the
    base of the space meets; for the others the function's own default holds."""
    found: dict[str, Value] = {}
    for name in in_order(space.dimensions):
        dim, field = space.dimensions[name], field_of(name)
        if dim.when and field.startswith("own.") and met(dim.when, found, space.base) and field not in space.base:
            found[field] = dim.at(0.5)
    return found


def heads(
    sizes: Sequence[int], num_examples: int, *, epochs: int | None, seed: int, crop: float, task: str = "multiclass",
    pooled: int = 0, unlike: bool = False,
) -> Preset:  # fmt: skip
    """Heads on frozen features. sizes: input sizes that fit into the budget, the best guess first.

    pooled: stages of the backbone that may be averaged; unlike: whether the pictures are likely to be unlike those that
    it was trained on. What its earlier stages say helps there (4,000 enlarged photographs of 32 pixels, ridge
    regression on MobileNetV2 at 96: 0.709 right without and 0.777 with four stages) and only adds noise elsewhere (243
    photographs, EfficientNet-Lite0 at 288: mean squared error by leaving one out 0.194 without and 0.213 with them).
    """
    small = num_examples < SMALL
    about: dict[str, Value] = {
        "input.size": sizes[0],
        "input.crop": crop,
        "loss.name": default_loss(task),
        "model.pooled": pooled if unlike else 0,
        "batch_size": 32 if small else 64,
        "epochs": epochs or (40 if small else 20),
        "seed": seed,
    }
    others = [Tried({"input.size": size}, "another input size that fits into the time") for size in sizes[1:]]
    own = {"input.size": Searched(Choice(*sizes), "the sizes that fit into the time", rank=SIZE_RANK)}
    if pooled:
        others.append(_other_features(0 if unlike else pooled))
        why = "the backbone's own features, or also what its last stages say"
        own["model.pooled"] = Searched(Choice(0, pooled), why, rank=POOLED_RANK)
    found = given(known("heads"), ("few examples" if small else "many examples",))
    return _preset(_for_task(found, task), about, first=others, own=own)


def _other_features(pooled: int) -> Tried:
    why = "the averaged maps of the last stages as well, for what is unlike the photographs of pretraining"
    return Tried({"model.pooled": pooled}, why if pooled else "the backbone's own features alone")


def scratch(side: int, num_examples: int, *, epochs: int | None, seed: int, task: str = "multiclass") -> Preset:
    """Small networks from scratch. side: the median shorter side of the pictures."""
    sizes = scratch_sizes(side)
    about: dict[str, Value] = {
        "input.size": sizes[0],
        "loss.name": default_loss(task),
        "epochs": epochs or 18,
        "seed": seed,
    }
    own = {"input.size": Searched(Choice(*sizes), "the sizes that fit into the time", rank=SIZE_RANK)}
    larger = [
        Tried({"input.size": size}, "as many pixels as the pictures have, for small things") for size in sizes[1:]
    ]
    return _preset(_for_task(given(known("scratch")), task), about, first=larger, own=own)


def scratch_sizes(side: int) -> tuple[int, ...]:
    """Input sizes worth trying from scratch, the first guess first. side: the median shorter side of the pictures.

    As many pixels as the pictures have, of which the first guess takes up to 64. Drawn insects of 80 pixels, 26 epochs:
    0.760 right at 48, 0.817 at 64 and 0.846 at 80; 14 epochs at 64 take as long as 26 at 48, and got 0.764.
    """
    first = max(size for size in (32, 48, 64) if size <= max(side, 32))
    whole = min(side // 16 * 16, 96)
    return (first, whole) if whole > first else (first,)


def _for_task(found: Known, task: str) -> Known:
    """What is known, of a regression without what smooths labels."""
    name = "loss.label_smoothing"
    if task != "regression":
        return found
    base = {field: value for field, value in found.base.items() if field != name}
    return replace(without(found, name), base=base, space={n: each for n, each in found.space.items() if n != name})


def tables(num_examples: int, *, task: str, epochs: int | None, seed: int, columns: int = 0) -> Preset:
    """Multi-layer perceptrons on the rows of a table. columns: number of input columns, 0 if unknown.

    Numbers get piecewise-linear encodings, which bring such networks close to boosted trees (Gorishniy, Rubachev and
    Babenko, 2022). There are few widths, so that many recipes have the same shapes and are trained together.

    The default recipe does not stop early on few rows, though its best epoch is far better than its last one there: of
    whole studies, whose search finds recipes that do not overfit, four of five did better so (benchmarks/README.md).
    """
    about = _of_rows(num_examples, task=task, epochs=epochs, seed=seed)
    return _preset(_tables(num_examples, task=task, columns=columns), about)


def texts(
    num_examples: int, *, task: str, epochs: int | None, seed: int, columns: int, encoded: bool,
    lengths: Sequence[int] = (),
) -> Preset:  # fmt: skip
    """Models of a table with columns of text. columns: how many others there are; encoded: whether there are features
    of an encoder; lengths: tokens that it reads of each text, the one to begin with first.

    Linear models on words are always tried first: on 5,000 texts and more they are hard to beat. Of STRENGTHS, the
    inverse penalty of liblinear, 10 to 100 did best on the texts that TAME is tested on.
    """
    about = {
        **_of_rows(num_examples, task=task, epochs=epochs, seed=seed),
        "table.texts": "encoder" if encoded else "tfidf",
    }
    found = _tables(num_examples, task=task, columns=columns)
    if not columns:
        found = _for_task(given(known("texts"), ["classes"] if task != "regression" else []), task)
    words = [_words(strength, num_examples) for strength in STRENGTHS]
    own = {}
    if encoded:
        words.insert(1, Tried({"table.texts": "tfidf"}, "words on their main axes, instead of the encoder's features"))
        why = "the features of the encoder, or words on their main axes"
        own["table.texts"] = Searched(Choice("encoder", "tfidf"), why, rank=TEXTS_RANK)
    if lengths:
        about["input.length"] = lengths[0]
    if len(lengths) > 1:
        why = "more of each text says more, and much of a long one may say nothing"
        every = Choice(*sorted(lengths), when={"table.texts": "encoder"})
        own["input.length"] = Searched(every, why, rank=LENGTH_RANK)
        words.insert(2, Tried({"input.length": lengths[1]}, "another length of texts"))
    return _preset(found, about, first=words, own=own)


def _words(strength: float, num_examples: int) -> Tried:
    """The linear model on words with this inverse penalty."""
    changes: dict[str, Value] = {
        "model.name": "words", "regularize.l2": float(f"{1 / (strength * num_examples):.2g}"), "epochs": 1,
        "loss.label_smoothing": 0.0,
    }  # fmt: skip
    return Tried(changes, f"a linear model on words and runs of characters, of inverse penalty {strength:g}")


def _of_rows(num_examples: int, *, task: str, epochs: int | None, seed: int) -> dict[str, Value]:
    """What depends on the number of rows."""
    small, large = num_examples < 10_000, num_examples > 100_000
    return {
        "loss.name": default_loss(task),
        "batch_size": next((size for most, size in BATCHES if num_examples < most), 1024),
        "epochs": epochs or (40 if small else 6 if large else 12),
        "seed": seed,
    }


def _tables(num_examples: int, *, task: str, columns: int) -> Known:
    few, many = num_examples < SMALL, num_examples >= MANY_ROWS
    holds = [("classes", task != "regression"), ("few rows", few), ("many rows", many)]
    found = _for_task(given(known("tables"), [name for name, own in holds if own]), task)
    return found if columns <= MOST_WAVES else _without_waves(found)


def _without_waves(found: Known) -> Known:
    """What is known, without the periodic embeddings of numbers."""
    numbers = found.space["table.numbers"]
    assert isinstance(numbers.dimension, Choice)
    own = numbers.dimension
    others = Choice(*(way for way in own.values if way != "periodic"), when=own.when, purpose=own.purpose)
    space = {name: each for name, each in found.space.items() if name != "table.sigma"}
    space["table.numbers"] = replace(numbers, dimension=others)
    tried = tuple(each for each in found.portfolio if each.changes.get("table.numbers") != "periodic")
    return Known(found.base, tried, space)


def own(num_examples: int, *, task: str, epochs: int | None, seed: int) -> Preset:
    """A module of the user's own: the user's space has its arguments, this one how it is trained."""
    about = {
        "loss.name": default_loss(task),
        "batch_size": 32 if num_examples < 2000 else 64 if num_examples < 10_000 else 256,
        "epochs": epochs or (30 if num_examples < 10_000 else 12),
        "seed": seed,
    }
    return _preset(given(known("own")), about)


def language(block: int, *, batch: int, epochs: int, seed: int, parameters: int) -> Preset:
    """Adapters beside a frozen language model. block: tokens that it may see at once; batch: blocks in a step.

    A model of 260,032 parameters got perplexity 15.3 on contracts after 98,304 tokens in blocks of 128 at a rate of
    1e-2. Larger models want lower rates. With 134 million parameters and contexts of 64 or 128 tokens it fell alike in
    36 steps, from 34.2 to 25.1, but that of another text rose from 41.4 to 45.1 with the shorter ones, and stayed with
    the longer; in 48 steps it fell to 25.3, and to 24.5 with a rate that falls from the first step on.
    """
    parts = (2, 1) if parameters < SMALL_MODEL else (1, 2)
    lengths = [block // part for part in parts if block % part == 0 and block // part >= LEAST_LENGTH] or [block]
    about: dict[str, Value] = {
        "input.length": lengths[0], "batch_size": batch, "epochs": epochs, "seed": seed,
        "optimizer.lr": 1e-2 if parameters < SMALL_MODEL else 3e-3,
        "schedule.name": "wsd" if parameters < SMALL_MODEL else "linear",
    }  # fmt: skip
    why = "a shorter context is cheaper at its ends and gives more different ones in a step"
    own = {"input.length": Searched(Choice(*lengths), why, rank=LENGTH_RANK)} if len(lengths) > 1 else {}
    return _preset(known("language"), about, own=own)


def default_loss(task: str) -> str:
    """The loss of a task if the user gives none."""
    return "mse" if task == "regression" else "cross_entropy"


def fine_tuning(head: Recipe, *, size: int, epochs: int, stages: int, seed: int, task: str = "multiclass") -> Recipe:
    """The recipe that continues the best head: the last stages of the backbone are trained with it.

    Measured on 4,000 small photographs at 96 pixels with MobileNetV2, training its last four of seven stages: from 0.70
    with the frozen backbone to 0.82 in eight epochs.
    """
    return head.but(
        {
            "input.size": size,
            "input.views": 2,
            "model.hidden": 0,
            "model.dropout": 0.0,
            "model.pooled": 0,
            "model.unfrozen": max(1, round(stages * 4 / 7)),
            "loss.label_smoothing": 0.0 if task == "regression" else 0.1,
            "augment.flip": True,
            "augment.crop": 0.12,
            "optimizer.name": "adamw",
            "optimizer.lr": 5e-4,
            "optimizer.momentum": 0.9,
            "optimizer.weight_decay": 2e-2,
            "schedule.name": "linear",
            "schedule.warmup": 0.1,
            "batch_size": 64,
            "epochs": epochs,
            "seed": seed,
        }
    )


def encoder_tuning(
    head: Recipe, *, blocks: int, length: int, epochs: int, seed: int, task: str = "multiclass"
) -> Recipe:
    """The recipe that trains the last blocks of an encoder of texts, with a linear head on all columns of a table.

    head: the recipe of the best network on the encoder as it is; length: tokens that are read of each text. On one
    split of 2,500 questions of 77 kinds, 500 of them judged, all-MiniLM-L6-v2 got 0.894 right with a head alone, 0.900
    in eight epochs of its last block (0.906 with smoothed labels), and 0.912 in those of its last two.
    """
    return head.but(
        {
            "table.texts": "encoder",
            "input.length": length,
            "model.name": "linear",
            "model.dropout": 0.0,
            "model.unfrozen": blocks,
            "loss.label_smoothing": 0.0 if task == "regression" else 0.1,
            "optimizer.name": "adamw",
            "optimizer.lr": 2e-4,
            "optimizer.momentum": 0.9,
            "optimizer.weight_decay": 1e-2,
            "schedule.name": "linear",
            "schedule.warmup": 0.1,
            "then.start": 1.0,
            "regularize.l1": 0.0,
            "regularize.l2": 0.0,
            "regularize.max_norm": 0.0,
            "regularize.ema": 0.0,
            "regularize.swa": 0.0,
            "regularize.mixup": 0.0,
            "regularize.early_stopping": 0,
            "augment.noise": 0.0,
            "batch_size": 32,
            "epochs": epochs,
            "seed": seed,
        }
    )


def _preset(
    found: Known, about: Mapping[str, Value], *, first: Sequence[Tried] = (), own: Mapping[str, Searched] | None = None
) -> Preset:
    """The preset of what is known and what depends on the data. first: recipes to try before; own: dimensions."""
    tried, space = (*first, *found.portfolio), {**(own or {}), **found.space}
    return Preset(
        Recipe().but({**found.base, **about}),
        tuple(dict(each.changes) for each in tried),
        {name: each.dimension for name, each in space.items()},
        reasons=tuple(each.why for each in tried),
        whys={name: each.why for name, each in space.items()},
        ranks={name: each.rank for name, each in space.items()},
    )


def _round32(size: float) -> int:
    return round(size / 32) * 32
