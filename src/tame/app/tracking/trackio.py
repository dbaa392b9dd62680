"""Trackio, on this machine: a run for each trial in the study's folder, for `trackio show`.

A trial is written when it is over: Trackio has one current run in a process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tame.app.tracking.tracker import TRACKERS, Kind, Measured, Place, Run
from tame.core.records import TrialState

SENDS = "TRACKIO_"  # variables that name Spaces, servers and webhooks


class Trackio:
    """Writes into a database of the study's folder."""

    def __init__(self, place: Place) -> None:
        for name in [name for name in os.environ if name.startswith(SENDS)]:
            del os.environ[name]  # nothing is sent unless the user named it here
        os.environ |= {"TRACKIO_DIR": str(place.folder), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
        import trackio

        self._trackio, self._place = trackio, place
        self._project = re.sub(r"[^A-Za-z0-9_-]+", "-", place.name).strip("-") or "study"
        self._run: Any = None

    def start(self, run: Run) -> None:
        self._begin(run.name, {"origin": run.origin, "reason": run.reason, **run.params})

    def measure(self, run: Run, points: Sequence[Measured]) -> None:
        for each in points:
            self._run.log(dict(each.values), step=each.epoch)

    def end(self, run: Run, state: TrialState, final: Measured) -> None:
        if final.values:
            self._run.log(dict(final.values), step=final.epoch)
        self._run.finish()

    def score(self, values: Mapping[str, float], *, at: float) -> None:
        self._begin("study", {})
        self._run.log(dict(values))
        self._run.finish()

    def close(self) -> None: ...

    def _begin(self, name: str, config: Mapping[str, object]) -> None:
        self._run = self._trackio.init(
            project=self._project, name=name, group=self._place.name, config=dict(config), embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip


TRACKERS.add("trackio")(Kind(open=Trackio, package="trackio", extra="trackio", is_whole=True))
