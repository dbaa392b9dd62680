"""Augmentation: examples changed at random in training, the same for all members of a seed.

Draws depend on the seed and on when an example is seen, never on the recipe: a recipe scales what is drawn. What is
done to one example does not depend on the batch in which it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.errors import ShapeError, require
from tame.core.recipe import AugmentRecipe
from tame.core.rng import stream

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey (ITU-R BT.601)
OPERATIONS_EACH = 2  # operations drawn for each picture
MOST_TURN = 30.0  # degrees, at strength 1, as the other limits
MOST_SHEAR = 0.3
MOST_SHIFT = 0.45  # of the side
MOST_COLOR = 0.9  # above or below a factor of 1
MOST_BITS = 4  # of 8 that posterising drops


def augment(
    x: Tensor,
    recipe: AugmentRecipe,
    *,
    seed: int,
    epoch: int,
    rows: Tensor,
    num_examples: int,
    low: float,
    high: float,
) -> Tensor:
    """Pictures mirrored, shifted, turned, and changed in colour, drawn for each example and epoch.

    x: (B, C, S, S) of the examples `rows`, floating, black at `low` and full white at `high`; num_examples: how many
    there are in all. Whole-pixel shifts, turns and the like uncover a mirror image of the picture. Returns (B, C, S, S)
    in the dtype and memory layout of x, which is left alone; x itself if the recipe asks for nothing. `noise` is for
    tables, see `add_noise`. Raises ShapeError if x is no batch of squares, one for each row.
    """
    if x.ndim != 4 or x.shape[2] != x.shape[3] or len(x) != len(rows):
        raise ShapeError(f"need square pictures (B, C, S, S), one for each row, got {tuple(x.shape)}, {len(rows)} rows")
    require(low < high, f"low must be below high, got {low:g} and {high:g}")
    if not (recipe.flip or recipe.crop or recipe.rotation or recipe.color or recipe.strength):
        return x
    form = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    chance = _Chance(seed, epoch, rows.cpu(), num_examples)
    x = _flip_and_crop(x, recipe, chance.uniform("augment", 3))
    if recipe.rotation:
        (turn,) = chance.uniform("augment rotation", 1)
        x = _affine(x, _turned((2 * turn - 1) * recipe.rotation))
    if recipe.color:
        x = _color(x, recipe.color, chance.uniform("augment color", 3), low, high)
    if recipe.strength:
        for i in range(OPERATIONS_EACH):
            x = _drawn_operation(x, recipe.strength, chance.uniform(f"augment operation {i}", 2), low, high)
    return x.contiguous(memory_format=form)


@dataclass(frozen=True, slots=True)
class _Chance:
    seed: int
    epoch: int
    rows: Tensor
    num_examples: int

    def uniform(self, name: str, count: int) -> list[Tensor]:
        """Draws in [0, 1) for the examples of the batch: `count` times (B,) in float64, on the CPU."""
        rng = stream(self.seed, name, self.epoch)
        return [torch.from_numpy(rng.random(self.num_examples))[self.rows] for _ in range(count)]


def _flip_and_crop(x: Tensor, recipe: AugmentRecipe, draws: list[Tensor]) -> Tensor:
    flip, down, right = draws
    if recipe.flip:
        mirrored = (flip < 0.5).to(x.device).view(-1, 1, 1, 1)
        x = torch.where(mirrored, x.flip(3), x)
    reach = round(recipe.crop * x.shape[-1])
    if reach:
        x = _shift(x, ((2 * down - 1) * reach).round().long(), ((2 * right - 1) * reach).round().long())
    return x


def _shift(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Pictures moved by whole pixels, (B,) each, fewer than the side; what they uncover mirrors the picture."""
    size = x.shape[-1]
    place = torch.arange(size)

    def source(by: Tensor) -> Tensor:
        at = (place[None, :] - by[:, None]).abs()
        return torch.where(at >= size, 2 * (size - 1) - at, at).to(x.device)

    rows, columns = source(down), source(right)
    x = x.gather(2, rows[:, None, :, None].expand(-1, x.shape[1], -1, size))
    return x.gather(3, columns[:, None, None, :].expand(-1, x.shape[1], size, -1))


