"""The Python call: the same job as `tame fit`, with the study as a value."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tame.app.own_stores import store_of
from tame.app.own_studies import Outside, is_own
from tame.app.progress import watching
from tame.app.random_state import unchanged_random_state
from tame.app.run import fit_study, resume_study, write_report
from tame.app.tracking.known import parse_trackers
from tame.app.tracking.tracker import Named
from tame.core.conditions import PLAIN, check_values
from tame.core.config import ARRAYS, INLINE, PICTURES, StudyConfig, by_field
from tame.core.dimensions import but
from tame.core.errors import UsageError, require, unknown
from tame.core.files import read_bytes, write_bytes
from tame.core.options import parse_time, whole_paths
from tame.core.plain import from_plain
from tame.core.recipe import Value
from tame.core.records import Finding, History, Score
from tame.core.result import Result
from tame.core.space import Dimension, field_of, to_text
from tame.data.arrays import Arrays, read_arrays
from tame.data.foreign import is_from
from tame.data.given_pictures import is_picture, pictures_given
from tame.data.images import Part
from tame.data.one_input import ONE_INPUT, require_one_input
from tame.data.own_inputs import read_own_inputs
from tame.data.tables import Table
from tame.kinds.arrays.source import keep_arrays
from tame.kinds.pictures.given import keep_pictures
from tame.study.clock import give_time
from tame.study.pricing import set_limits
from tame.study.space import ask_for
from tame.study.state import read_state, unfinished
from tame.worker.environment import WORKER, reference_to

if TYPE_CHECKING:
    from torch import nn

    from tame.core.exported import Exported
    from tame.kinds.prediction import Told  # which load torch
    from tame.parts.network import Build, Network
    from tame.report.notebook import Chart


_SEVERAL = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)  # **kwargs need none


@dataclass(frozen=True)
class FittedStudy:
    """A finished study. `result` holds everything that the report shows. build: the function that made your module.

    In a notebook it shows the first screen of its report.

    >>> sorted(study.predict(x[:1])[0])
    ['distance', 'input', 'label', 'probabilities', 'probability', 'unlike']
    >>> study.outputs(x[:3]).shape  # rows and classes
    (3, 2)
    """

    folder: Path
    result: Mapping[str, Any]
    build: Build | None = None

    def __repr__(self) -> str:
        from tame.report.notebook import in_one_line

        return f"<tame study {in_one_line(Result.from_json(self.result))}>"

    def _repr_html_(self) -> str:
        from tame.report.notebook import first_screen

        return first_screen(Result.from_json(self.result))

    @property
    def score(self) -> Score:
        """The test score with its 95 % interval."""
        return Score(**self.result["score"])

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found, the most severe first."""
        return [from_plain(Finding, each, what="a finding") for each in self.result["findings"]]

    def predict(self, *inputs: Any, sure: float | None = None) -> list[dict[str, Any]]:
        """The label, probability and probabilities of each example, or its value.

        Where the model can tell, also its distance from the training data, and whether it is unlike these, which is
        so for about 1 in 100 of examples that are like them. sure: the probability below which the label is None.

        inputs: paths of pictures, folders or tables, or a list of them; or one array or frame like the one the study
        was fitted to, one of Pillow's pictures, or a list or dataset of them. What cannot be read, or is unlike the
        training table, is told by warnings.
        """
        from tame.app.predict import as_plain, named, predict_paths, require_classes

        inputs = paths_in(inputs) or inputs
        if len(inputs) == 1 and not isinstance(inputs[0], str | Path):
            network, told = self._judged(inputs[0])
            require_classes(network, sure)
            names = list(map(str, range(len(told.outputs))))
            own = named(network, names, told.outputs, distances=told.distances, sure=sure)
        else:
            predicted = predict_paths(self.folder, [Path(each) for each in inputs], sure=sure)
            own = predicted.predictions
            skipped = [f"skipped {left.input}: {left.reason}" for left in predicted.skipped]
            for said in (*(predicted.notes or ()), *skipped):
                warnings.warn(said, stacklevel=2)
        return [as_plain(each) for each in own]

    def outputs(self, x: object) -> np.ndarray:
        """(n, C) probabilities, or (n,) numbers for a regression, for an array or frame of n examples."""
        from tame.evaluate.score import softmax

        network, told = self._judged(x)
        return softmax(told.outputs) if network.labels else told.outputs[:, 0]

    @unchanged_random_state()
    def _judged(self, x: object) -> tuple[Network, Told]:
        from tame.app.predict import judge_inputs, open_model

        network = open_model(self.folder, self.build)
        return network, judge_inputs(network, x)

    @cached_property
    def module(self) -> nn.Module:
        """The trained network with its preprocessing, as a module of torch, in evaluation mode; read once.

        It takes raw examples: pictures as uint8 (n, 3, H, W), rows as a frame or array like the one of the training,
        arrays as they were given; your own module takes what it always takes, and its state_dict has the keys that it
        has always had. It gives (n, C) logits, whose softmax `outputs` gives, or (n, 1) numbers in units of the target.
        """
        from tame.app.predict import open_model
        from tame.kinds.materials import prediction_of

        with unchanged_random_state():
            network = open_model(self.folder, self.build)
            return prediction_of(network.kind).module(network)

    def export(
        self,
        *,
        onnx: str | Path | None = None,
        pt2: str | Path | None = None,
        int8: bool = False,
        check: object = None,
    ) -> Exported:
        """The model as one file that says the same as `predict`, and what it was compared on.

        onnx, pt2: the file, for ONNX Runtime, or as a program of torch.export; one of them. int8: with weights in 8
        bits, of an ONNX file. check: what to compare on,
        as `predict` takes it (a path, an array, a frame), in place of the validation examples. Raises UsageError for a
        part that ONNX does not have, and says where it is; RefusedError, with no file written, where the file would say
        something else.
        """
        from tame.app.model_files import Format, export_model

        file = onnx if pt2 is None else pt2
        if file is None or (onnx is not None and pt2 is not None):
            raise UsageError("give one file to write: onnx= or pt2=")
        given = Path(check) if isinstance(check, str) else check
        with unchanged_random_state():
            to: Format = "onnx" if pt2 is None else "pt2"
            return export_model(self.folder, Path(file), to=to, int8=int8, check=given, build=self.build)

    def trials(self, frame: str = "pandas") -> Any:
        """A row for each trial: origin, state, epochs, values on the validation examples, and the fields of its recipe.

        frame: "pandas", or "arrow" for a table of pyarrow. Raises UsageError where pandas is not installed.
        """
        from tame.app.frames import trials_frame

        return trials_frame(self._history(), frame)

    def curves(self, frame: str = "pandas") -> Any:
        """A row for each epoch of each trial: its losses, and the metric with its standard error over folds.

        frame, errors: as of `trials`.
        """
        from tame.app.frames import curves_frame

        return curves_frame(self._history(), frame)

    def plot(self, chart: str = "curves") -> Chart:
        """A chart of the report, which a notebook shows; `.svg` is a file of it.

        chart: curves (validation loss), train, metric, score, rates, finalists, classes, calibration, agreement or
        split. Raises UsageError for another, and for one that this study does not have.
        """
        from tame.report.notebook import chart as drawn

        return drawn(chart, Result.from_json(self.result), self._history())

    def _history(self) -> History:
        return read_state(self.folder, store=store_of(self.folder))[1].history

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the report again, into the study's folder or to a path, and returns its path."""
        config, state = read_state(self.folder, store=store_of(self.folder))
        own = write_report(self.folder, Result.from_json(self.result), state.history, config if is_own(state) else None)
        if path is None:
            return own
        target = Path(path)
        write_bytes(target.parent, target.name, read_bytes(own.parent, own.name))
        return target


