"""Pictures that show another one or a part of it, also turned or mirrored: found by small copies of their pixels.

Each picture is laid over windows of the others: first coarsely, by the colours of a few cells; then the window is moved
and stretched until both agree best, and what counts is how well they agree then.

Of crops that keep 0.36 of the area or more, also turned, mirrored, stretched a little and saved again as JPEG, 95 % or
more were found among photographs (396 of ants and bees, 5,000 of CIFAR-10). Among the photographs themselves 33 pairs
were found in CIFAR-10, of which 2 to 5 show different things, and none in ants and bees. Drawings of few lines, such as
digits, agree by chance much more often.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.spatial import KDTree

SIDE = 32  # pixels of the small copies
CELLS = 4  # on a side, of what windows are compared by at first
# Windows begin and end at tenths of a side, are half of it or longer, and hold LEAST_AREA of the picture or more.
INTERVALS = np.array([(low / 10, high / 10) for low in range(6) for high in range(low + 5, 11)])
LEAST_AREA = 0.36
WAYS = 8  # to lay a picture: four turns, each also mirrored
MANY = 20_000  # pictures; of more only the plain and the mirrored way are looked at
DIMENSIONS = 12  # of the cells' colours, those that differ most
NEIGHBOURS = 16  # windows that each picture is laid over
BOUNDS = 16  # groups of pictures, by their spread
REACH = 0.5  # how far they may be, in the spread of the picture's own cells
GRID = 16  # pixels on a side that are compared in the end
ROUNDS = 6  # of moving and stretching
HOPE = (0.5, 0.7, 0.8, 0.85)  # correlations that are given up below, before the first, second, ... round
ALIKE = 0.95  # correlation of colours of the same picture
DETAIL = 0.7  # of what is finer than a few pixels
FITTED = 4096  # pictures that show which colours differ most
BLOCK = 2048  # candidates at once
PLACES = ((np.arange(GRID) + 0.5) / GRID).astype(np.float32)
WHOLE = np.array([0, 0, 1, 1], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which pictures may be parts of others. (K,) each: the whole, the part, how it is laid, and how well they agree.

    way: the part as `laid` lays it; alike: correlation of the colours; detail: of what is finer than a few pixels;
    window: (K, 4) left, top, right and bottom in the whole, in shares of its sides.
    """

    whole: np.ndarray
    part: np.ndarray
    way: np.ndarray
    alike: np.ndarray
    detail: np.ndarray
    window: np.ndarray


