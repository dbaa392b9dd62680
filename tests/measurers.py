"""Measurers that are told what they find, so that a test decides which engine is chosen."""

from __future__ import annotations

import torch

from tame.trial.measurer import Rehearsals


class Told(Rehearsals):
    """Steps take as long as it is told: alone_s for one member alone, together_s for a group of any size."""

    def __init__(self, *, alone_s=1.0, together_s=1.0):
        self.alone_s, self.together_s = alone_s, together_s

    def alone(self, engine, member, steps, *, whole=False):
        return self.alone_s

    def together(self, engine, members, steps):
        return self.together_s


TOGETHER = Told(alone_s=2.0, together_s=1.0)  # members are trained together, however few they are
ALONE = Told(alone_s=1.0, together_s=1e6)  # members are trained one by one


class Company(Rehearsals):
    """So many members and more are faster together, fewer are not: what is chosen depends on how many there are."""

    def __init__(self, *, least):
        self.least = least

    def alone(self, engine, member, steps, *, whole=False):
        return 1.0

    def together(self, engine, members, steps):
        return len(members) * (0.5 if len(members) >= self.least else 2.0)


class OutOfMemory(Rehearsals):
    """Memory never suffices for a group, and for one member alone where a batch is in that many parts or more."""

    def __init__(self, *, parts):
        self.parts = parts

    def alone(self, engine, member, steps, *, whole=False):
        return super().alone(engine, member, steps, whole=whole) if engine.parts >= self.parts else run_out()

    def together(self, engine, members, steps):
        return run_out()


def run_out():
    raise torch.OutOfMemoryError("CUDA out of memory")
