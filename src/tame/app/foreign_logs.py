"""Learning curves from the logs of other programs: Keras, Lightning, Hugging Face, TensorBoard, and any CSV.

A log becomes rows of (epoch, training loss, validation loss, metric). What had to be guessed or repaired is said.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tame.app.event_files import scalars
from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.files import MOST_BYTES
from tame.core.records import Point

LEAST_EPOCHS = 3
MOST_POINTS = 500  # of a log by step; more are averaged
TRAIN, VALID = ("train", "training", "trn"), ("val", "valid", "validation", "eval", "dev", "test")
LOSSES = ("loss", "nll", "cross_entropy", "logloss", "log_loss", "mse_loss", "total_loss")
SHARES = (  # metrics between 0 and 1, higher is better
    "accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy", "top1", "top_1",
    "acc1", "f1", "f1_score", "f1_macro", "macro_f1", "auc", "auroc", "roc_auc", "precision", "recall",
    "balanced_accuracy",
)  # fmt: skip
ERRORS = ("mae", "rmse", "mse", "mean_absolute_error", "root_mean_squared_error", "mean_squared_error")
ROWS = ("epoch", "epochs", "step", "steps", "global_step", "iteration", "iter", "round")  # the first one counts
WANTED = "training loss: loss or train_loss; validation loss: val_loss, valid_loss or eval_loss"
Series = list[tuple[float, float]]  # (place in the training, value), in the order of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The columns that the user names, "" where TAME is to find them."""

    train: str = ""
    valid: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The curves in a log. tool: who wrote it; metric: its name, "" without one; remarks: what was guessed or repaired;
    lost: whether training ended with a loss that is not a number."""

    tool: str
    points: tuple[Point, ...]
    metric: str
    remarks: tuple[str, ...]
    lost: bool = False


def read_log(path: Path, named: Named) -> Log:
    """The curves in a file, or in a folder of event files.

    Raises UsageError for a file that is not there and for a column that is not, DataError for what holds no curve.
    """
    require(path.exists(), f"there is no log {path}")
    if path.is_dir():
        return _of_events(path, named)
    require(path.is_file(), f"{path} is not a file")
    require(path.stat().st_size <= MOST_BYTES, f"{path} is larger than a log can be", error=DataError)
    if ".tfevents." in path.name:
        return _of_events(path, named)
    data = path.read_bytes()
    require(bool(data.strip()), f"{path} is empty", error=DataError)
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text, nor an event file of TensorBoard (*.tfevents.*)") from None
    if text.lstrip()[:1] in ("{", "["):
        return _of_json(text, str(path), named)
    return _of_csv(text, str(path), named)


# The formats ---------------------------------------------------------------------------------------------------------


def _of_json(text: str, where: str, named: Named) -> Log:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{where} is not JSON: {problem}") from None
    if isinstance(data, Mapping) and isinstance(data.get("log_history"), list):
        return _of_rows(
            [each for each in data["log_history"] if isinstance(each, Mapping)], "transformers", where, named
        )
    if isinstance(data, list) and data and all(isinstance(each, Mapping) for each in data):
        return _of_rows(data, "plain", where, named)
    if isinstance(data, Mapping) and isinstance(data.get("history"), Mapping):
        data = data["history"]
    lists = {str(k): v for k, v in data.items() if isinstance(v, list)} if isinstance(data, Mapping) else {}
    if not lists:
        raise DataError(
            f"{where} holds no history: wanted is the `history` of Keras (a list of numbers for each name), or "
            "trainer_state.json of Hugging Face"
        )
    sizes = {len(own) for own in lists.values()}
    remarks = []
    if len(sizes) > 1:
        longest = max(sizes)
        short = [name for name, own in lists.items() if len(own) < longest]
        remarks.append(f"{', '.join(short)} has fewer values than the other columns; its last epochs are missing")
    given = lists.pop("epoch", None)
    epochs = given if given is not None and len(given) == max(sizes) else list(range(1, max(sizes) + 1))
    # Keras counts from 0 inside, and people from 1.
    shift = 1 if given is not None and 0 in given else 0
    series: dict[str, Series] = {}
    for name, own in lists.items():
        series[name] = [
            (_number(at, where) + shift, _number(value, where)) for at, value in zip(epochs, own, strict=False)
        ]
    return _of_series(series, "keras", where, named, remarks, steps=False)


def _of_csv(text: str, where: str, named: Named) -> Log:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = max(",;\t|", key=lambda each: (lines[0].count(each), each == ","))
    if not lines[0].count(separator) and len(lines[0].split()) > 1:
        lines = [",".join(line.split()) for line in lines]
        separator = ","
    table = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator))
    names = [name.strip() for name in table[0]]
    require(len(set(names)) == len(names), f"{where} has two columns of one name", error=DataError)
    if all(_is_number(name) for name in names):
        raise DataError(f"{where} has no names of columns in its first line; wanted: {WANTED}")
    comma = separator != ","
    rows: list[dict[str, object]] = []
    for number, cells in enumerate(table[1:], start=2):
        require(
            len(cells) == len(names), f"{where}, line {number}: {len(cells)} values for {len(names)} columns",
            error=DataError,
        )  # fmt: skip
        rows.append({
            name: cell.strip().replace(",", ".") if comma else cell.strip()
            for name, cell in zip(names, cells, strict=True)
            if cell.strip()
        })  # fmt: skip
    tool = "lightning" if {"epoch", "step"} <= set(names) else "keras" if {"loss", "epoch"} <= set(names) else "plain"
    return _of_rows(rows, tool, where, named)


def _of_events(path: Path, named: Named) -> Log:
    files = sorted(path.rglob("*.tfevents.*")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no event file of TensorBoard (*.tfevents.*)")
    series: dict[str, Series] = {}
    remarks: list[str] = []
    runs = {file.parent for file in files}
    for file in files:
        require(file.stat().st_size <= MOST_BYTES, f"{file} is larger than a log can be", error=DataError)
        found, is_cut = scalars(file.read_bytes(), str(file))
        if is_cut:
            remarks.append(f"{file.name} ends in the middle of a record; what stands before it was read")
        # Keras writes the same tags into one folder for training and one for validation.
        run = file.parent.name if len(runs) > 1 else ""
        for each in found:
            name = f"{run}/{each.tag}" if run else each.tag
            series.setdefault(name, []).append((each.step, each.value))
    if not series:
        raise DataError(f"{path} holds no numbers" + (f": {remarks[0]}" if remarks else ""))
    return _of_series(series, "tensorboard", str(path), named, remarks, steps=True)


def _of_rows(rows: Sequence[Mapping[str, object]], tool: str, where: str, named: Named) -> Log:
    """Rows in which a name may be missing: those of Lightning and Hugging Face hold either training or validation."""
    keys = {key.lower(): key for row in rows for key in row}
    # Whole epochs, where there are several, else steps; of Hugging Face 0.5 is half an epoch.
    own = next((keys[name] for name in ROWS if name in keys), "")
    series: dict[str, Series] = {}
    for i, row in enumerate(rows):
        place = _number(row[own], where) if own in row else float(i + 1) if not own else None
        if place is None:
            continue
        for key, value in row.items():
            if key.lower() not in ROWS and isinstance(value, int | float | str) and _is_number(value):
                series.setdefault(key, []).append((place, _number(value, where)))
    is_by_epoch = own.lower().startswith("epoch")
    begins_at_zero = is_by_epoch and any(at == 0 for one in series.values() for at, _ in one)
    is_fraction = any(at != int(at) for one in series.values() for at, _ in one if math.isfinite(at))
    remarks: list[str] = []
    if begins_at_zero and not is_fraction:
        series = {name: [(at + 1, value) for at, value in one] for name, one in series.items()}
        remarks.append("the epochs of the file begin with 0; here they are counted from 1")
    return _of_series(series, tool, where, named, remarks, steps=is_fraction or not is_by_epoch)


# From series to rows -------------------------------------------------------------------------------------------------


def _of_series(
    series: Mapping[str, Series], tool: str, where: str, named: Named, remarks: list[str], *, steps: bool
) -> Log:
    """The log of these columns. steps: whether places are steps rather than whole epochs."""
    train = _asked(named.train, series, where) or _find(series, TRAIN[0], LOSSES, bare=True)
    valid = _asked(named.valid, series, where) or _find(series, VALID[0], LOSSES, bare=False)
    metric = _asked(named.metric, series, where) or _find(series, VALID[0], (*SHARES, *ERRORS), bare=False)
    if not train and not valid:
        raise DataError(
            f"{where} has no loss among its columns ({', '.join(sorted(series)[:12]) or 'none'}); wanted: {WANTED}; or "
            "name them: --train COLUMN --valid COLUMN"
        )
    if not valid:
        remarks.append("there is no validation loss, so overfitting cannot be seen; name its column with --valid")
    if not train:
        remarks.append("there is no training loss, so little can be said; name its column with --train")
    curves = {name: _in_order(series[name], name, remarks) for name in (train, valid, metric) if name}
    anchor = curves[valid or train]
    is_finer = steps and bool(train) and bool(valid) and len(curves[train]) != len(anchor)
    rows: list[Point] = []
    averaged = _averaged(curves[train], [at for at, _ in anchor]) if is_finer else dict(curves.get(train, ()))
    values, metrics = dict(curves.get(valid, ())), dict(curves.get(metric, ()))
    places = [at for at, _ in anchor] if is_finer else sorted({*averaged, *values})
    for i, at in enumerate(places):
        epoch = i + 1 if steps else int(at)
        own = (averaged.get(at), values.get(at), metrics.get(at))
        rows.append(Point(epoch, *own))
    if steps:
        remarks.append(f"the log goes by step: epoch n stands for its n-th {'validation' if is_finer else 'entry'}")
    return _checked(
        Log(tool=tool, points=tuple(rows), metric=_plain(metric), remarks=tuple(dict.fromkeys(remarks))), where
    )


def _checked(log: Log, where: str) -> Log:
    """The log without what cannot be judged, and where it was lost."""
    points, remarks = list(log.points), list(log.remarks)
    if len(points) > MOST_POINTS:
        remarks.append(f"{len(points):,} entries were averaged to {MOST_POINTS}")
        points = _binned(points)
    kinds = [i for i in (1, 2) if any(point[i] is not None for point in points)]
    bad = [any(_is_lost(point[k]) for k in kinds) for point in points]
    end = len(points)
    while end and bad[end - 1]:
        end -= 1
    is_lost = end < len(points)
    if any(bad[:end]):
        which = _numbered([p.epoch for p, is_bad in zip(points[:end], bad, strict=False) if is_bad])
        remarks.append(f"the losses of epoch {which} are not numbers; left out")
    # Of an end without numbers the first epoch tells where it began.
    points = [p for i, p in enumerate(points[: end + 1]) if i == end or not bad[i]]
    missing = [p.epoch for p in points if any(p[k] is None for k in kinds)]
    if missing:
        remarks.append(f"epoch {_numbered(missing)} has no training or no validation loss; left out")
        points = [p for p in points if all(p[k] is not None for k in kinds)]
    found = _as_shares(points, log.metric, remarks, where)
    least = 1 if is_lost else LEAST_EPOCHS
    if len(found) < least:
        raise DataError(
            f"{where} holds {len(found)} epoch{'' if len(found) == 1 else 's'} with losses; a course shows in "
            f"{LEAST_EPOCHS} or more"
        )
    clean = tuple(Point(p.epoch, *(None if _is_lost(value) else value for value in p[1:4])) for p in found)
    return replace(log, points=clean, remarks=tuple(remarks), lost=is_lost)


def _numbered(epochs: Sequence[int]) -> str:
    return ", ".join(map(str, epochs[:5])) + (f" and {len(epochs) - 5} more" if len(epochs) > 5 else "")


def _as_shares(points: list[Point], metric: str, remarks: list[str], where: str) -> list[Point]:
    """Percentages of a metric as shares. Raises DataError for what is neither."""
    values = [p.valid_metric for p in points if p.valid_metric is not None and math.isfinite(p.valid_metric)]
    if metric not in SHARES or not values or max(values) <= 1.0 + 1e-9:
        return points
    if max(values) > 100 or min(values) < 0:
        raise DataError(f"{where}: {metric} of {max(values):g} is neither a share nor a percentage")
    remarks.append(f"{metric} is in percent; it was divided by 100")
    return [p if p.valid_metric is None else p._replace(valid_metric=p.valid_metric / 100) for p in points]


def _in_order(series: Series, name: str, remarks: list[str]) -> Series:
    """A series by its place; of places that occur twice, the last whole pass counts."""
    places = [at for at, _ in series]
    last = dict(series)
    if len(last) < len(series) and not _is_per_batch(series):
        remarks.append(f"{name} has several values for one epoch, as after a restart; the last one was taken")
    elif len(last) < len(series):
        sums: dict[float, list[float]] = {}
        for at, value in series:
            sums.setdefault(at, []).append(value)
        last = {at: math.fsum(own) / len(own) if all(map(math.isfinite, own)) else math.nan for at, own in sums.items()}
    ordered = sorted(last)
    if list(dict.fromkeys(places)) != ordered:
        remarks.append("the epochs were not in order; they were sorted")
    return [(at, last[at]) for at in ordered]


def _is_per_batch(series: Series) -> bool:
    """Whether an epoch has many values because each batch was logged: they stand beside each other."""
    places = [at for at, _ in series]
    return sum(a == b for a, b in pairwise(places)) >= len(places) - len(set(places))


def _averaged(series: Series, until: Sequence[float]) -> dict[float, float]:
    """The mean of a series since the place before, for each of these places; nothing where it has no value."""
    found: dict[float, float] = {}
    begin = -math.inf
    for end in until:
        own = [value for at, value in series if begin < at <= end]
        if own:
            found[end] = math.fsum(own) / len(own) if all(map(math.isfinite, own)) else math.nan
        begin = end
    return found


def _binned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS, each the mean of as many neighbours."""
    size = math.ceil(len(points) / MOST_POINTS)
    found = []
    for number, begin in enumerate(range(0, len(points), size), start=1):
        part = points[begin : begin + size]
        means = []
        for i in (1, 2, 3):
            own = [float(value) for p in part if (value := p[i]) is not None]
            means.append(
                math.fsum(own) / len(own) if own and all(map(math.isfinite, own)) else math.nan if own else None
            )
        found.append(Point(number, *means))
    return found


