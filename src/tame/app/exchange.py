"""Studies from and for other programs: imports trials of Optuna or a table, exports studies to Optuna."""

from __future__ import annotations

import difflib
import logging
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tame.adjust.model_based import quiet_optuna, require_optuna
from tame.app.foreign_study import ForeignStudy, ForeignTrial, Mode
from tame.app.foreign_trials import read_foreign
from tame.app.own_stores import store_of
from tame.core.config import METRIC_MODES, StudyConfig
from tame.core.errors import DataError, StorageError, UsageError, require, unknown
from tame.core.files import require_new, write_bytes
from tame.core.recipe import MOST_EPOCHS, Recipe, Value
from tame.core.records import Event, Trial
from tame.core.space import Choice, Dimension, Float, Int, Space
from tame.evaluate.outcomes import values_of
from tame.study import events
from tame.study.session import begin
from tame.study.state import Silent, State, absent_of, explored_space, objective_of, read_state

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

ALIASES = {
    "lr": "optimizer.lr", "learning_rate": "optimizer.lr", "learning_rate_init": "optimizer.lr",
    "wd": "optimizer.weight_decay", "weight_decay": "optimizer.weight_decay",
    "momentum": "optimizer.momentum", "beta2": "optimizer.beta2", "beta_2": "optimizer.beta2",
    "clip_norm": "optimizer.clip_norm", "grad_clip": "optimizer.clip_norm",
    "batch_size": "batch_size", "batch": "batch_size", "bs": "batch_size", "num_epochs": "epochs", "n_epochs": "epochs",
    "dropout": "model.dropout", "dropout_rate": "model.dropout", "width": "model.width", "hidden_dim": "model.width",
    "hidden_size": "model.width", "hidden": "model.hidden", "depth": "model.depth", "num_layers": "model.depth",
    "n_layers": "model.depth", "label_smoothing": "loss.label_smoothing", "warmup": "schedule.warmup",
    "early_stopping": "regularize.early_stopping", "mixup": "regularize.mixup", "ema": "regularize.ema",
}  # fmt: skip
NEAR = 0.8  # similarity of two names, from 0 to 1, from which on a note suggests a mapping
STATES = {"complete": "COMPLETE", "stopped": "PRUNED", "paused": "PRUNED", "diverged": "FAIL", "failed": "FAIL"}


def to_optuna(study: object, *, finalists: bool = False, store: str | None = None) -> optuna.Study:
    """The trials of a study as an Optuna study in memory, for optuna.visualization and optuna-dashboard.

    study: the result of tame.fit or tame.load, or the folder of a study, finished or not, or imported. The value of a
    trial is the validation loss by which TAME compares trials (log loss in nats, or the squared error of the
    standardized target) of the weights that are evaluated, so that `study.best_value` is that of TAME's best trial;
    lower is better. An imported study keeps its own metric and direction. Intermediate values are those of every
    epoch. States: complete; pruned for stopped or waiting trials; fail for diverged ones.

    Parameters are the dimensions of the space that are active in the trial's recipe; a range is widened if a known
    good recipe lies outside it. Other differences from the default recipe are in the user attributes, with TAME's
    number, origin, reason and metric. finalists: include the runs of the best recipes with fresh seeds and the
    fine-tuned ones as trials; the best value may then be that of the luckiest seed. store: the address of a study that
    is kept on a server, where you have not named it before.
    Raises UsageError if `study` is not a study, or Optuna is not installed (it is the extra `optuna`).

    >>> found = tame.to_optuna(study)
    >>> len(found.trials), found.direction.name
    (2, 'MINIMIZE')
    """
    require_optuna("a study for Optuna")
    import optuna

    folder, state = _state_of(study, store)
    objective, space, absent = objective_of(state), explored_space(state), absent_of(state)
    trials = [
        t for _, t in sorted(state.history.trials.items()) if not t.is_remedy and (finalists or not t.may_be_delivered)
    ]
    values = {
        t.number: {k: v for k, v in values_of(t, space).items() if t.number not in absent.get(k, ())} for t in trials
    }
    dists = {
        name: _distribution(dim, [own[name] for own in values.values() if name in own])
        for name, dim in space.dimensions.items()
    }
    base = next((t.recipe.flat() for t in trials if t.is_default), Recipe().flat())
    made = [_frozen(t, values[t.number], dists, base, objective.sign) for t in trials]
    with quiet_optuna(logging.WARNING):
        found = optuna.create_study(
            study_name=folder.name, direction="minimize" if objective.sign > 0 else "maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
        )  # fmt: skip
        found.set_metric_names([objective.name])  # experimental, with a warning at each call
        found.set_user_attr("tame_study", str(folder))
        found.add_trials(made)
    return found