def _affine(x: Tensor, matrix: Tensor) -> Tensor:
    """Pictures read at other places, between pixels linearly; beyond the edge they are mirrored, as in `_shift`.

    matrix: (B, 2, 3), from a place in the result to the place in x that is seen there; the picture spans [-1, 1].
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32  # places need more than half precision
    grid = F.affine_grid(matrix.to(x.device, dtype), list(x.shape), align_corners=True)
    found = F.grid_sample(x.to(dtype), grid, padding_mode="reflection", align_corners=True)
    return found.to(x.dtype)


def _matrix(a: Tensor | float, b: Tensor | float, c: Tensor | float, d: Tensor | float, like: Tensor) -> Tensor:
    """(B, 2, 3) of the linear map ((a, b), (c, d)), for each picture, about the centre."""
    rows = [torch.as_tensor(each, dtype=like.dtype).expand_as(like) for each in (a, b, 0.0, c, d, 0.0)]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _turned(degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    return _matrix(angle.cos(), angle.sin(), -angle.sin(), angle.cos(), angle)


def _color(x: Tensor, strength: float, draws: list[Tensor], low: float, high: float) -> Tensor:
    """Brightness, contrast and saturation, in this order, each by a factor within 1 +- strength."""
    for change, draw in zip((_brightness, _contrast, _saturation), draws, strict=True):
        x = change(x, 1 + (2 * draw - 1) * strength, low, high)
    return x


def _grey(x: Tensor) -> Tensor:
    """(B, 1, S, S): the luma of three channels, the mean of any other number."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    return LUMA[0] * x[:, :1] + LUMA[1] * x[:, 1:2] + LUMA[2] * x[:, 2:]


def _blend(other: Tensor | float, x: Tensor, factor: Tensor, low: float, high: float) -> Tensor:
    """`other` at factor 0, x at 1, and beyond; within the range of pixels. factor: (B,)."""
    factor = factor.to(x.device, x.dtype).view(-1, 1, 1, 1)
    return (other + (x - other) * factor).clamp(low, high)


def _brightness(x: Tensor, factor: Tensor, low: float, high: float) -> Tensor:
    return _blend(low, x, factor, low, high)


def _contrast(x: Tensor, factor: Tensor, low: float, high: float) -> Tensor:
    return _blend(_grey(x).mean(dim=(2, 3), keepdim=True), x, factor, low, high)


def _saturation(x: Tensor, factor: Tensor, low: float, high: float) -> Tensor:
    return _blend(_grey(x), x, factor, low, high)


def _sharpness(x: Tensor, factor: Tensor, low: float, high: float) -> Tensor:
    around = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return _blend(
        (9 * around + 4 * x) / 13, x, factor, low, high
    )  # the smoothing kernel of Pillow, 1 1 1, 1 5 1, 1 1 1


# How an operation changes pictures x (B, C, S, S), by magnitudes (B,) in [-1, 1], black and white: (x, m, low, high).
Operation = Callable[[Tensor, Tensor, float, float], Tensor]


