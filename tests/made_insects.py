"""A small folder of pictures for the tests of edits: three colours, copies, and one picture under a wrong label."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bee", "fly", "wasp")


def insects(root: Path, *, each: int = 16, seed: int = 0) -> Path:
    """The folder. Each file has a name of its own, by which it is found wherever it is told."""
    chance = np.random.default_rng(seed)
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for place in range(each):
            pixels = chance.integers(0, 90, (40, 40, 3), dtype=np.uint8)
            pixels[..., number] += 120
            Image.fromarray(pixels).save(root / name / f"{name}-{place:02}.png")
    for place in range(3):
        copy = (root / "bee" / f"bee-{place:02}.png").read_bytes()
        (root / "bee" / f"bee-copy-{place:02}.png").write_bytes(copy)
    return root


def hashes(root: Path) -> dict[str, str]:
    """SHA-256 and time of change of all files in a folder."""
    return {
        str(path.relative_to(root)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
