"""What is measured of this machine before a choice is made, behind one protocol, so that it can be told instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from tame.parts import products
from tame.trial.population import Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked


class Measurer(Protocol):
    """How long engines take here, and which products this machine is good at.

    Whatever trains raises what the engine raises where memory does not suffice.
    """

    def alone(self, engine: Serial, member: Member, steps: int, *, whole: bool = False) -> float:
        """Seconds of a step of one member, or of an epoch where the `whole` is asked for, from so many steps."""
        ...

    def together(self, engine: Stacked, members: Sequence[Member], steps: int) -> float:
        """Seconds of a step of all these members, from so many steps."""
        ...

    def first_loss(self, engine: Stacked, member: Member, looks: int) -> float:
        """The loss over the first steps of a member, in its own scale."""
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
    """Measures for real: a few steps of copies that are thrown away, and a few products."""

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
