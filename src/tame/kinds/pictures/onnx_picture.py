"""A delivered model of pictures for other programs: pixels in, classes or numbers out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor, nn

from tame.core.config import StudyConfig
from tame.core.errors import DataError, require
from tame.data.given_pictures import pictures_alone, pixels_of_given
from tame.data.image_decoding import decode_bytes, judged_warnings, read_bytes
from tame.data.image_depth import UnreadablePicture
from tame.data.image_loading import content_of
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, METADATA, SCHEMA, Asked, N, OnnxForm, spaced, truth_of, validation_ids
from tame.kinds.pictures.features import Pictures
from tame.kinds.pictures.listing import listing_of
from tame.kinds.pictures.prediction import bits_of, find_pictures, looked_at
from tame.kinds.pictures.tasks import MEAN, STD
from tame.kinds.prediction import distances
from tame.parts.losses import LOSSES
from tame.parts.network import Network
from tame.parts.onnx_networks import add_outputs, canonical_nodes, distance_nodes, together_nodes
from tame.parts.operators import BYTES, DOUBLE, FLOAT, Operators
from tame.parts.traced_modules import TRACED

MOST_PICTURES = 100  # that are compared, evenly spaced ones of more
PICTURE = "picture"
BITS = 2.0**22  # of the weights of a filter, which Pillow rounds to whole numbers
VERTICAL_FIRST = 13  # the first Pillow that may begin with the height
CPU = torch.device("cpu")
DECODED = "the file is decoded before: pixels in RGB, one byte a colour, turned upright by EXIF, transparency on white"
SHRUNK = "a picture whose shorter side has more than {} pixels is shrunk to that before, by a bicubic filter"


class _Whole(nn.Module):
    """From normalised pictures to what the head gives, and to what it is given."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        own, pooled = network.backbone, network.recipe.model.pooled
        self.backbone = None if own is None else (own.staged() if pooled else own.module)
        self.width = 0 if own is None else own.width(pooled)
        self.head = network.module

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x: (n, 3, S, S) float32."""
        if self.backbone is None:
            return (self.head(x),)
        features = self.backbone(x)[:, -self.width :]
        return self.head(features), features


def write(network: Network, start: Callable[[Sequence[str]], N]) -> tuple[N, Mapping[str, str]]:
    """From pixels to probabilities: cropped, resized, normalised, judged in every view of the recipe.

    Raises UsageError for a network with an operator that ONNX does not have.
    """
    recipe, own = network.recipe.input, network.backbone
    nodes = start([PICTURE])
    given = nodes.input(PICTURE, BYTES, ["n", "height", "width", 3])
    filter_name = "bicubic" if own is None else str(own.config.get("interpolation", "bicubic"))
    square = square_nodes(nodes, given, size=recipe.size, crop=recipe.crop, bilinear=filter_name == "bilinear")
    mean, std = (_colours(network, name) for name in ("mean", "std"))
    seen = nodes.op("Div", nodes.op("Sub", nodes.cast(square, FLOAT), nodes.constant(mean)), nodes.constant(std))
    if recipe.views > 1:
        mirror = nodes.op("Gather", seen, nodes.whole(*range(recipe.size - 1, -1, -1)), axis=3)
        seen = nodes.op("Concat", seen, mirror, axis=0)
    example = torch.linspace(-1, 1, TRACED * 3 * recipe.size**2).view(TRACED, 3, recipe.size, recipe.size)
    found = nodes.module(_Whole(network).eval(), seen, example=example, name="the network" if own is None else own.name)
    if recipe.views > 1:  # the pictures themselves, and then all of them mirrored
        widths = [LOSSES.get(network.recipe.loss.name).num_outputs(len(network.labels))]
        widths += [] if own is None else [own.width(network.recipe.model.pooled)]
        halves = [
            nodes.op("Reshape", each, nodes.whole(2, -1, width)) for each, width in zip(found, widths, strict=True)
        ]
        found = [nodes.op("ReduceMean", halves[0], nodes.whole(0), keepdims=0)]
        found += [nodes.op("Gather", each, nodes.constant(np.array(0)), axis=0) for each in halves[1:]]
    judged = together_nodes(nodes, network, [canonical_nodes(nodes, network, found[0])])
    distance = ""
    if network.familiar is not None and len(found) > 1:
        distance = distance_nodes(nodes, network.familiar, found[1])
    outputs = add_outputs(nodes, network, judged, distance)
    about = {
        "schema": SCHEMA, "kind": network.kind, "task": network.task, "labels": list(network.labels),
        "inputs": [{"name": PICTURE, "kind": "picture", "type": "uint8", "shape": ["n", "height", "width", 3]}],
        "outputs": outputs, "shortest": network.shortest, "outside": list(_outside(network)),
    }  # fmt: skip
    return nodes, {METADATA: json.dumps(about, ensure_ascii=False)}


def _colours(network: Network, name: str) -> np.ndarray:
    """(1, 3, 1, 1) float32: the mean or the spread of levels that a network was trained with."""
    if network.backbone is None:
        return np.full((1, 3, 1, 1), {"mean": MEAN, "std": STD}[name], np.float32)
    return np.array(network.backbone.config[name], np.float32).reshape(1, 3, 1, 1) * np.float32(255)


def _outside(network: Network) -> Iterable[str]:
    return (DECODED, SHRUNK.format(network.shortest)) if network.shortest else (DECODED,)


# From pixels of any size to the square that the network sees


def square_nodes(nodes: Operators, pixels: str, *, size: int, crop: float, bilinear: bool) -> str:
    """(n, 3, size, size) float64, whole numbers, of pixels (n, H, W, 3): as `square_view` of the picture itself.

    Source: Pillow, Resample.c: weights in double precision, rounded to whole numbers of 2^-22, and after each pass a
    level of 0 to 255.
    """
    x = nodes.cast(nodes.op("Transpose", pixels, perm=[0, 3, 1, 2]), DOUBLE)
    first = nodes.op(
        "Gather", nodes.op("Gather", x, nodes.constant(np.array(0)), axis=0), nodes.constant(np.array(0)), axis=0
    )
    rows, columns = (
        _places(nodes, nodes.op("Gather", first, nodes.constant(np.array(0)), axis=axis)) for axis in (1, 0)
    )
    height, width = (nodes.op("ReduceSum", _ones(nodes, each), nodes.whole(0), keepdims=0) for each in (rows, columns))
    side = nodes.op("Mul", nodes.op("Min", height, width), _number(nodes, crop))
    down = _weights(nodes, rows, height, side, size=size, bilinear=bilinear)
    across = nodes.op("Transpose", _weights(nodes, columns, width, side, size=size, bilinear=bilinear), perm=[1, 0])

    def vertical(own: Operators, values: str) -> str:
        return _levels(own, own.op("MatMul", down, values))

    def horizontal(own: Operators, values: str) -> str:
        return _levels(own, own.op("MatMul", values, across))

    # From Pillow 13 on the height goes first where it loses more than twice as many pixels (found by trying sizes).
    if int(PIL.__version__.split(".")[0]) < VERTICAL_FIRST:
        return vertical(nodes, horizontal(nodes, x))
    tall, wide = (nodes.op("Sub", each, _number(nodes, float(size))) for each in (height, width))
    twice = nodes.op("Max", nodes.op("Mul", wide, _number(nodes, 2.0)), _number(nodes, 0.0))
    return nodes.either(
        nodes.op("Greater", tall, twice), lambda own: horizontal(own, vertical(own, x)),
        lambda own: vertical(own, horizontal(own, x)), kind=DOUBLE,
    )  # fmt: skip


def _places(nodes: Operators, values: str) -> str:
    """(L,) float64 the numbers from 0 on, as many as there are values."""
    counted = nodes.op("CumSum", _ones(nodes, values), nodes.constant(np.array(0)))
    return nodes.op("Sub", counted, _number(nodes, 1.0))


def _ones(nodes: Operators, values: str) -> str:
    """(L,) float64 ones, as many as there are values, which are finite."""
    return nodes.op("Add", nodes.op("Mul", values, _number(nodes, 0.0)), _number(nodes, 1.0))


def _weights(nodes: Operators, every: str, length: str, side: str, *, size: int, bilinear: bool) -> str:
    """(size, length) whole numbers of 2^-22: how much each pixel of a row counts for each of the square's."""
    one, half = _number(nodes, 1.0), _number(nodes, 0.5)
    # Pillow takes the edges of the box in single precision.
    low, high = (
        nodes.cast(nodes.op("Div", nodes.op(kind, length, side), _number(nodes, 2.0)), FLOAT) for kind in ("Sub", "Add")
    )
    scale = nodes.op("Div", nodes.cast(nodes.op("Sub", high, low), DOUBLE), _number(nodes, float(size)))
    wide = nodes.op("Max", scale, one)
    reach = nodes.op("Mul", wide, _number(nodes, 1.0 if bilinear else 2.0))
    steps = nodes.constant(np.arange(size, dtype=np.float64)[:, None] + 0.5)
    centre = nodes.op("Add", nodes.cast(low, DOUBLE), nodes.op("Mul", steps, scale))
    first = nodes.op("Floor", nodes.op("Add", nodes.op("Sub", centre, reach), half))
    last = nodes.op("Floor", nodes.op("Add", nodes.op("Add", centre, reach), half))
    inside = nodes.op("And", nodes.op("GreaterOrEqual", every, first), nodes.op("Less", every, last))
    away = nodes.op("Add", nodes.op("Sub", every, centre), half)
    away = nodes.op("Abs", nodes.op("Mul", away, nodes.op("Div", one, wide)))
    weight = nodes.op("Where", inside, _filter(nodes, away, bilinear), _number(nodes, 0.0))
    weight = nodes.op("Div", weight, nodes.op("ReduceSum", weight, nodes.whole(1), keepdims=1))
    rounded = nodes.op("Floor", nodes.op("Add", nodes.op("Mul", nodes.op("Abs", weight), _number(nodes, BITS)), half))
    return nodes.op("Mul", rounded, nodes.op("Sign", weight))