def export_optuna(folder: Path, path: Path, *, store: str | None = None) -> Path:
    """Writes a study as an Optuna storage in an SQLite file that only the owner can read. Returns the path.

    store: as in `to_optuna`. Raises UsageError if the file exists, StorageError if it cannot be written.
    """
    require_optuna("a study for Optuna")
    import optuna

    require_new(path)
    source = to_optuna(folder, store=store)
    try:
        # Under a name of ours: SQLAlchemy below 2.1 takes what follows a question mark for options.
        with tempfile.TemporaryDirectory() as work, quiet_optuna(logging.WARNING):
            draft = Path(work) / "study.db"
            storage = optuna.storages.RDBStorage(f"sqlite:///{draft}")
            optuna.copy_study(
                from_study_name=source.study_name, from_storage=source._storage, to_storage=storage,
                to_study_name=source.study_name,
            )  # fmt: skip
            storage.engine.dispose()
            write_bytes(path.parent, path.name, draft.read_bytes())
    except OSError as problem:
        raise StorageError(f"{path} cannot be written: {problem.strerror}") from None
    return path


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import. notes: what was left out or renamed, in words."""

    folder: Path
    trials: int
    metric: str
    mode: Mode
    names: Mapping[str, str]  # of the source's parameters: the recipe field of each
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "schema": "tame/1", "study": str(self.folder), "trials": self.trials, "metric": self.metric,
            "mode": self.mode, "names": dict(self.names), "notes": list(self.notes),
        }  # fmt: skip


def import_trials(
    source: str | Path, *, out: str | Path, study: str | None = None, map: Mapping[str, str] | None = None,
    metric: str | None = None, mode: str | None = None,
) -> Imported:  # fmt: skip
    """Creates a study whose history is the finished trials of an Optuna storage or a table.

    source: an Optuna SQLite or journal file, sqlite:///PATH, or a CSV or Parquet table of results. study: which of
    several. map: recipe fields by the source's names. Other names are mapped if they are a recipe field or a common
    name of one and their values fit, in any spelling ("batchSize", "Batch-Size"); otherwise they become own.NAME.
    metric: the column of a table with the results, or the name of the value; mode: min or max, if the source does not
    say. Raises DataError for a source that cannot be used, UsageError for unknown names.

    >>> from pathlib import Path
    >>> _ = Path("earlier.csv").write_text("lr,batch,loss\\n0.1,32,0.9\\n0.01,64,0.5\\n")
    >>> found = tame.import_trials("earlier.csv", out="runs/earlier", metric="loss", mode="min")
    >>> found.trials, dict(found.names)
    (2, {'lr': 'optimizer.lr', 'batch': 'batch_size'})
    """
    foreign, counted = _by_order(read_foreign(str(source), study=study, metric=metric))
    way = _mode(foreign, mode)
    names, notes = _names(foreign, map or {})
    notes += [*counted, *foreign.notes]
    dims = {field: _fitted(field, foreign.dimensions[name]) for name, field in names.items()}
    space = Space({field: dim for field, dim in dims.items() if dim is not None})
    if foreign.left_out:
        many = "1 trial" if foreign.left_out == 1 else f"{foreign.left_out} trials"
        notes.append(f"left out: {many} without a finite result or not finished normally")
    absent = {
        field: gone
        for name, field in names.items()
        if (gone := tuple(i for i, trial in enumerate(foreign.trials) if name not in trial.params))
    }
    about = events.Imported(
        source=foreign.source, kind=foreign.kind, name=foreign.name, metric=foreign.metric, mode=way, names=names,
        space=space.to_json(), absent=absent, left_out=foreign.left_out, notes=tuple(notes),
    )  # fmt: skip
    first = first_step(foreign)
    most = max(len(points_of(trial, way, first=first)[0]) for trial in foreign.trials)
    trials = [_event(i, trial, foreign, names, way, first, most) for i, trial in enumerate(foreign.trials)]
    config = StudyConfig(data=str(Path(foreign.source).resolve()), out=str(out))
    with begin(config, Silent()) as made:
        made.keep(about, *trials)
    return Imported(Path(out), len(trials), foreign.metric, way, names, tuple(notes))


def _by_order(foreign: ForeignStudy) -> tuple[ForeignStudy, list[str]]:
    """The study, with steps numbered by their order if they exceed the limit of epochs, and a note about it."""
    steps = sorted({step for trial in foreign.trials for step, _ in trial.steps})
    # A value that differs from all steps becomes one more epoch.
    if not steps or steps[-1] + max(1 - steps[0], 0) < MOST_EPOCHS:
        return foreign, []
    many = f"{foreign.source} has {len(steps):,} different steps; a curve holds fewer than {MOST_EPOCHS:,}"
    require(len(steps) < MOST_EPOCHS, many, error=DataError)
    place = {step: i for i, step in enumerate(steps, 1)}
    trials = tuple(
        replace(trial, steps=tuple((place[step], value) for step, value in trial.steps)) for trial in foreign.trials
    )
    note = (
        f"the steps run from {steps[0]} to {steps[-1]}; they are numbered by their order, as epochs 1 to {len(steps)}"
    )
    return replace(foreign, trials=trials), [note]


def first_step(foreign: ForeignStudy) -> int:
    """The first step of any trial, 1 at the most: one for all, so that an epoch is the same step in every trial.

    Steps without a finite value count too: a curve that begins with NaN begins where it began.
    """
    return min((step for trial in foreign.trials for step, _ in trial.steps), default=1)


def points_of(trial: ForeignTrial, mode: Mode, *, first: int = 1) -> tuple[list[tuple[int, float, float]], int | None]:
    """Rows of epoch, loss and metric, and the epoch that is judged where that is not the last.

    The loss is the value, or its negative where more is better. first: the step that is epoch 1, where that is below 1;
    steps from 1 on are epochs by themselves. A value that is none of the steps' becomes one more epoch.
    """
    sign = 1.0 if mode == "min" else -1.0
    known = [(step, value) for step, value in trial.steps if value is not None]
    rows = [(step + max(1 - first, 0), sign * value, value) for step, value in known]
    same = [row[0] for row in rows if row[2] == trial.value]
    assert trial.value is not None
    if not same:
        rows.append((rows[-1][0] + 1 if rows else 1, sign * trial.value, trial.value))
        return rows, None
    return rows, None if same[-1] == rows[-1][0] else same[-1]


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """Fields by name, from ("lr=optimizer.lr", ...). Raises UsageError for another form or a repeated name."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, field = text.partition("=")
        require(bool(equals and name.strip() and field.strip()), f"cannot read {text!r}: write NAME=FIELD")
        require(name.strip() not in found, f"{name.strip()} is mapped twice")
        found[name.strip()] = field.strip().removeprefix("recipe.")
    return found


