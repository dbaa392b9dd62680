"""Trackers: other programs that show trials. All are told the same values in the same order, from one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from tame.core.recipe import Value
from tame.core.records import TrialState
from tame.core.registry import Registry

FOLDER = "tracking"  # in a study's folder: what trackers keep there


class Measured(NamedTuple):
    """What a trial measured after an epoch, by name, such as "valid/loss". at: seconds since 1970."""

    epoch: int
    at: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trial as a tracker knows it. at: when it began; params: the fields in which recipes of the study differ."""

    trial: int
    at: float
    origin: str
    reason: str
    params: Mapping[str, Value]

    @property
    def name(self) -> str:
        return f"trial-{self.trial:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tracker writes. folder: for its own files; address: of its server, where the user named one; name, key:
    of the study, as people and as programs know it."""

    folder: Path
    address: str | None
    name: str
    key: str


class Tracker(Protocol):
    """What a study is told to. May raise whatever its package raises: training goes on without it."""

    def start(self, run: Run) -> None:
        """A trial begins, or goes on after the study was resumed."""

    def measure(self, run: Run, points: Sequence[Measured]) -> None:
        """What a trial measured since the last call."""

    def end(self, run: Run, state: TrialState, final: Measured) -> None:
        """A trial is over. final: when, and what the weights that are judged measured; nothing if all is lost."""

    def score(self, values: Mapping[str, float], *, at: float) -> None:
        """The sealed test part was opened, and these are the scores of what is delivered."""

    def close(self) -> None:
        """Waits until all is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A tracker that is not open yet. package, extra: what it needs, and what installs it.

    has_server: whether an address may be named; is_whole: whether a trial is told when it is over, all at once;
    is_made_again: whether a resumed study writes all from its beginning, and not what is missing.
    """

    open: Callable[[Place], Tracker]
    package: str
    extra: str
    has_server: bool = False
    is_whole: bool = False
    is_made_again: bool = False


TRACKERS: Registry[Kind] = Registry("tracker")


@dataclass(frozen=True, slots=True)
class Named:
    """A tracker that the user named. address: of its server; None: it writes into the study's folder."""

    name: str
    address: str | None = None

    @property
    def kind(self) -> Kind:
        return TRACKERS.get(self.name)