def _filter(nodes: Operators, x: str, bilinear: bool) -> str:
    """The filter at distances x from its centre, 0 beyond its reach."""
    one, zero = _number(nodes, 1.0), _number(nodes, 0.0)
    if bilinear:
        return nodes.op("Max", nodes.op("Sub", one, x), zero)

    def times(value: str, number: float) -> str:
        return nodes.op("Mul", value, _number(nodes, number))

    def plus(value: str, number: float) -> str:
        return nodes.op("Add", value, _number(nodes, number))

    near = plus(nodes.op("Mul", nodes.op("Mul", plus(times(x, 1.5), -2.5), x), x), 1.0)
    far = times(plus(nodes.op("Mul", plus(nodes.op("Mul", plus(x, -5.0), x), 8.0), x), -4.0), -0.5)
    beyond = nodes.op("Where", nodes.op("Less", x, _number(nodes, 2.0)), far, zero)
    return nodes.op("Where", nodes.op("Less", x, one), near, beyond)


def _levels(nodes: Operators, sums: str) -> str:
    """Levels from 0 to 255 of sums in 2^-22."""
    level = nodes.op("Floor", nodes.op("Div", nodes.op("Add", sums, _number(nodes, BITS / 2)), _number(nodes, BITS)))
    return nodes.op("Min", nodes.op("Max", level, _number(nodes, 0.0)), _number(nodes, 255.0))