@unchanged_random_state()
def fit(
    data: object,
    *,
    model: Build | None = None,
    loss: str | None = None,
    time: str | float | None = None,
    space: Mapping[str, Dimension] | Sequence[str] = (),
    set: Mapping[str, object] | None = None,
    start_from: str | Path | Sequence[str | Path] = (),
    track: str | Sequence[str] = (),
    quiet: bool = False,
    **settings: object,
) -> FittedStudy:
    """A study that found the best network for pictures, a table or arrays within `time`, with an honest score.

    data: a folder of pictures, a CSV or Parquet file (with `target`), (X, y) of NumPy, torch, pandas, polars, pyarrow
    or a dict of columns, or a Dataset of (x, y) pairs; (pictures, labels), the pictures as paths or Pillow's, a dataset
    of them, as torchvision's and Hugging Face's, or a dict of such by part. model: a function that makes an nn.Module
    from its own hyperparameters, which `space` may name. space: dimensions by recipe field (tame.Float, tame.Int,
    tame.Choice), or texts as on the command line; set: fields that are fixed; start_from: folders of earlier studies
    whose best recipes are tried first; track: programs that are told what happens ("tensorboard", "mlflow",
    "mlflow=http://127.0.0.1:5000", "wandb", "trackio"); settings: the fields of StudyConfig (target, image, text,
    columns={"year": "category", "id": "ignore"}, backbone, trials, epochs, search, widen, stop_search_early, metric,
    seed, workers, ray, objective="latency", limit={"size": "5MB"}, out, store, ...).
    Raises the errors of tame.core.errors.

    >>> import numpy as np
    >>> import tame
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> y = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    >>> study = tame.fit((x, y), trials=2, epochs=3, out="runs/example", quiet=True)
    >>> study.score.n  # rows that nothing had seen: a fifth
    40
    >>> 0 <= study.score.low <= study.score.value <= study.score.high <= 1
    True
    """
    refuse_inside_worker()
    seconds = parse_time(time) if isinstance(time, str) else _scalar(time)
    named = {**settings, **({"start_from": start_from} if start_from else {})}
    given = {name: _scalar(value) for name, value in by_field(named).items()}
    _require_function(model)
    trackers = _trackers(track)
    texts, fixed = asked(model, space, set, loss)
    earlier = _folders(given.pop("start_from", ()))
    about: dict[str, Any] = {"time_s": seconds, "space": texts, "set": fixed, "start_from": earlier, **given}
    if isinstance(data, str | Path):
        require(model is None, "your own model needs arrays: tame.fit((X, y), model=build)")
        with watching(quiet=quiet) as watcher:
            result = fit_study(StudyConfig(data=str(data), **about), watcher, trackers=trackers)
        return FittedStudy(Path(result.study), result.to_json())
    pictures = pictures_given(data)
    if pictures is not None:
        require(model is None, "your own model needs arrays: tame.fit((X, y), model=build)")
        return _fit_pictures(pictures, about, trackers, quiet=quiet)
    arrays = _arrays(data, own=model is not None)
    if model is None and not isinstance(arrays.x, Table):
        raise UsageError("arrays with more than two dimensions need your own model: model=build")
    reference = None if model is None else (reference_to(model) or INLINE)
    config = StudyConfig(data=ARRAYS, model=reference, **{**about, "out": about.get("out") or _out("arrays")})

    def keep(folder: Path) -> None:
        keep_arrays(arrays, config.task, folder, plain=model is not None, told=config.told)

    with watching(quiet=quiet) as watcher:
        if reference == INLINE:
            watcher.note("another process cannot import the function of the model, so this process trains it")
        result = fit_study(config, watcher, keep=keep, build=model, trackers=trackers)
    return FittedStudy(Path(result.study), result.to_json(), model)


