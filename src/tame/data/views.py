"""What a network sees of a picture: a square crop at its input size, as one of several views.

View 0 is the picture itself (its centre), view 1 its mirror image, later ones are random crops, every second one
mirrored. A view depends on the picture and on its number alone, so that its features can be computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tame.core.rng import stream

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
CROP_AREA = (0.6, 1.0)  # of the picture, for the random views
CROP_ASPECT = (3 / 4, 4 / 3)


def square_view(
    pixels: np.ndarray, *, size: int, view: int, name: str, crop: float = 0.875, interpolation: str = "bicubic"
) -> np.ndarray:
    """One view of a picture. pixels: (H, W, 3) uint8; name: what the random views depend on. Returns (size, size, 3).

    crop: the share of the shorter side that view 0 shows (timm's crop_pct). Cropping and resizing are one step with
    antialiasing, so no picture is ever resized twice.
    """
    height, width = pixels.shape[:2]
    mirrored = view % 2 == 1
    if view < 2:
        side = min(height, width) * crop
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    else:
        box = _random_box(height, width, stream(0, "view", name, view))
    image = Image.fromarray(pixels)
    seen = np.asarray(image.resize((size, size), FILTERS.get(interpolation, FILTERS["bicubic"]), box=box))
    return seen[:, ::-1] if mirrored else seen


def _random_box(height: int, width: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A crop of random area and aspect. Source: Szegedy et al., Going Deeper with Convolutions (2015), section 6."""
    area = height * width * rng.uniform(*CROP_AREA)
    aspect = np.exp(rng.uniform(*np.log(CROP_ASPECT)))
    box_width, box_height = min((area * aspect) ** 0.5, width), min((area / aspect) ** 0.5, height)
    left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    return (left, top, left + box_width, top + box_height)


def central_pixels(pixels: Sequence[np.ndarray], *, size: int, crop: float, interpolation: str = "bicubic") -> Tensor:
    """(n, 3, S, S) uint8: the central squares of pictures, for networks that are trained on pixels."""
    seen = [square_view(p, size=size, view=0, name="", crop=crop, interpolation=interpolation) for p in pixels]
    return torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).contiguous()
