"""The random state of the caller, which a study does not touch."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """Leaves the generators of Python, NumPy and torch (if it is loaded) as they were before, whatever draws inside."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002, for it is the user's
    torch = sys.modules.get("torch")
    cpu = None if torch is None else torch.get_rng_state()
    gpu = None if torch is None or not torch.cuda.is_initialized() else torch.cuda.get_rng_state_all()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(cpu)
            if gpu is not None:
                torch.cuda.set_rng_state_all(gpu)