def _event(
    number: int, trial: ForeignTrial, foreign: ForeignStudy, names: Mapping[str, str], mode: Mode, first: int, most: int
) -> Event:
    points, kept = points_of(trial, mode, first=first)
    values = {field: trial.params[name] for name, field in names.items() if name in trial.params}
    recipe = Recipe().but({"epochs": max(most, points[-1][0]), **values})
    where = f"row {trial.number + 1}" if foreign.kind == "table" else f"trial {trial.number}"
    return Event(
        "imported_trial",
        {
            "trial": number, "recipe": recipe.flat(), "state": trial.state, "points": [list(row) for row in points],
            "kept": kept,
            "reason": f"{where} of {foreign.name!r} in {Path(foreign.source).name}",
        },
    )  # fmt: skip


def _mode(foreign: ForeignStudy, mode: str | None) -> Mode:
    if mode is None:
        asked = f"is a higher or a lower {foreign.metric!r} better? Give --mode max or --mode min"
        require(foreign.mode is not None, asked)
        assert foreign.mode is not None
        return foreign.mode
    known: dict[str, Mode] = {"min": "min", "max": "max"}
    if mode not in known:
        raise UsageError(unknown("mode", mode, known))
    own = foreign.mode if foreign.kind != "table" else None
    require(own in (None, mode), f"{foreign.name!r} has the mode {own}, but --mode is {mode}")
    by_name = METRIC_MODES.get(foreign.metric)
    require(
        by_name in (None, mode),
        f"for {foreign.metric}, {'higher' if by_name == 'max' else 'lower'} is better: use --mode {by_name}",
    )
    return known[mode]


