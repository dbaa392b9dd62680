"""What is measured on this machine before a choice, behind a protocol, so that tests can supply the numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from tame.core.clocks import work_clock
from tame.parts import products
from tame.trial.population import Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked

REPEATS, QUICK_S = 3, 0.1  # times that a measurement is made, as long as all of it is quick


class Measurer(Protocol):
    """How long engines take here, and which matrix products are fast on this machine.

    If memory is too small, methods that train raise what the engine raises.
    """

    def alone(self, engine: Serial, member: Member, steps: int, *, whole: bool = False) -> float:
        """Seconds of work per step of one member, or with `whole` on the wall per epoch, measured in so many steps."""
        ...

    def together(self, engine: Stacked, members: Sequence[Member], steps: int) -> float:
        """Seconds of work per step of all these members together, measured in this many steps."""
        ...

    def first_loss(self, engine: Stacked, member: Member, looks: int) -> float:
        """The loss over the first steps of a member, on its own scale."""
        ...

    def onednn_is_exact(self) -> bool:
        """Whether oneDNN multiplies float32 as exactly here as MKL does."""
        ...

    def onednn_pays(self) -> bool:
        """Whether oneDNN is clearly faster here than MKL."""
        ...

    def half_pays(self, device: torch.device) -> bool:
        """Whether products of numbers rounded to bfloat16 are clearly faster here."""
        ...


class Rehearsals:
    """Real measurements: a few steps of copies that are discarded, and a few products.

    Two engines are compared by the work that they do, repeatedly where that is quick, so that a busy machine chooses
    as an idle one does. How long an epoch will take is told by the clock on the wall.
    """

    def alone(self, engine: Serial, member: Member, steps: int, *, whole: bool = False) -> float:
        if whole:
            return engine.rehearse(member, steps)
        clock = work_clock(engine.task.device.type)
        return _least(lambda: engine.rehearse(member, steps, whole=False, clock=clock))

    def together(self, engine: Stacked, members: Sequence[Member], steps: int) -> float:
        clock = work_clock(engine.task.device.type)
        return _least(lambda: engine.rehearse(members, steps, clock=clock))

    def first_loss(self, engine: Stacked, member: Member, looks: int) -> float:
        return engine.first_loss(member, looks)

    def onednn_is_exact(self) -> bool:
        return products.onednn_is_exact()

    def onednn_pays(self) -> bool:
        return products.onednn_pays()

    def half_pays(self, device: torch.device) -> bool:
        return products.half_pays(device)


def _least(measure: Callable[[], float]) -> float:
    """The least of several measurements, or the first one if it is not quick."""
    begun, found = time.perf_counter(), measure()
    for _ in range(REPEATS - 1):
        if time.perf_counter() - begun > QUICK_S:
            break
        found = min(found, measure())
    return found
