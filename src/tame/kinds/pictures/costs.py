"""What the features of pictures cost: at which sizes there is time for them, and what fine-tuning would take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tame.adjust import portfolio
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.result_parts import BackboneFacts
from tame.core.space import parse_dimension
from tame.kinds.costs import PLANNED_EPOCHS, Costs, Speed
from tame.kinds.kind import Data, Port, Rehearse
from tame.kinds.pictures.choice import is_small
from tame.kinds.pictures.commands import Features, Look, missing, prepare, speed

SIZES_SHARE = 0.2  # of the clock that computing features may take
TUNED_SHARE = 0.55  # of the clock: where PLANNED_EPOCHS of fine-tuning take less, heads are only what it starts from
FIRST_SHARE = 0.25  # of the clock that those of the first size may take, where a smaller one takes less
# A step of fine-tuning, in forward passes of the frozen backbone. Measured with EfficientNet-Lite0 at 96 pixels: 2.2 in
# bfloat16, 3.4 with AVX2 alone.
TUNE_SLOWER = 3.0


def costs(config: StudyConfig, data: Data, port: Port, rehearse: Rehearse) -> Costs | None:
    """What features will cost; those that are kept from an earlier study cost nothing. None without a backbone."""
    backbone = data.backbone
    if backbone is None:
        return None
    crop, wanted = crop_for(backbone, data.side), wanted_sizes(config, backbone, data.side)

    def passes(rows: Sequence[int], sizes: Sequence[int]) -> dict[int, int]:
        return {size: missing(port, Features(size, 2, crop, list(rows))) for size in sizes}

    measured = speed(port, Look(wanted[0], crop), None)
    if not given_size(config):
        first = first_size(config.clock_s, backbone, data.side, measured, lambda size: passes(data.rows, [size])[size])
        if first != wanted[0]:
            wanted = (first, *(size for size in wanted if size < first))
    learnt, sealed = passes(data.rows, wanted), passes(data.sealed.rows, wanted)
    tunes = backbone.stages > 1 and "model.unfrozen" not in config.set
    epoch_s = math.inf
    if config.clock_s is not None and tunes:
        epoch_s = _epoch_s(config.clock_s, data, backbone, measured, min(wanted), crop, rehearse)
    sizes = affordable_sizes(config.clock_s, wanted, measured, learnt)
    if config.clock_s is not None and is_small(data.side, backbone.size):
        # Enlarged pictures say hardly more: the features of a further size would take an epoch of fine-tuning or more.
        tuned = PLANNED_EPOCHS * data.num_runs * epoch_s < TUNED_SHARE * config.clock_s
        sizes = sizes[:1] if tuned else sizes
    return Costs(measured, learnt, sealed, epoch_s, sizes, tunes)


def missing_s(port: Port, data: Data, recipe: Recipe, speed: Speed, *, size: int) -> float:
    """Seconds that the features of the training pictures still take at a size; views and crop are those of a recipe."""
    given = recipe.input
    return speed.seconds(missing(port, Features(size, given.views, given.crop, data.rows)), size)


def compute(port: Port, recipe: Recipe, *, size: int) -> None:
    """Computes or finds the features of the training pictures at a size; views and crop are those of a recipe."""
    prepare(port, Features(size, recipe.input.views, recipe.input.crop))


def crop_for(backbone: BackboneFacts, side: int) -> float:
    """Small pictures are seen whole; of large ones the centre, as the backbone was judged when it was made."""
    return 1.0 if is_small(side, backbone.size) else backbone.crop


def wanted_sizes(config: StudyConfig, backbone: BackboneFacts, side: int) -> tuple[int, ...]:
    """Input sizes worth trying, the best guess first: the one that the user gave, or those that suit the pictures."""
    given = given_size(config)
    return (given,) if given else portfolio.input_sizes(backbone.size, side, fixed=backbone.fixed_size)


def given_size(config: StudyConfig) -> int | None:
    """The input size that the user gave."""
    given = {**portfolio.given_by(dict(map(parse_dimension, config.space))), **config.set}
    return int(given["input.size"]) if "input.size" in given else None


def first_size(
    clock_s: float | None, backbone: BackboneFacts, side: int, speed: Speed, passes: Callable[[int], int]
) -> int:
    """The best guess of an input size or, where its features would take too much of the clock, the largest of the
    smaller ones for which there is time, at the least the smallest. passes: that a size still needs."""
    first, *_ = portfolio.input_sizes(backbone.size, side, fixed=backbone.fixed_size)
    smaller = portfolio.smaller_sizes(backbone.size, side, fixed=backbone.fixed_size)
    if clock_s is None:
        return first
    for size in (first, *smaller):
        if speed.seconds(passes(size), size) <= FIRST_SHARE * clock_s:
            return size
    return (first, *smaller)[-1]


def affordable_sizes(
    clock_s: float | None, wanted: tuple[int, ...], speed: Speed, passes: dict[int, int]
) -> tuple[int, ...]:
    """Input sizes whose features can be computed in the time for it, the best guess first, at least one."""
    if clock_s is None:
        return wanted
    left = SIZES_SHARE * clock_s
    found: list[int] = []
    for size in wanted:
        cost = speed.seconds(passes[size], size)
        if not found or cost <= left:
            found.append(size)
            left -= cost
    return tuple(found)


def _epoch_s(
    clock_s: float, data: Data, backbone: BackboneFacts, speed: Speed, size: int, crop: float, rehearse: Rehearse
) -> float:
    """Seconds of an epoch of fine-tuning: rehearsed where that is worth it, else a forecast."""
    guess = TUNE_SLOWER * speed.seconds(len(data.rows), size)
    if PLANNED_EPOCHS * data.num_runs * guess > 2 * clock_s:
        return guess
    base = Recipe().but({"input.crop": crop, "loss.name": portfolio.default_loss(data.task)})
    return rehearse(portfolio.fine_tuning(base, size=size, epochs=8, stages=backbone.stages, seed=0, task=data.task))