def _rotate(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    return _affine(x, _turned(MOST_TURN * magnitude))


def _shear_x(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    return _affine(x, _matrix(1.0, MOST_SHEAR * magnitude, 0.0, 1.0, magnitude))


def _shear_y(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    return _affine(x, _matrix(1.0, 0.0, MOST_SHEAR * magnitude, 1.0, magnitude))


def _shift_x(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    by = (MOST_SHIFT * x.shape[-1] * magnitude).round().long()
    return _shift(x, torch.zeros_like(by), by)


def _shift_y(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    by = (MOST_SHIFT * x.shape[-1] * magnitude).round().long()
    return _shift(x, by, torch.zeros_like(by))


def _posterize(x: Tensor, magnitude: Tensor, low: float, high: float) -> Tensor:
    """Fewer levels of each colour; the sign of the magnitude plays no part."""
    step = (2.0 ** (MOST_BITS * magnitude.abs()).round()).to(x.device, x.dtype).view(-1, 1, 1, 1)
    levels = (x - low) * (255 / (high - low))
    # The hair keeps a whole level that rounding has left just below itself.
    kept = ((levels + 1e-3) / step).floor() * step
    return torch.where(step > 1, kept * ((high - low) / 255) + low, x).clamp(low, high)


def _colored(change: Operation) -> Operation:
    return lambda x, magnitude, low, high: change(x, 1 + MOST_COLOR * magnitude, low, high)


OPERATIONS: dict[str, Operation] = {
    "nothing": lambda x, magnitude, low, high: x,
    "rotate": _rotate,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "shift_x": _shift_x,
    "shift_y": _shift_y,
    "brightness": _colored(_brightness),
    "contrast": _colored(_contrast),
    "saturation": _colored(_saturation),
    "sharpness": _colored(_sharpness),
    "posterize": _posterize,
}


def _drawn_operation(x: Tensor, strength: float, draws: list[Tensor], low: float, high: float) -> Tensor:
    """One operation for each picture, drawn from all, with a magnitude of `strength` and a drawn sign.

    Source: Cubuk et al., RandAugment (2020); its limits are those above, its M is 30 times the strength.
    """
    which, sign = draws
    operations = list(OPERATIONS.values())
    chosen = (which * len(operations)).long()
    magnitude = strength * torch.where(sign < 0.5, -1, 1).to(which.dtype)
    found = x.clone()
    for i, operation in enumerate(operations):
        own = (chosen == i).nonzero().squeeze(1)
        if len(own) and i:  # the first does nothing
            there = own.to(x.device)
            found.index_copy_(0, there, operation(x.index_select(0, there), magnitude[own], low, high))
    return found


@dataclass(frozen=True, slots=True)
class Mix:
    """How each example of a batch is mixed with a partner.

    lam: the weight of an example's own target, 1 - lam that of its partner's; partner: (B,), a permutation of the
    batch; box: top, left, bottom and right (the last two excluded) of what is pasted, None for weighted means; keeps:
    (B,) bools, which examples keep their own of what cannot be averaged, such as numbers of categories: a share of
    lam, None where there is nothing like it.
    """

    lam: float
    partner: Tensor
    box: tuple[int, int, int, int] | None
    keeps: Tensor | None = None


def draw_mix(
    *, mixup: float, cutmix: float, seed: int, epoch: int, step: int, batch_size: int, side: int | None,
    has_codes: bool = False,
) -> Mix | None:  # fmt: skip
    """What one step mixes; None if both are 0. If neither is, a draw chooses one of them for the step.

    mixup, cutmix: alpha of Beta(alpha, alpha), from which comes the share of an example's own; 0: none. side: of the
    pictures in pixels, None where there are none; has_codes: whether there are inputs that cannot be averaged. The
    share of a box is that of its real area.
    Raises UsageError for cutmix without pictures.
    Sources: Zhang et al., mixup (2018); Yun et al., CutMix (2019), algorithm A1.
    """
    if not (mixup or cutmix):
        return None
    require(not cutmix or side is not None, f"regularize.cutmix needs pictures, got {cutmix:g} without any; use mixup")
    rng = stream(seed, "mix", epoch, step)
    # Beta comes last: how many numbers it takes depends on alpha, and partners must not.
    partner = torch.from_numpy(rng.permutation(batch_size))
    coin, row, column = rng.random(3)
    cuts = cutmix > 0 and (not mixup or coin < 0.5)
    alpha = cutmix if cuts else mixup
    lam = float(rng.beta(alpha, alpha))
    if not cuts or side is None:
        keeps = torch.from_numpy(stream(seed, "keep", epoch, step).random(batch_size) < lam) if has_codes else None
        return Mix(lam=lam, partner=partner, box=None, keeps=keeps)
    box = _box(side, lam, row, column)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return Mix(lam=1 - area / side**2, partner=partner, box=box)


def _box(side: int, lam: float, row: float, column: float) -> tuple[int, int, int, int]:
    """A box of the share 1 - lam of the picture about a place in it, cut off at the edges."""
    reach = round(side * math.sqrt(1 - lam))
    top, left = int(row * side) - reach // 2, int(column * side) - reach // 2
    return max(top, 0), max(left, 0), min(top + reach, side), min(left + reach, side)


def apply_mix(x: Tensor, mix: Mix, *, codes_from: int | None = None) -> Tensor:
    """Each example mixed with its partner. x: (B, ...), pictures (B, C, S, S) where there is a box; left alone.

    codes_from: of rows (B, D), the first of the last columns, whose numbers stand for categories: an example has those
    of one of the two, since the mean of two numbers would be a third category.
    Returns a tensor as x. The loss is lam times that of the targets plus 1 - lam times that of the partners' targets.
    Raises ShapeError if the batch has another size than the mix was drawn for.
    """
    if len(x) != len(mix.partner):
        raise ShapeError(f"need a batch of {len(mix.partner)} examples for this mix, got {len(x)}")
    other = x.index_select(0, mix.partner.to(x.device))
    if mix.box is None:
        found = mix.lam * x + (1 - mix.lam) * other
        if codes_from is not None and mix.keeps is not None:
            keeps = mix.keeps.to(x.device)[:, None]
            found[:, codes_from:] = torch.where(keeps, x[:, codes_from:], other[:, codes_from:])
        return found
    top, left, bottom, right = mix.box
    found = x.clone()
    found[..., top:bottom, left:right] = other[..., top:bottom, left:right]
    return found


def add_noise(x: Tensor, *, strength: float, seed: int, epoch: int, step: int, columns: slice) -> Tensor:
    """Numbers of a table with normal noise, drawn for each step; the same draws whatever the strength.

    x: (B, D), left alone; strength: standard deviation of the noise, in the units of x; columns: which of the D are
    numbers. Returns (B, D); x itself at strength 0. Source: Bishop, Training with Noise (1995).
    """
    if not strength:
        return x
    width = len(range(*columns.indices(x.shape[1])))
    noise = stream(seed, "augment noise", epoch, step).standard_normal((len(x), width), dtype=np.float32)
    found = x.clone()
    found[:, columns] += strength * torch.from_numpy(noise).to(x)
    return found