def _names(foreign: ForeignStudy, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The recipe field of each parameter, no field twice, and notes about them."""
    fields = Recipe().flat()
    for name, field in given.items():
        if name not in foreign.dimensions:
            raise UsageError(f"--map {name}={field}: {unknown('parameter', name, foreign.dimensions)}")
        if not field.startswith("own.") and field not in fields:
            raise UsageError(f"--map {name}={field}: {unknown('recipe field', field, fields)}")
        twice = [other for other, own in given.items() if own == field]
        require(len(twice) == 1, f"{' and '.join(twice)} are both mapped to {field}")
        problem = _misfit(foreign, name, field)
        require(not problem, f"--map {name}={field}: {problem}")
    found, notes = dict(given), list[str]()
    spelled = {**{_spelling(name): field for name, field in ALIASES.items()}, **{_spelling(f): f for f in fields}}
    # Of several names for one field, the field's own name wins, then its common name.
    for name in sorted(foreign.dimensions, key=lambda each: (each not in fields, each not in ALIASES)):
        if name in found:
            continue
        wanted = spelled.get(_spelling(name), "")
        problem = _misfit(foreign, name, wanted) if wanted else ""
        taken = next((other for other, field in found.items() if field == wanted), None)
        if wanted and taken is None and not problem:
            found[name] = wanted
            continue
        found[name] = _own_name(name, set(found.values()))
        if wanted:
            notes.append(f"{name} is {found[name]}, not {wanted}: {problem or f'that is {taken}'}")
    order = {name: found[name] for name in foreign.dimensions}
    return order, [*notes, *_near(order, spelled)]


def _spelling(name: str) -> str:
    """A name without case and word separators, which programs write differently."""
    return re.sub(r"[\s_-]", "", name).lower()


def _near(names: Mapping[str, str], spelled: Mapping[str, str]) -> list[str]:
    """A note for each unknown name that is close to the name of a recipe field which is still free."""
    found = []
    for name, own in names.items():
        if _spelling(name) in spelled or not own.startswith("own."):
            continue
        near = difflib.get_close_matches(_spelling(name), spelled, n=1, cutoff=NEAR)
        if near and spelled[near[0]] not in names.values():
            field = spelled[near[0]]
            found.append(f"{name} is {own}; if you mean {field}, give --map {name}={field}")
    return found


def _misfit(foreign: ForeignStudy, name: str, field: str) -> str:
    """Why the values of a parameter do not fit a recipe field; "" if they do."""
    try:
        dim = _fitted(field, foreign.dimensions[name])
        Space({field: dim})
        for value in dict.fromkeys(t.params[name] for t in foreign.trials if name in t.params):
            Recipe().but({field: value})
    except UsageError as problem:
        return str(problem)
    return ""


def _fitted(field: str, dim: Dimension) -> Dimension:
    """The dimension, in whole numbers if the recipe field needs them. Raises UsageError if its ends are not whole."""
    like = Recipe().flat().get(field)
    if isinstance(like, int) and not isinstance(like, bool) and isinstance(dim, Float):
        whole = dim.low == int(dim.low) and dim.high == int(dim.high)
        require(whole, f"{field} must be a whole number, but its range is {dim.low:g} to {dim.high:g}")
        return Int(int(dim.low), int(dim.high), dim.log)
    return dim


def _own_name(name: str, taken: set[str]) -> str:
    """own.NAME, with the name turned into a valid argument name."""
    plain = re.sub(r"\W", "_", name) or "_"
    plain = f"_{plain}" if not plain.isidentifier() else plain
    while f"own.{plain}" in taken:
        plain += "_"
    return f"own.{plain}"


def _state_of(study: object, store: str | None) -> tuple[Path, State]:
    folder = getattr(study, "folder", study)
    if not isinstance(folder, str | Path):
        raise UsageError(f"give a TAME study or its folder, not a {type(study).__name__}")
    path = Path(folder)
    return path, read_state(path, store=store_of(path, store))[1]


def _distribution(dim: Dimension, values: Sequence[Value]) -> BaseDistribution:
    """Optuna's distribution for a dimension, wide enough for these values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dim, Choice):
        return CategoricalDistribution(tuple({repr(v): v for v in (*dim.values, *values)}.values()))
    beside = not all(dim.holds(value) for value in values)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    low, high = min([dim.low, *numbers]), max([dim.high, *numbers])
    log = dim.log and low > 0
    if isinstance(dim, Int):
        step = 1 if log or beside else dim.step
        return IntDistribution(int(low), int(high), log=log, step=step)
    return FloatDistribution(low, high, log=log, step=None if log or beside else dim.step)


def _frozen(
    trial: Trial, values: Mapping[str, Value], dists: Mapping[str, BaseDistribution], base: Mapping[str, Value],
    sign: float,
) -> FrozenTrial:  # fmt: skip
    from optuna.trial import TrialState, create_trial

    steps = {p.epoch: sign * p.valid_loss for p in trial.curve.points if p.valid_loss is not None}
    judged = next((p for p in trial.curve.points if p.epoch == trial.best_epoch), None)
    state = STATES.get(trial.state, trial.state.upper())
    if state in ("COMPLETE", "PRUNED") and not math.isfinite(trial.loss):
        state = "FAIL" if state == "COMPLETE" else state
    has_value = state in ("COMPLETE", "PRUNED") and math.isfinite(trial.loss)
    return create_trial(
        state=TrialState[state], value=sign * trial.loss if has_value else None, params=dict(values),
        distributions={name: dists[name] for name in values}, intermediate_values=steps,
        user_attrs={
            "number": trial.number, "origin": trial.origin, "reason": trial.reason, "state": trial.state,
            "epochs": trial.epochs, "valid_metric": judged.valid_metric if judged else None,
            "recipe": {k: v for k, v in trial.recipe.shown().items() if k in ("seed", "epochs") or v != base.get(k)},
        },
    )  # fmt: skip
