"""The chance of training: orders of examples, batches, dropout, and the generators that all code of a process shares;
all from the seed alone."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from threading import RLock

import numpy as np
import torch
from torch import Tensor

from tame.core.rng import stream, stream_seed


def epoch_order(seed: int, epoch: int, num_examples: int) -> Tensor:
    """The order (N,) of all examples in an epoch; the same for all members with that seed."""
    return torch.from_numpy(stream(seed, "order", epoch).permutation(num_examples))


def epoch_batches(seed: int, epoch: int, rows: Tensor, batch_size: int) -> list[Tensor]:
    """The batches of an epoch as row numbers: batch_size each, except for the last, which has the rest."""
    order = epoch_order(seed, epoch, len(rows)).to(rows.device)
    return list(torch.split(rows[order], batch_size))


class StepDraws:
    """The randomness of one step: uniform draws (float32) layer by layer, the same for all members with the seed.

    mine: (n,) which examples of the whole batch are needed, if only a part of it is seen.
    On a CPU a draw is the middle of one of 65,536 equal parts, with four draws from one 64-bit number. This takes a
    fifth of the time of torch's generator, with which drawing was a quarter of a step in a small group.
    """

    def __init__(
        self, seed: int, epoch: int, step: int, batch_size: int, device: torch.device, mine: Tensor | None = None
    ) -> None:
        self._name = (seed, "dropout", epoch, step)
        self._size = batch_size
        self._device = device
        self._mine = mine
        self._chance: torch.Generator | None = None
        self._bits: np.random.SFC64 | None = None

    def __call__(self, width: int) -> Tensor:
        if self._device.type == "cpu":
            return uniform(self.parts(width))
        if self._chance is None:
            self._chance = torch.Generator(self._device).manual_seed(stream_seed(*self._name))
        drawn = torch.rand(self._size, width, generator=self._chance, device=self._device)
        return drawn if self._mine is None else drawn.index_select(0, self._mine)

    def parts(self, width: int) -> np.ndarray:
        """The draws of the next layer on a CPU, (n, width) uint16: the number of each draw's part, for `uniform`."""
        if self._bits is None:
            self._bits = np.random.SFC64(stream_seed(*self._name))
        count = self._size * width
        drawn = self._bits.random_raw(-(-count // 4)).view(np.uint16)[:count].reshape(self._size, width)
        return drawn if self._mine is None else drawn[self._mine.numpy()]


def uniform(parts: np.ndarray) -> Tensor:
    """Draws (float32) in the middle of these parts, of 65,536 equal ones of [0, 1)."""
    return torch.from_numpy(parts).to(torch.float32).mul_(2.0**-16).add_(2.0**-17)


_CHANCE = RLock()  # there is one generator for all threads
MOST_NUMPY_SEED = 2**32  # seeds of numpy's own generator are smaller


class same_chance(AbstractContextManager[None]):
    """Gives the generators of torch, NumPy and Python a state that depends on the name alone, and puts theirs back.

    Written out, since torch's fork_rng and manual_seed take milliseconds without a GPU.
    """

    def __init__(self, seed: int, *name: str | int) -> None:
        self._seed = stream_seed(seed, *name)

    def __enter__(self) -> None:
        _CHANCE.acquire()
        self._cpu = torch.get_rng_state()
        self._numpy, self._python = np.random.get_state(), random.getstate()  # noqa: NPY002, for code of the user's
        initialized = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
        self._gpu = torch.cuda.get_rng_state() if initialized else None
        torch.default_generator.manual_seed(self._seed)
        np.random.seed(self._seed % MOST_NUMPY_SEED)  # noqa: NPY002
        random.seed(self._seed)
        if self._gpu is not None:
            torch.cuda.manual_seed(self._seed)

    def __exit__(self, *problem: object) -> None:
        torch.set_rng_state(self._cpu)
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        if self._gpu is not None:
            torch.cuda.set_rng_state(self._gpu)
        _CHANCE.release()
