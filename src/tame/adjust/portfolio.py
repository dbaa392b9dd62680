"""What is known to work: default recipes, ordered lists of good ones, and the ranges worth searching.

From measurements on the photographs and tables that TAME is tried out on, and from the sources named beside each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tame.core.recipe import Recipe
from tame.core.space import Choice, Dimension, Float

SMALL = 1000  # examples; below, small batches and more epochs
BATCHES = ((1000, 32), (3000, 64), (10_000, 128), (100_000, 256))  # rows of a table below a number, and their batch


@dataclass(frozen=True, slots=True)
class Preset:
    """A default recipe, changes of it to try first, and dimensions to search."""

    base: Recipe
    portfolio: tuple[Mapping[str, Any], ...]
    dimensions: Mapping[str, Dimension]


def input_sizes(native: int, side: int, *, fixed: bool) -> tuple[int, ...]:
    """Input sizes worth trying for a backbone, the best guess first.

    native: pixels that the backbone was trained on; side: the median shorter side of the pictures. Networks trained on
    random crops see things larger than they later are, so that somewhat larger inputs suit them (Touvron et al.,
    Fixing the train-test resolution discrepancy, 2019). Pictures much smaller than the input gain little from being
    blown up, and cost as much as large ones.
    """
    if fixed:
        return (native,)
    larger = tuple(dict.fromkeys(_round32(native * factor) for factor in (8 / 7, 1.0, 9 / 7)))
    if side >= native // 2:
        return larger
    small = sorted({size for size in (96, 128, 160, 192) if size >= 2 * side} | {_round32(native)})
    return tuple(small)


def crop_for(backbone: Mapping[str, Any], side: int) -> float:
    """Small pictures are seen whole; of large ones the centre, as the backbone was judged when it was made."""
    return 1.0 if side < backbone["size"] // 2 else float(backbone["crop"])


def heads(sizes: Sequence[int], num_examples: int, *, epochs: int | None, seed: int, crop: float) -> Preset:
    """Heads on frozen features. sizes: input sizes that fit into the budget, the best guess first."""
    small = num_examples < SMALL
    base = Recipe().but(
        {
            "input.size": sizes[0],
            "input.views": 2,
            "input.crop": crop,
            "optimizer.name": "nesterov",
            "optimizer.lr": 3e-3,
            "optimizer.weight_decay": 1e-3,
            "schedule.name": "cosine",
            "batch_size": 32 if small else 64,
            "epochs": epochs or (40 if small else 20),
            "seed": seed,
        }
    )
    others: list[Mapping[str, Any]] = [{"input.size": size} for size in sizes[1:]]
    portfolio: list[Mapping[str, Any]] = [
        *others,
        {"optimizer.lr": 1e-2, "optimizer.weight_decay": 1e-2},
        {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-2},
        {"loss.label_smoothing": 0.05, "optimizer.weight_decay": 1e-2},
        {"optimizer.name": "adamw", "optimizer.lr": 3e-3, "optimizer.weight_decay": 1e-2},
        {"model.hidden": 256, "model.dropout": 0.3, "optimizer.lr": 1e-2, "loss.label_smoothing": 0.05},
    ]
    dimensions: dict[str, Dimension] = {
        "input.size": Choice(*sizes),
        "optimizer.lr": Float(5e-4, 3e-2, log=True),
        "optimizer.weight_decay": Float(1e-5, 1e-1, log=True),
        "loss.label_smoothing": Choice(0.0, 0.05, 0.1),
        "schedule.name": Choice("cosine", "linear", "wsd"),
    }
    if not small:
        dimensions |= {"model.hidden": Choice(0, 128)}
        dimensions |= {"model.dropout": Float(0.0, 0.5)}
    return Preset(base, tuple(portfolio), dimensions)


def scratch(side: int, num_examples: int, *, epochs: int | None, seed: int) -> Preset:
    """Small networks from scratch. side: the median shorter side of the pictures."""
    sizes = tuple(size for size in (32, 48, 64, 96) if size <= max(side, 32))[-2:]
    base = Recipe().but(
        {
            "model.name": "plain_cnn",
            "model.width": 16,
            "input.size": sizes[-1],
            "optimizer.name": "adamw",
            "optimizer.lr": 3e-3,
            "optimizer.weight_decay": 5e-2,
            "schedule.name": "cosine",
            "schedule.warmup": 0.05,
            "augment.flip": True,
            "augment.crop": 0.1,
            "batch_size": 32,
            "epochs": epochs or 18,
            "seed": seed,
        }
    )
    portfolio: list[Mapping[str, Any]] = [
        {"optimizer.lr": 1e-2, "loss.label_smoothing": 0.1},
        {"input.size": sizes[0], "model.width": 24},
        {"model.name": "cnn", "optimizer.lr": 6e-3},
        {"optimizer.lr": 1e-3, "model.width": 24, "augment.crop": 0.2},
        {"optimizer.name": "nesterov", "optimizer.lr": 5e-2, "optimizer.weight_decay": 5e-4},
    ]
    dimensions: dict[str, Dimension] = {
        "input.size": Choice(*sizes),
        "model.width": Choice(16, 24, 32),
        "model.dropout": Float(0.0, 0.4),
        "optimizer.lr": Float(5e-4, 2e-2, log=True),
        "optimizer.weight_decay": Float(1e-3, 2e-1, log=True),
        "loss.label_smoothing": Choice(0.0, 0.05, 0.1),
        "augment.crop": Float(0.0, 0.25),
    }
    return Preset(base, tuple(portfolio), dimensions)


def tables(num_examples: int, *, task: str, epochs: int | None, seed: int) -> Preset:
    """Multi-layer perceptrons on the rows of a table.

    Numbers enter through piecewise-linear encodings, which bring such networks close to boosted trees (Gorishniy,
    Rubachev and Babenko, 2022). Widths are few, so that many recipes share their shapes and are trained together.
    """
    small, large = num_examples < 10_000, num_examples > 100_000
    batch = next((size for most, size in BATCHES if num_examples < most), 1024)
    base = Recipe().but(
        {
            "model.name": "mlp",
            "model.width": 128,
            "model.depth": 2,
            "model.norm": "layer",
            "model.dropout": 0.2,
            "loss.name": default_loss(task),
            "table.numbers": "piecewise",
            "table.bins": 64,
            "optimizer.name": "adamw",
            "optimizer.lr": 2e-3,
            "optimizer.weight_decay": 3e-2,
            "schedule.name": "wsd",
            "batch_size": batch,
            "epochs": epochs or (40 if small else 6 if large else 12),
            "seed": seed,
        }
    )
    portfolio: list[Mapping[str, Any]] = [
        {
            "table.numbers": "periodic",
            "table.dim": 16,
            "table.scaling": "standard",
            "model.norm": "batch",
            "model.depth": 3,
            "model.dropout": 0.1,
        },
        {"table.numbers": "plain", "table.scaling": "standard", "model.norm": "batch"},
        {"optimizer.lr": 1e-3, "model.dropout": 0.3},
        {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
        {"model.width": 256, "model.dropout": 0.4},
        {"table.numbers": "plain", "table.scaling": "standard"},
        {"model.name": "linear", "optimizer.lr": 1e-2},
    ]
    dimensions: dict[str, Dimension] = {
        "model.width": Choice(128, 256),
        "model.depth": Choice(2, 3),
        "model.norm": Choice("layer", "batch"),
        "model.dropout": Float(0.0, 0.5),
        "table.numbers": Choice("piecewise", "periodic", "plain"),
        "table.scaling": Choice("quantile", "standard"),
        "table.sigma": Float(0.05, 1.0, log=True),
        "optimizer.lr": Float(5e-4, 1e-2, log=True),
        "optimizer.weight_decay": Float(1e-3, 3e-1, log=True),
    }
    if task != "regression":
        dimensions |= {"loss.label_smoothing": Choice(0.0, 0.02)}
    return Preset(base, tuple(portfolio), dimensions)


def own(num_examples: int, *, task: str, epochs: int | None, seed: int) -> Preset:
    """A module of the user's own: what it takes is in the user's space, how it is trained in this one."""
    base = Recipe().but(
        {
            "model.name": "own",
            "loss.name": default_loss(task),
            "optimizer.name": "adamw",
            "optimizer.lr": 2e-3,
            "optimizer.weight_decay": 1e-2,
            "schedule.name": "wsd",
            "batch_size": 32 if num_examples < 2000 else 64 if num_examples < 10_000 else 256,
            "epochs": epochs or (30 if num_examples < 10_000 else 12),
            "seed": seed,
        }
    )
    dimensions: dict[str, Dimension] = {
        "optimizer.lr": Float(1e-4, 3e-2, log=True),
        "optimizer.weight_decay": Float(1e-4, 3e-1, log=True),
    }
    return Preset(base, ({"optimizer.lr": 5e-4}, {"optimizer.lr": 8e-3}), dimensions)


def default_loss(task: str) -> str:
    """What is minimised where nothing else is asked for."""
    return "mse" if task == "regression" else "cross_entropy"


def fine_tuning(head: Recipe, *, size: int, epochs: int, stages: int, seed: int) -> Recipe:
    """How the best head is taken further: the last stages of the backbone trained with it.

    Measured on 4,000 small photographs at 96 pixels with MobileNetV2, its last four of seven stages trained: 0.70 with
    the frozen backbone became 0.82 in eight epochs.
    """
    return head.but(
        {
            "input.size": size,
            "input.views": 2,
            "model.hidden": 0,
            "model.dropout": 0.0,
            "model.unfrozen": max(1, round(stages * 4 / 7)),
            "loss.label_smoothing": 0.1,
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


def _round32(size: float) -> int:
    return round(size / 32) * 32