def small_copy(array: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 of a picture (H, W, 3) uint8, whatever its shape."""
    return np.asarray(Image.fromarray(array).resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))


def match_windows(small: np.ndarray) -> Matches:
    """The candidates among N pictures, each at its best window. small: (N, SIDE, SIDE, 3) uint8."""
    pixels = small.astype(np.float32) / 255
    grey = pixels.mean(axis=3, keepdims=True)
    seen = _sampled(grey, np.tile(WHOLE, (len(grey), 1)))
    whole, part, way, window = _candidates(pixels)
    alike, detail = np.zeros(len(whole)), np.zeros(len(whole))
    for start in range(0, len(whole), BLOCK):
        own = slice(start, start + BLOCK)
        window[own], agree = _fitted(grey[whole[own]], _all_laid(seen[part[own]], way[own]), window[own])
        some = start + np.flatnonzero(agree >= ALIKE - 0.1)
        if len(some):
            found = _sampled(pixels[whole[some]], window[some])
            aim = _all_laid(_sampled(pixels[part[some]], np.tile(WHOLE, (len(some), 1))), way[some])
            alike[some], detail[some] = _correlation(found, aim), _correlation(_fine(found), _fine(aim))
    return Matches(whole, part, way, alike, detail, window)


def _all_laid(pixels: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Pictures (n, S, S, c), each in its own way (n,)."""
    found = pixels.copy()
    for each in range(1, WAYS):
        found[way == each] = laid(pixels[way == each], each)
    return found


def laid(pixels: np.ndarray, way: int) -> np.ndarray:
    """Pictures (n, S, S, c) turned by a quarter `way` % 4 times; from way 4 on mirrored first."""
    return np.rot90(pixels if way < WAYS // 2 else pixels[:, :, ::-1], way % 4, axes=(1, 2))


def _candidates(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose cells have nearly the same colours: whole, part and the way it is laid, (K,), and windows (K, 4)."""
    num = len(pixels)
    ways = np.arange(WAYS) if num <= MANY else np.array([0, WAYS // 2])
    own = _means(np.arange(CELLS) / CELLS, (np.arange(CELLS) + 1) / CELLS)
    upright = _cells(pixels, own)
    cells = np.concatenate([laid(upright, way) for way in ways.tolist()]).reshape(len(ways) * num, -1)
    middle = cells.mean(axis=0)
    _, _, axes = np.linalg.svd(cells[:: max(1, len(cells) // FITTED)] - middle, full_matrices=False)
    axes = axes[:DIMENSIONS].T
    spread = np.tile(
        np.sqrt(((upright - upright.mean(axis=(1, 2), keepdims=True)) ** 2).sum(axis=(1, 2, 3))), len(ways)
    )

    edges = np.linspace(INTERVALS[:, 0], INTERVALS[:, 1], CELLS + 1, axis=1)
    means = _means(edges[:, :-1].ravel(), edges[:, 1:].ravel())
    sides = INTERVALS[:, 1] - INTERVALS[:, 0]
    down, across = np.nonzero(np.outer(sides, sides) >= LEAST_AREA - 1e-9)
    many = len(down)
    windows = np.empty((num, many, axes.shape[1]), dtype=np.float32)
    for start in range(0, num, BLOCK // 8):
        some = _cells(pixels[start : start + BLOCK // 8], means)
        some = some.reshape(-1, len(INTERVALS), CELLS, len(INTERVALS), CELLS, 3).transpose(0, 1, 3, 2, 4, 5)
        windows[start : start + BLOCK // 8] = (some[:, down, across].reshape(len(some), many, -1) - middle) @ axes
    tree = KDTree(windows.reshape(num * many, -1), leafsize=16, compact_nodes=False, balanced_tree=False)
    reach = REACH * spread + 1e-6
    # Within twice the distance of the nearest: good enough for a beginning, and many times as fast. A tree is asked
    # with one bound for all, so pictures of little contrast are asked by themselves.
    far, near = (np.empty((len(cells), NEIGHBOURS), dtype=kind) for kind in (np.float64, np.int64))
    for some in np.array_split(np.argsort(reach, kind="stable"), BOUNDS):
        if len(some):
            far[some], near[some] = tree.query(
                (cells[some] - middle) @ axes, k=NEIGHBOURS, eps=1.0, distance_upper_bound=reach[some[-1]], workers=2
            )
    row, place = np.nonzero(far <= reach[:, None])
    whole, window = np.divmod(near[row, place], many)
    # Of each pair the nearest window, which comes first in its row.
    _, first = np.unique(row * num + whole, return_index=True)
    first = first[whole[first] != row[first] % num]
    row, whole, window = row[first], whole[first], window[first]
    tall, wide = INTERVALS[down[window]], INTERVALS[across[window]]
    edges = np.stack([wide[:, 0], tall[:, 0], wide[:, 1], tall[:, 1]], axis=1)
    return whole, row % num, ways[row // num], edges.astype(np.float32)


def _cells(pixels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(n, K, K, 3) mean colours of pictures (n, SIDE, SIDE, 3) over each pair of K intervals. means: (K, SIDE)."""
    num, many = len(pixels), len(means)
    tall = np.matmul(means, pixels.reshape(num, SIDE, -1)).reshape(num, many, SIDE, 3)
    return np.asarray(np.matmul(means, tall))


def _means(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(K, SIDE) weights that average a row of pixels from `low` to `high`, both (K,) in shares of the side."""
    edges = np.arange(SIDE + 1) / SIDE
    inside = np.clip(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0, None)
    return np.asarray((inside / inside.sum(axis=1, keepdims=True)).astype(np.float32))


def _fitted(whole: np.ndarray, wanted: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The window (n, 4) of each whole that agrees best with what is wanted of it, and the correlation (n,) then.

    whole: (n, SIDE, SIDE, 1); wanted: (n, GRID, GRID, 1). Those far from agreeing halfway are given up. Source:
    Lucas and Kanade, An Iterative Image Registration Technique (1981), of shift and scale in each direction.
    """
    last, alive, best = window.copy(), np.arange(len(window)), np.full(len(window), -1.0)
    for number in range(ROUNDS + 1):
        own = _sampled(whole[alive], window[alive])
        agree = _correlation(own, wanted[alive])
        better = agree > best[alive]
        last[alive[better]], best[alive[better]] = window[alive[better]], agree[better]
        if number == ROUNDS:
            break
        promising = best[alive] >= HOPE[min(number, len(HOPE) - 1)]
        alive, own = alive[promising], own[promising]
        if not len(alive):
            break
        window[alive] = _moved(window[alive], own, wanted[alive])
    return last, best


def _moved(window: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Windows (n, 4) in which what is seen, own (n, G, G, 1), comes nearer to what is wanted."""
    dy, dx = np.gradient(own[..., 0], 1 / GRID, axis=(1, 2))
    # The edges of a window move its points: those at the left with the left edge, those at the right with the right.
    moves = np.stack([dx * (1 - PLACES), dy * (1 - PLACES)[:, None], dx * PLACES, dy * PLACES[:, None]], axis=1)
    moves = moves.reshape(len(own), 4, -1)
    square = moves @ moves.transpose(0, 2, 1)
    ridge = 1e-3 * np.trace(square, axis1=1, axis2=2)[:, None, None] * np.eye(4) + 1e-6 * np.eye(4)
    step = np.linalg.solve(square + ridge, moves @ (wanted - own).reshape(len(own), -1, 1))[..., 0]
    width, height = window[:, 2] - window[:, 0], window[:, 3] - window[:, 1]
    moved = window + np.clip(step, -0.08, 0.08) * np.stack([width, height, width, height], axis=1)
    moved = np.clip(moved, -0.03, 1.03)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 0.4)
    return np.asarray(moved.astype(np.float32))


def _sampled(pixels: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(n, GRID, GRID, c) the pictures (n, SIDE, SIDE, c) at the places of their windows (n, 4), smoothed."""
    num, channels = len(pixels), pixels.shape[3]
    rows, columns = _between(window[:, 1], window[:, 3]), _between(window[:, 0], window[:, 2])
    tall = np.matmul(rows, pixels.reshape(num, SIDE, -1)).reshape(num, GRID, SIDE, channels)
    return np.asarray(np.matmul(columns[:, None], tall))


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(n, GRID, SIDE) weights of the pixels in a row at places from low to high, smoothed over a place's width."""
    width = (high - low)[:, None, None]
    at = (low[:, None, None] + width * PLACES[:, None]) * np.float32(SIDE) - np.float32(0.5)
    weight = 1 - np.abs(at - np.arange(SIDE, dtype=np.float32)) / np.maximum(width * np.float32(SIDE / GRID), 1)
    np.maximum(weight, 0, out=weight)
    weight /= np.maximum(weight.sum(axis=2, keepdims=True), np.float32(1e-9))
    return np.asarray(weight)


def _fine(pixels: np.ndarray) -> np.ndarray:
    """What is left of pictures (n, G, G, 3) without their means over 5 x 5 pixels."""
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    total = sum(padded[:, dy : dy + GRID, dx : dx + GRID] for dy, dx in itertools.product(range(5), repeat=2))
    return pixels - total / 25


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) of the values of two batches of pictures, each channel without its mean."""
    a, b = (each - each.mean(axis=(1, 2), keepdims=True) for each in (a, b))
    size = np.sqrt((a**2).sum(axis=(1, 2, 3)) * (b**2).sum(axis=(1, 2, 3)))
    return np.asarray((a * b).sum(axis=(1, 2, 3)) / np.maximum(size, 1e-9))
