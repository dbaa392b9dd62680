"""The protocol of a search: a function of history, space and seed, with no handle on anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.core.records import Decision, History
from tame.core.space import Space


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """What a search is bounded by."""

    base: Recipe  # the default recipe, with what the user fixed
    portfolio: tuple[Mapping[str, Any], ...] = ()  # good recipes to try first, as changes of the base
    fixed: frozenset[str] = field(default_factory=frozenset)  # fields that neither portfolio nor space may change
    trials: int = 100_000  # how many recipes are tried at most
    cohort: int = 32  # how many start together
    eta: int = 3  # the best 1/eta of a rung go on
    num_rungs: int = 3

    def __post_init__(self) -> None:
        require(self.trials >= 1, f"trials must be 1 or more, got {self.trials}")
        require(self.cohort >= 1, f"cohort must be 1 or more, got {self.cohort}")
        require(self.eta >= 2, f"eta must be 2 or more, got {self.eta}")
        require(self.num_rungs >= 1, f"num_rungs must be 1 or more, got {self.num_rungs}")

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which trials are compared, rising, the last one being all epochs."""
        last = self.base.epochs
        marks = {max(1, round(last / self.eta**k)) for k in range(self.num_rungs)}
        return tuple(sorted(marks))


class Searcher(Protocol):
    """Laws: a fresh one decides the same from the same history; every proposal lies in the space; a trial that
    diverged never wins."""

    def decide(self, history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]: ...
