"""Steps without Python: what a step does is written down once, and played back by torch's own interpreter.

A step of small networks is a row of about a hundred short calls, and most of its time is Python's; two such trainings
on two cores wait for each other besides, since one interpreter lock serves both. A trace of the same step takes less
than half the time, bit for bit the same (benchmarks/README.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

from tame.trial.population import Tensors

AFTER = 50  # steps of a kind before it is traced: about what a trace costs, so that at most twice the best is spent
MOST = 64  # traces that are kept
OTHER = 0.9  # what all numbers are multiplied by that a trace is tried with

Move = Callable[[Tensors], Tensor]  # changes some of the tensors in place, and returns the losses
Trace = Callable[..., Tensor]


@dataclass(slots=True)
class Traces:
    """The traces of a process, by what they depend on. May be used by several threads.

    after: how many steps of a kind are made before it is traced.
    """

    after: int = AFTER
    _known: dict[Hashable, Trace | None] = field(default_factory=dict)
    _seen: dict[Hashable, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def find(self, key: Hashable, move: Move, tensors: Tensors, *, at_once: bool) -> Trace | None:
        """The trace of a step, once it has been asked for often enough; None before, and for what cannot be traced."""
        with self._lock:
            if key not in self._known:
                self._seen[key] = self._seen.get(key, 0) + 1
                if self._seen[key] <= self.after and not at_once:
                    return None
                self._known[key] = _traced(move, tensors)
                for old in list(self._known)[:-MOST]:
                    del self._known[old], self._seen[old]
            return self._known[key]


TRACES = Traces()  # of this process: torch never lets go of a trace, so that studies share theirs


@dataclass(slots=True)
class Steps:
    """Steps of one kind on tensors that stay the same objects, and on some that change from step to step.

    kind: all that a step depends on besides its tensors; at_once: the first one is traced.
    """

    traces: Traces
    kind: Hashable
    move: Move
    same: Tensors
    at_once: bool = False
    _found: dict[Hashable, Trace] = field(default_factory=dict)

    def __call__(self, changing: Tensors) -> Tensor:
        """What the step makes of all these tensors: by its trace, if there is one."""
        sizes = tuple((name, value.shape, value.dtype) for name, value in changing.items())
        found = self._found.get(sizes)
        if found is None:
            tensors = {**self.same, **changing}
            same = tuple((name, value.shape, value.dtype, value.device) for name, value in self.same.items())
            made = self.traces.find((self.kind, same, sizes), self.move, tensors, at_once=self.at_once)
            if made is None:
                return self.move(tensors)
            found = self._found[sizes] = made
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return found(*self.same.values(), *changing.values())


def _traced(move: Move, tensors: Tensors) -> Trace | None:
    """The trace of a step; None unless it gives exactly the same as the step does, on other numbers too."""

    def flat(*values: Tensor) -> Tensor:
        return move(dict(zip(tensors, values, strict=True)))

    with warnings.catch_warnings():
        # That sizes are taken for constants, which they are here; and that torch would rather have its compiler used,
        # which needs another one on the machine, and tens of seconds for each shape.
        warnings.simplefilter("ignore")
        found: Trace = torch.jit.trace(flat, _copies(tensors), check_trace=False)  # type: ignore[no-untyped-call]
    vars(found).clear()  # torch leaves the function there, and with it all the tensors that it knows
    ours, theirs = _copies(tensors, by=OTHER), _copies(tensors, by=OTHER)
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        pairs = [(flat(*ours), found(*theirs)), *zip(ours, theirs, strict=True)]
    return found if all(_same(a, b) for a, b in pairs) else None


def _copies(tensors: Tensors, *, by: float = 1.0) -> tuple[Tensor, ...]:
    return tuple(v * by if v.is_floating_point() and by != 1.0 else v.clone() for v in tensors.values())


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())