def _fit_pictures(
    pictures: Mapping[Part, object], about: Mapping[str, Any], trackers: Sequence[Named], *, quiet: bool
) -> FittedStudy:
    """A study of pictures given from Python."""
    config = StudyConfig(data=PICTURES, **{**about, "out": about.get("out") or _out("pictures")})
    with watching(quiet=quiet) as watcher:
        result = fit_study(
            config, watcher, keep=lambda folder: keep_pictures(pictures, config, folder), trackers=trackers
        )
    return FittedStudy(Path(result.study), result.to_json())


def paths_in(inputs: Sequence[object]) -> tuple[str | Path, ...]:
    """The paths of one list of paths of pictures; () for any other inputs."""
    [own] = inputs if len(inputs) == 1 else [None]
    if not isinstance(own, list | tuple) or not all(isinstance(each, str | Path) and is_picture(each) for each in own):
        return ()
    return tuple(own)


def _arrays(data: object, *, own: bool) -> Arrays:
    """The examples and targets in (X, y) or a dataset. own: whether a model of the user's own is given them."""
    pair = isinstance(data, tuple) and len(data) == 2
    if isinstance(data, tuple) and not pair:
        raise UsageError(f"data is a tuple of {len(data)}: give (X, y). If X is several arrays: {ONE_INPUT}")
    x, y = data if isinstance(data, tuple) else (data, None)
    if y is not None:
        require_one_input(x, len(y) if hasattr(y, "__len__") else None)
    return read_arrays(x, y, read=read_own_inputs if own else None)


