"""MLflow: a run for each trial, in an experiment for the study; in its folder, or on a server that the user named.

Runs are found again by their tags, so that a resumed study goes on with them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from tame.app.tracking.tracker import TRACKERS, Kind, Measured, Place, Run
from tame.core.records import TrialState

FILE = "mlflow.db"
STUDY, TRIAL = "tame.study", "tame.trial"  # tags by which runs are found again
SCORE = "score"  # in place of a trial's number
PAGE = 1_000  # runs that are read at once
BATCH = 1_000  # metrics that MLflow takes at once
LONGEST, LONGEST_NAME = 500, 250  # characters of a value, and of a name
ENDS: Mapping[TrialState, str] = {"diverged": "FAILED", "failed": "FAILED", "paused": "KILLED", "running": "KILLED"}
# MLflow reads these from the environment alone. A server that is down must not be asked for minutes.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class MLflow:
    """Tells a server, or a database in the study's folder."""

    def __init__(self, place: Place) -> None:
        os.environ.update(QUIET)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric, self._param = Metric, Param
        self._key = place.key
        self._client = MlflowClient(tracking_uri=place.address or f"sqlite:///{place.folder / FILE}")
        known = self._client.get_experiment_by_name(place.name)
        stored = None if place.address else (place.folder / "artifacts").as_uri()
        self._experiment = (
            self._client.create_experiment(place.name, artifact_location=stored)
            if known is None
            else known.experiment_id
        )
        self._runs: dict[str, str] = {}
        page = None
        while True:
            mine = f"tags.`{STUDY}` = '{self._key}'"
            found = self._client.search_runs([self._experiment], mine, max_results=PAGE, page_token=page)
            self._runs |= {run.data.tags[TRIAL]: run.info.run_id for run in found if TRIAL in run.data.tags}
            page = found.token
            if not page:
                return

    def start(self, run: Run) -> None:
        if str(run.trial) in self._runs:
            return
        tags = {"tame.origin": run.origin, "mlflow.note.content": run.reason}
        own = self._begin(str(run.trial), run.name, tags, run.at)
        params = [self._param(_name(name), str(value)[:LONGEST]) for name, value in run.params.items()]
        self._client.log_batch(own, params=params)

    def measure(self, run: Run, points: Sequence[Measured]) -> None:
        every = [
            self._metric(_name(name), value, _ms(each.at), each.epoch)
            for each in points
            for name, value in each.values.items()
        ]
        for first in range(0, len(every), BATCH):
            self._client.log_batch(self._runs[str(run.trial)], metrics=every[first : first + BATCH])

    def end(self, run: Run, state: TrialState, final: Measured) -> None:
        own = self._runs[str(run.trial)]
        self.measure(run, [final])
        self._client.set_tag(own, "tame.state", state)
        self._client.set_terminated(own, status=ENDS.get(state, "FINISHED"), end_time=_ms(final.at))

    def score(self, values: Mapping[str, float], *, at: float) -> None:
        own = self._runs.get(SCORE) or self._begin(SCORE, "study", {}, at)
        self._client.log_batch(own, metrics=[self._metric(_name(name), v, _ms(at), 0) for name, v in values.items()])
        self._client.set_terminated(own, end_time=_ms(at))

    def close(self) -> None: ...

    def _begin(self, trial: str, name: str, tags: Mapping[str, str], at: float) -> str:
        every = {STUDY: self._key, TRIAL: trial, **tags}
        made = self._client.create_run(self._experiment, start_time=_ms(at), tags=every, run_name=name)
        self._runs[trial] = str(made.info.run_id)
        return self._runs[trial]


def _name(name: str) -> str:
    """A name as MLflow takes it: of its characters, and such that as a path it leads nowhere else."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    return "/".join(part for part in parts if part.strip(". "))[:LONGEST_NAME] or "value"


def _ms(at: float) -> int:
    return round(1000 * at)


TRACKERS.add("mlflow")(Kind(open=MLflow, package="mlflow", extra="mlflow", has_server=True))