def _number(nodes: Operators, value: float) -> str:
    return nodes.constant(np.array(value, dtype=np.float64))


# What it is compared on


def of_study(network: Network, config: StudyConfig, known: Known, folder: Path) -> Asked:
    """The validation pictures of a study. Raises DataError where its data is gone."""
    wanted, listing = validation_ids(config, folder), listing_of(config, folder)
    pictures = [each for each in listing.pictures if each.id in wanted]
    require(bool(pictures), f"no validation picture of the study is in {config.data}; {CHECK}", error=DataError)
    pictures = [pictures[place] for place in spaced(len(pictures), MOST_PICTURES)]
    labels = [listing.classes[each.label] for each in pictures] if listing.classes else []
    truth = truth_of(network, known, [each.id for each in pictures], labels)
    pixels = _decoded(network, ((each.id, partial(content_of, each)) for each in pictures))
    return replace(asked(network, pixels, what="validation pictures"), truth=truth)


def of_path(network: Network, path: Path) -> Asked:
    """The pictures of a folder, or one. Raises UsageError and DataError."""
    files, _ = find_pictures([path])
    require(bool(files), f"{path} holds no pictures", error=DataError)
    chosen = [files[place] for place in spaced(len(files), MOST_PICTURES)]
    pixels = _decoded(network, ((name, partial(read_bytes, file)) for name, file in chosen))
    return asked(network, pixels, what=f"pictures of {path.name}")