def asked(
    model: Build | None,
    space: Mapping[str, Dimension] | Sequence[str],
    set: Mapping[str, object] | None,
    loss: str | None,
) -> tuple[tuple[str, ...], dict[str, Value]]:
    """The space as texts, and the fixed fields; arguments of the model may be named without `own.`.

    Raises UsageError for a value that is not a dimension.
    """
    own = arguments_of(model)
    require(set is None or isinstance(set, Mapping), f"set is {set!r}; give a dict of recipe fields and values")
    fixed = {_field(name, own): _plain(name, value) for name, value in (set or {}).items()}
    if loss is not None:
        fixed["loss.name"] = loss
    if not isinstance(space, Mapping):
        return _texts(space), fixed
    for name, dim in space.items():
        right = isinstance(name, str) and isinstance(dim, Dimension)
        require(right, f"space[{name!r}] is {dim!r}; give a tame.Float, tame.Int or tame.Choice")
        if own and "." not in name and field_of(name) not in (*own, *PLAIN):
            raise UsageError(unknown("argument of the model or recipe field", field_of(name), (*own, *PLAIN)))
    whole = {_field(name, own): _on_fields(dim, own) for name, dim in space.items()}
    for name, dim in whole.items():
        _require_default(model, name, dim)
        check_values(name, dim)
    return tuple(to_text(name, dim) for name, dim in whole.items()), fixed


def _texts(space: object) -> tuple[str, ...]:
    """Dimensions as texts. Raises UsageError for anything else."""
    several = tuple(space) if isinstance(space, Iterable) and not isinstance(space, str) else (space,)
    form = '{"optimizer.lr": tame.Float(1e-4, 1e-1, log=True)}, or texts such as "optimizer.lr=1e-4..1e-1:log"'
    texts = tuple(each for each in several if isinstance(each, str))
    require(len(texts) == len(several), f"space is {space!r}; give {form}")
    return texts


def _plain(name: str, value: object) -> Value:
    """A number, text, True or False. Raises UsageError for anything else."""
    value = _scalar(value)
    if not isinstance(value, str | int | float):
        raise UsageError(f"set[{name!r}] is a {type(value).__name__}; give one number, text, True or False")
    return value


def _scalar(value: object) -> Any:
    """The plain value of a NumPy or torch number, a path as a text; anything else unchanged."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    item = getattr(value, "item", None)
    return item() if getattr(value, "ndim", None) == 0 and item is not None else value


def refuse_inside_worker() -> None:
    """Raises UsageError if a script that is imported for its model would run its study again."""
    if os.environ.get(WORKER):
        raise UsageError(
            'call tame.fit under `if __name__ == "__main__":`, because another process imports this file for the model'
        )


def _require_function(model: object) -> None:
    """Raises UsageError for a model that is not a function."""
    right = model is None or (callable(model) and not is_from("torch.nn", model, "Module"))
    require(right, f"model is a {type(model).__name__}; give a function that builds a new nn.Module at each call")


def arguments_of(model: Build | None) -> tuple[str, ...]:
    """The names of a function's arguments, which can be searched."""
    return () if model is None else tuple(inspect.signature(model).parameters)


