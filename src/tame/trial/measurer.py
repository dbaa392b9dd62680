"""What is measured on this machine before a choice, behind a protocol, so that tests can supply the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from tame.parts import products
from tame.trial.population import Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked


class Measurer(Protocol):
    """How long engines take here, and which matrix products are fast on this machine.

    If memory is too small, methods that train raise what the engine raises.
    """

    def alone(self, engine: Serial, member: Member, steps: int, *, whole: bool = False) -> float:
        """Seconds per step of one member, or per epoch with `whole`, measured in this many steps."""
        ...

    def together(self, engine: Stacked, members: Sequence[Member], steps: int) -> float:
        """Seconds per step of all these members together, measured in this many steps."""
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
    """Real measurements: a few steps of copies that are discarded, and a few products."""

    def alone(self, engine: Serial, member: Member, steps: int, *, whole: bool = False) -> float:
        return engine.rehearse(member, steps, whole=whole)

    def together(self, engine: Stacked, members: Sequence[Member], steps: int) -> float:
        return engine.rehearse(members, steps)

    def first_loss(self, engine: Stacked, member: Member, looks: int) -> float:
        return engine.first_loss(member, looks)

    def onednn_is_exact(self) -> bool:
        return products.onednn_is_exact()

    def onednn_pays(self) -> bool:
        return products.onednn_pays()

    def half_pays(self, device: torch.device) -> bool:
        return products.half_pays(device)