def of_inputs(network: Network, x: object) -> Asked:
    """Pictures that are given from Python, as `predict` takes them. Raises UsageError and DataError."""
    pixels = []
    for number, each in islice(enumerate(pictures_alone(x)), MOST_PICTURES):
        try:
            pixels.append(pixels_of_given(each, shortest=network.shortest, bits=bits_of(network)))
        except UnreadablePicture as problem:
            raise DataError(f"picture {number} cannot be read: {problem}") from None
    require(bool(pixels), "no pictures were given", error=DataError)
    return asked(network, pixels, what="pictures given")


def _decoded(network: Network, files: Iterable[tuple[str, Callable[[], bytes]]]) -> list[np.ndarray]:
    """The pixels of pictures, by name and what reads them. Raises DataError where one cannot be read."""
    pixels = []
    for name, read in files:
        try:
            with judged_warnings():
                pixels.append(decode_bytes(read(), shortest=network.shortest, bits=bits_of(network)))
        except UnreadablePicture as problem:
            raise DataError(f"{name}: {problem}") from None
    return pixels


def extremes(network: Network, read: Asked) -> list[Asked]:
    """Made pictures: of noise, tall and wide, tiny and large, black and white; and several in one call."""
    rng, size = np.random.default_rng(0), network.recipe.input.size
    shapes = [(2, 2), (2, 100), (100, 2), (37, 41), (size, size), (size, 2 * size), (3 * size, size)]
    pixels = [rng.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]
    pixels += [np.full((size, size, 3), level, np.uint8) for level in (0, 255)]
    first = read.feeds[0][PICTURE][0]
    several = np.stack([first, first[::-1], first[:, ::-1]])
    together = asked(network, list(several), what="pictures in one call")
    return [asked(network, pixels, what="made pictures"), replace(together, feeds=[{PICTURE: several}])]


def asked(network: Network, pixels: Sequence[np.ndarray], *, what: str) -> Asked:
    """Decoded pictures, one in each call, and what TAME says of them in single precision, as the file computes."""
    what += ", judged in float32" if network.run.get("precision", "float32") != "float32" else ""
    plain = replace(network, run={**network.run, "precision": "float32", "way": "plain"}) if network.run else network
    outputs, seen = looked_at(plain, Pictures(pixels, list(map(str, range(len(pixels))))), device=CPU)
    return Asked(what, [{PICTURE: each[None]} for each in pixels], outputs.double().numpy(), distances(network, seen))


ONNX = OnnxForm(write=write, of_study=of_study, of_path=of_path, of_inputs=of_inputs, extremes=extremes)
