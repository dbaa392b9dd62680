"""Many independent, named streams of random numbers from one seed.

A stream depends only on the seed and its name, so that a new use of randomness does not change the others, and a
resumed run draws what the uninterrupted one would have drawn.
Source: numpy SeedSequence (Melissa O'Neill's seed_seq, 2015), fed with a BLAKE2 digest of the name.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream `name`, for generators other than NumPy's."""
    text = "\x1f".join(str(part) for part in (seed, *name))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """A numpy generator for the stream `name`."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, *name)))
