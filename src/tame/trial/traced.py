"""Steps without Python: a step is traced once, and torch's interpreter runs the trace.

A step of small networks is a series of about a hundred short calls, and most of its time is spent in Python; two such
trainings on two cores also wait for each other, since they share the interpreter lock. A trace of the same step takes
less than half the time with bit-identical results, and several steps in one call leave the lock to the other training
all the while (benchmarks/README.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import List  # noqa: UP035

import torch
from torch import Tensor, nn

from tame.trial.population import Tensors

AFTER = 50  # steps of a kind before it is traced: about what a trace costs, so the total is at most twice the best
MOST = 200  # traces per process: torch never frees one, and each takes 2.4 MB
OTHER = 0.9  # factor on all numbers when a trace is tested

Move = Callable[[Tensors], Tensor]  # changes some tensors in place and returns the losses (M,)
Trace = Callable[[list[Tensor], list[Tensor]], Tensor]  # (constant tensors, those of K steps) -> losses (K, M)


@dataclass(slots=True)
class Traces:
    """The traces of a process, by what they depend on. Thread-safe.

    after: how many steps of a kind run before it is traced.
    """

    after: int = AFTER
    _known: dict[Hashable, Trace | None] = field(default_factory=dict)  # by kind and sizes
    _made: dict[Hashable, list[Trace]] = field(default_factory=dict)  # by kind
    _seen: dict[Hashable, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def find(
        self, kind: Hashable, sizes: Hashable, move: Move, tensors: Tensors, *, fixed: int, num: int, at_once: bool
    ) -> Trace | None:
        """The trace of a step; None until it was requested often enough, and for steps that cannot be traced.

        kind, sizes: everything that it depends on besides its tensors; a trace for other sizes is used if it gives
        exactly the same results. fixed: how many of the tensors, from the first, stay the same objects; num: how many
        steps will run.
        """
        key = (kind, sizes)
        with self._lock:
            if key not in self._known:
                step = _Step(move, tuple(tensors))
                seen = self._seen.get(key, 0)
                self._seen[key] = seen + num
                made = self._made.get(kind, []) if not seen else []
                found = next((trace for trace in made if _plays(trace, step, tensors, fixed)), None)
                if found is None:
                    if (seen < self.after and not at_once) or sum(map(len, self._made.values())) >= MOST:
                        return None
                    found = self._traced(kind, step, tensors, fixed)
                self._known[key] = found
            return self._known[key]

    def _traced(self, kind: Hashable, step: _Step, tensors: Tensors, fixed: int) -> Trace | None:
        found = _traced(step, tensors)
        self._made.setdefault(kind, []).append(found)
        return found if _plays(found, step, tensors, fixed) else None


TRACES = Traces()  # of this process, shared by all studies


@dataclass(slots=True)
class Steps:
    """Steps of one kind, with tensors that stay the same objects and others that change from step to step.

    kind: everything that a step depends on besides its tensors and their sizes; at_once: trace the first step.
    """

    traces: Traces
    kind: Hashable
    move: Move
    same: Tensors
    at_once: bool = False
    _found: dict[Hashable, Trace] = field(default_factory=dict)

    def __call__(self, changing: Tensors) -> Tensor:
        """Runs K steps one after another, by a trace if there is one, and returns their losses (K, M).

        changing: the tensors of each step, with a leading K.
        """
        num = len(next(iter(changing.values())))
        sizes = tuple((name, value.shape[1:], value.dtype) for name, value in changing.items())
        found = self._found.get(sizes)
        if found is None:
            same = tuple((name, value.shape, value.dtype, value.device) for name, value in self.same.items())
            found = self.traces.find(
                self.kind, (same, sizes), self.move, self._of(changing, 0), fixed=len(self.same), num=num,
                at_once=self.at_once,
            )  # fmt: skip
            if found is None:
                return torch.stack([self.move(self._of(changing, k)) for k in range(num)])
            self._found[sizes] = found
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return found(list(self.same.values()), list(changing.values()))

    def _of(self, changing: Tensors, k: int) -> Tensors:
        return {**self.same, **{name: value[k] for name, value in changing.items()}}


class _Step(nn.Module):
    """A step in the form that torch traces, with all tensors in one list."""

    def __init__(self, move: Move, names: Sequence[str]) -> None:
        super().__init__()
        self._move = move
        self._names = names

    def forward(self, tensors: list[Tensor]) -> Tensor:
        return self._move(dict(zip(self._names, tensors, strict=True)))


class _Loop(nn.Module):
    """A loop over steps, compiled for torch's interpreter."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, same: List[Tensor], changing: List[Tensor]) -> Tensor:  # noqa: UP006 (torch knows only this)
        losses: List[Tensor] = []  # noqa: UP006
        for k in range(changing[0].size(0)):
            losses.append(self.step(same + [each[k] for each in changing]))
        return torch.stack(losses)


def _traced(step: _Step, tensors: Tensors) -> Trace:
    """The trace of a step."""
    # Ignores two warnings: that values computed in Python become constants, which `_plays` checks; and that torch
    # recommends its compiler, which needs a C++ compiler and tens of seconds per shape. Never restored, since
    # filters are restored for all threads at once.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", message=".*torch.jit")  # its category differs between versions
    trace = torch.jit.trace(step, (list(_copies(tensors)),), check_trace=False)  # type: ignore[no-untyped-call]
    found: Trace = torch.jit.script(_Loop(trace))
    return found


def _plays(trace: Trace, step: _Step, tensors: Tensors, fixed: int) -> bool:
    """Whether a trace gives exactly the same results as the step, on other numbers than it was traced with."""
    ours, theirs = _copies(tensors, by=OTHER), _copies(tensors, by=OTHER)
    try:
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            losses = trace(list(theirs[:fixed]), [each[None] for each in theirs[fixed:]])[0]
    except RuntimeError:  # sizes have become part of the trace
        return False
    return _same(losses, step(list(ours))) and all(map(_same, ours, theirs))


def _copies(tensors: Tensors, *, by: float = 1.0) -> tuple[Tensor, ...]:
    return tuple(v * by if v.is_floating_point() and by != 1.0 else v.clone() for v in tensors.values())


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
