"""Weights & Biases, offline: a run for each trial in the study's folder, for `wandb sync` if the user wants it.

A trial is written when it is over: an offline run cannot be continued by another process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tame.app.tracking.tracker import TRACKERS, Kind, Measured, Place, Run
from tame.core.records import TrialState


class WeightsAndBiases:
    """Writes offline runs. Nothing is sent: the package has no part in this process that connects."""

    def __init__(self, place: Place) -> None:
        os.environ |= {
            "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_CACHE_DIR": str(place.folder / "cache"),
            "WANDB_CONFIG_DIR": str(place.folder / "config"), "WANDB_DATA_DIR": str(place.folder / "data"),
        }  # fmt: skip
        import wandb

        self._wandb, self._place = wandb, place
        self._settings = wandb.Settings(
            console="off", silent=True, symlink=False, x_disable_stats=True, x_disable_meta=True,
            x_disable_machine_info=True, disable_git=True, disable_code=True,
        )  # fmt: skip
        self._run: Any = None  # of the trial that is told now

    def start(self, run: Run) -> None:
        self._begin(f"{run.trial:05d}", run.name, {"origin": run.origin, **run.params}, notes=run.reason)

    def measure(self, run: Run, points: Sequence[Measured]) -> None:
        for each in points:
            self._run.log(dict(each.values), step=each.epoch)

    def end(self, run: Run, state: TrialState, final: Measured) -> None:
        self._run.summary.update({**final.values, "state": state})
        self._finish(int(state in ("diverged", "failed")))

    def score(self, values: Mapping[str, float], *, at: float) -> None:
        self._begin("score", "study", {}, notes="")
        self._run.summary.update(dict(values))
        self._finish(0)

    def close(self) -> None:
        self._wandb.teardown()

    def _finish(self, code: int) -> None:
        self._run.finish(exit_code=code)
        for each in Path(self._run.settings.sync_dir).rglob("*"):
            if each.is_symlink():  # to a log of the package; a study's folder holds no links
                each.unlink()

    def _begin(self, id: str, name: str, config: Mapping[str, object], *, notes: str) -> None:
        self._run = self._wandb.init(
            project="tame", group=self._place.name, name=name, id=f"{self._place.key}-{id}", config=dict(config),
            notes=notes or None, dir=str(self._place.folder), mode="offline", reinit="create_new",
            settings=self._settings,
        )  # fmt: skip


TRACKERS.add("wandb")(Kind(open=WeightsAndBiases, package="wandb", extra="wandb", is_whole=True))
