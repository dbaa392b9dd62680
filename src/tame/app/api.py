"""The Python call: the same job as `tame fit`, with the study as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tame.app.predict import predict_paths
from tame.app.progress import watcher_for
from tame.app.run import fit_study, resume_study, write_report
from tame.core.config import StudyConfig, parse_time
from tame.core.errors import UsageError
from tame.core.records import Finding, Score
from tame.core.space import Choice, Dimension, Float
from tame.study.record import read_state


@dataclass(frozen=True, slots=True)
class FittedStudy:
    """A finished study. `result` holds everything that the report shows."""

    folder: Path
    result: Mapping[str, Any]

    @property
    def score(self) -> Score:
        """The test score with its 95 % interval."""
        return Score(**self.result["score"])

    @property
    def findings(self) -> list[Finding]:
        """What the doctor saw, the gravest first."""
        return [Finding(**each) for each in self.result["findings"]]

    def predict(self, *inputs: str | Path) -> list[dict[str, Any]]:
        """For each picture its label, probability and probabilities. Folders stand for the pictures in them."""
        found: list[dict[str, Any]] = predict_paths(self.folder, [Path(each) for each in inputs])["predictions"]
        return found

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the report again, into the study's folder or to a path, and returns where it is."""
        config, state = read_state(self.folder)
        own = write_report(self.folder, self.result, state.history, config)
        if path is None:
            return own
        Path(path).write_bytes(own.read_bytes())
        return Path(path)


def fit(
    data: str | Path,
    *,
    time: str | float | None = None,
    space: Mapping[str, Dimension] | Sequence[str] = (),
    quiet: bool = False,
    **settings: Any,
) -> FittedStudy:
    """The best network for a folder of pictures, found within `time`, with an honest score.

    space: dimensions by recipe field (tame.Float, tame.Int, tame.Choice), or texts as on the command line; settings:
    the fields of StudyConfig (backbone, trials, epochs, metric, seed, out, ...). Raises the errors of tame.core.errors.
    """
    seconds = parse_time(time) if isinstance(time, str) else time
    texts = tuple(f"{name}={_text(dim)}" for name, dim in space.items()) if isinstance(space, Mapping) else tuple(space)
    known = StudyConfig.__dataclass_fields__
    for name in settings:
        if name not in known:
            StudyConfig.from_json({name: None})  # raises with the nearest name
    config = StudyConfig(data=str(data), time_s=seconds, space=texts, **settings)
    result = fit_study(config, watcher_for(quiet=quiet))
    return FittedStudy(Path(result["study"]), result)


def load(folder: str | Path) -> FittedStudy:
    """A finished study from its folder; one that was stopped is not finished (see `resume`)."""
    _, state = read_state(Path(folder))
    if "result" not in state.last:
        raise UsageError(f"{folder} is not finished; go on with: tame resume {folder}")
    return FittedStudy(Path(folder), state.last["result"])


def resume(folder: str | Path, *, quiet: bool = False) -> FittedStudy:
    """Goes on with a study that was stopped or killed, to its end."""
    return FittedStudy(Path(folder), resume_study(Path(folder), watcher_for(quiet=quiet)))


def _text(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return "|".join(map(str, dimension.values))
    scale = ":log" if dimension.log else ""
    low, high = (
        (repr(float(dimension.low)), repr(float(dimension.high)))
        if isinstance(dimension, Float)
        else (str(dimension.low), str(dimension.high))
    )
    return f"{low}..{high}{scale}"