def _require_default(model: Build | None, name: str, dim: Dimension) -> None:
    """Raises UsageError for an argument that is searched under a condition and that the function cannot do without."""
    if model is None or not name.startswith("own.") or not (dim.when or "@" in name):
        return
    argument = inspect.signature(model).parameters.get(field_of(name).removeprefix("own."))
    needed = argument is not None and argument.default is argument.empty and argument.kind not in _SEVERAL
    short = field_of(name).removeprefix("own.")
    require(not needed, f"{short} is searched under a condition: give it a default, such as {short}=None, for the rest")


def _field(name: str, own: Sequence[str]) -> str:
    """The recipe field of a name; an argument of the user's function needs no `own.`, with or without a label."""
    return f"own.{name}" if field_of(name) in own else name


def _on_fields(dimension: Dimension, own: Sequence[str]) -> Dimension:
    """The dimension, with conditions on arguments of the user's function turned into those on recipe fields."""
    return but(dimension, when={_field(name, own): values for name, values in dimension.when.items()})


def _folders(folders: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """Absolute paths of one folder or several."""
    return whole_paths([folders] if isinstance(folders, str | Path) else folders)


def _trackers(track: str | Sequence[str]) -> tuple[Named, ...]:
    """One tracker that was named, or several."""
    return parse_trackers([track] if isinstance(track, str) else track)


def _out(name: str) -> str:
    """The next free folder for a study on what was given from Python, which has no name of its own."""
    numbers = (Path("runs") / f"{name}-{number:04d}" for number in range(1, 10_000))
    return str(next(path for path in numbers if not path.exists()))


def load(folder: str | Path, *, model: Build | None = None, store: str | None = None) -> FittedStudy:
    """A finished study from its folder. A stopped study is not finished: see `resume`.

    model: the function that made your own module; store: the address of the server that keeps its events, needed once
    for a study that you did not start on this machine.

    >>> tame.load("runs/example").score == study.score
    True
    """
    _, state = read_state(Path(folder), store=store_of(Path(folder), store))
    if state.result is None:
        raise UsageError(unfinished(Path(folder), state))
    return FittedStudy(Path(folder), state.result, model)


@unchanged_random_state()
def resume(
    folder: str | Path, *, model: Build | None = None, time: str | float | None = None,
    space: Mapping[str, Dimension] | Sequence[str] = (), quiet: bool = False, data: str | Path | None = None,
    backbone: str | Path | None = None, val: str | None = None, test: str | None = None, costs: str | None = None,
    start_from: str | Path | Sequence[str | Path] = (), store: str | None = None, workers: int | None = None,
    ray: str | None = None, limit: Mapping[str, str] | None = None, track: str | Sequence[str] = (),
) -> FittedStudy:  # fmt: skip
    """Continues a study that was stopped or killed, to its end.

    data, backbone, val, test, costs, start_from, store: what it uses from outside its folder, as it was started with;
    needed only for a study that you did not start on this machine, which is otherwise refused.

    model: as in `load`; workers, ray, limit: as in `fit`, from here on; track: as in `fit`; time: counted from now, for
    a study that had too little time to train anything; space: new dimensions, or wider ones.
    Raises UsageError for a narrower space, for a time once recipes have started, and for a limit once the winner is
    known.

    >>> tame.resume("runs/example", quiet=True).score == study.score  # it had come to its end
    True
    """
    outside = Outside(
        data=None if data is None else str(data), backbone=None if backbone is None else str(backbone), val=val,
        test=test, costs=costs, start_from=_folders(start_from) or None,
    )  # fmt: skip
    seconds = parse_time(time) if isinstance(time, str) else _scalar(time)
    address = store_of(Path(folder), store)
    if seconds is not None:
        give_time(Path(folder), seconds, store=address)
    if texts := asked(model, space, None, None)[0]:
        ask_for(Path(folder), texts, store=address)
    set_limits(Path(folder), limit or {}, store=address)
    with watching(quiet=quiet) as watcher:
        result = resume_study(
            Path(folder),
            watcher,
            build=model,
            outside=outside,
            store=address,
            workers=_scalar(workers),
            ray=ray,
            trackers=_trackers(track),
        )
    return FittedStudy(Path(folder), result.to_json(), model)