# Names and numbers ---------------------------------------------------------------------------------------------------


def _asked(name: str, series: Mapping[str, Series], where: str) -> str:
    if name and name not in series:
        raise UsageError(f"{where}: {unknown('column', name, series)}")
    return name


def _find(series: Mapping[str, Series], part: str, kinds: Sequence[str], *, bare: bool) -> str:
    """The first column of one of these kinds that belongs to this part; bare: a name without a part belongs to it."""
    own = {name: _split(name) for name in series}
    wanted = (part, "") if bare else (part,)
    for kind in kinds:
        found = [name for name, (its_part, its_kind) in own.items() if its_part in wanted and its_kind == kind]
        if found:
            # Of train_loss_step and train_loss_epoch the one by epoch; of loss and a summary at the end the longer one.
            return min(found, key=lambda name: ("step" in name.lower(), -len(series[name]), len(name)))
    return ""


def _split(name: str) -> tuple[str, str]:
    """The part that a column belongs to ("" if it does not say) and what it measures: val_loss, loss/validation."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    part = next((kinds[0] for kinds in (VALID, TRAIN) for word in words if word in kinds), "")
    rest = [word for word in words if word not in (*TRAIN, *VALID, "epoch", "step", "evaluation", "metrics")]
    return part, "_".join(rest)


def _plain(name: str) -> str:
    return _split(name)[1] if name else ""


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _number(value: object, where: str) -> float:
    if value is None:
        return math.nan
    if not _is_number(value):
        raise DataError(f"{where}: {value!r} is not a number")
    return float(value)  # type: ignore[arg-type]


def _is_lost(value: float | None) -> bool:
    return value is not None and not math.isfinite(value)


def _is_sound(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


TOOLS: Mapping[str, str] = {
    "keras": "Keras", "lightning": "Lightning", "transformers": "Hugging Face Transformers",
    "tensorboard": "TensorBoard", "plain": "a table",
}  # fmt: skip
