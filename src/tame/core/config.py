"""What a user asks of a study: from TOML, flags and Python, checked before any work starts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tame.core.errors import UsageError, require, unknown
from tame.core.recipe import Recipe
from tame.core.space import Dimension, check_asked, field_of, parse_dimension
from tame.core.space_text import flatten, texts_of
from tame.core.toml_file import read_toml_file

DEFAULT_TIME_S = 300.0
ARRAYS = "<arrays>"  # as data: what was given from Python lies in the study's folder
INLINE = "<inline>"  # as model: the function exists in the process that began the study only
TASKS = ("auto", "images", "table", "classification", "binary", "multiclass", "regression")
METRIC_MODES = {
    "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max", "log_loss": "min", "roc_auc": "max",
    "rmse": "min", "mae": "min", "r2": "max",
}  # fmt: skip
SEARCHES = ("auto", "asha", "gp", "grid", "hyperband", "pbt", "random", "sha", "sobol", "thaw", "tpe")
CLASSIFICATION_METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc")
REGRESSION_METRICS = ("rmse", "mae", "r2")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Everything that was asked for. None: not given, so the study decides (and says what it decided)."""

    data: str  # a folder of pictures, a table, or ARRAYS
    task: str = "auto"
    target: str | None = None  # the column of a table that is predicted
    groups: str | None = None  # a column whose equal values stay on one side of every split
    order: str | None = None  # a column that orders the rows: the latest are the test part
    model: str | None = None  # where the function of the user's own module is found, or INLINE; only from Python
    metric: str = "auto"  # the one that suits the task
    backbone: str | None = None  # a timm name, a folder in timm's local-dir format, or "none"
    time_s: float | None = None  # wall clock from start to report
    trials: int | None = None  # how many recipes are tried
    epochs: int | None = None  # the most that one of them may train
    search: str = "auto"  # which searcher decides what is tried
    space: tuple[str, ...] = ()  # "optimizer.lr=1e-4..1e-1:log"
    widen: bool = True  # whether a range grows where the best recipes lie on its edge
    until_worthless: bool = False  # whether the search ends once the rest of it would bring too little to be seen
    first: tuple[str, ...] = ()  # folders of earlier studies whose best recipes are tried first
    set: Mapping[str, Any] = field(default_factory=dict)  # recipe fields that are fixed
    val: str | None = None  # the part that chooses: a folder below the pictures, or another table
    test: str | None = None  # the part that is sealed, likewise
    folds: int | None = None
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UsageError(unknown("task", self.task, TASKS))
        require(
            self.order is None or (self.groups is None and self.folds is None),
            "rows that are ordered are split by time: leave out the groups and the folds",
        )
        if self.metric != "auto" and self.metric not in METRIC_MODES:
            raise UsageError(unknown("metric", self.metric, ("auto", *METRIC_MODES)))
        if self.search not in SEARCHES:
            raise UsageError(unknown("search", self.search, SEARCHES))
        if self.time_s is not None:
            good = math.isfinite(self.time_s) and self.time_s > 0
            require(good, f"the time must be above 0 seconds, got {self.time_s:g}")
        for name in ("widen", "until_worthless"):
            value = getattr(self, name)
            require(isinstance(value, bool), f"{name} must be true or false, got {value!r}")
        for name in ("trials", "epochs", "folds", "seed"):
            value = getattr(self, name)
            require(value is None or type(value) is int, f"{name} must be a whole number, got {value!r}")
        for name in ("trials", "epochs"):
            value = getattr(self, name)
            require(value is None or 1 <= value <= 100_000, f"{name} must be 1 to 100000, got {value}")
        require(self.folds is None or 2 <= self.folds <= 20, f"folds must be 2 to 20, got {self.folds}")
        require(0 <= self.seed < 2**63, f"seed must be 0 to 2**63 - 1, got {self.seed}")
        mend = "a model of your own is given from Python only: tame.fit((X, y), model=build)"
        require(self.model is None or self.data == ARRAYS, mend)
        require(self.val is None or self.val != self.test, f"val and test cannot both be {self.val!r}")
        Recipe().but(self.set)
        require("seed" not in self.set, "the seed of a study is set with --seed, not with --set")
        asked: dict[str, Dimension] = {}
        for text in self.space:
            name, asked_for = parse_dimension(text)
            own = field_of(name)
            require(own not in self.set, f"{own} is fixed with --set and searched with --space; keep one of them")
            require(name not in asked, f"the space of {name} is given twice; keep one of them")
            asked[name] = asked_for
        check_asked(asked)

    @property
    def clock_s(self) -> float | None:
        """The wall clock that holds: as given, 5 minutes if nothing limits the study, else none."""
        if self.time_s is None and self.trials is None and self.epochs is None:
            return DEFAULT_TIME_S
        return self.time_s

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` turns back into this config."""
        return {**asdict(self), "set": dict(self.set), "space": list(self.space), "first": list(self.first)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyConfig:
        """The config of these values. Raises UsageError for an unknown key, with the nearest one."""
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                raise UsageError(unknown("setting", key, known))
        plain = dict(values)
        try:
            plain["space"] = tuple(plain.get("space", ()))
            plain["first"] = tuple(plain.get("first", ()))
            return cls(**plain)
        except (TypeError, AttributeError) as problem:
            raise UsageError(f"the settings do not fit: {problem}") from None


def default_metric(task: str) -> str:
    """The metric of a task where none was asked for: accuracy, or rmse in a regression."""
    known = {"binary": "accuracy", "multiclass": "accuracy", "regression": "rmse"}
    if task not in known:
        raise UsageError(unknown("task", task, known))
    return known[task]


def read_toml(path: Path) -> dict[str, Any]:
    """The settings of a TOML file: keys as in StudyConfig, `time` as text or seconds, `set` and `space` as tables.

    Raises UsageError for a file that is missing or no TOML, and for an unknown key.
    """
    require(path.exists(), f"no config file {path}")
    values = read_toml_file(path, what="a TOML file")
    if "time" in values:
        values["time_s"] = parse_time(str(values.pop("time")))
    if "space" in values:
        values["space"] = texts_of(values["space"], where=str(path))
    if "first" in values:
        own = [values["first"]] if isinstance(values["first"], str) else values["first"]
        good = isinstance(own, list) and all(isinstance(each, str) for each in own)
        require(good, f"{path}: first must be a list of folders")
        values["first"] = tuple(own)
    if "set" in values:
        require(isinstance(values["set"], Mapping), f"{path}: set must be a table of recipe fields")
        values["set"] = flatten(values["set"])
    known = [item.name for item in fields(StudyConfig)]
    for key in values:
        if key not in known:
            raise UsageError(f"{path}: {unknown('setting', key, [*known, 'time'])}")
    return values


def parse_time(text: str) -> float:
    """Seconds of "90", "90s", "5m", "1h30m" or "1.5h". Raises UsageError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip().lower())
    joined = "".join(number + unit for number, unit in parts)
    if not parts or joined != text.strip().lower():
        raise UsageError(f"cannot read the time {text!r}; write it as 90s, 5m or 1h30m")
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
    seconds = sum(float(number) * units[unit] for number, unit in parts)
    require(seconds > 0, f"the time must be above 0 seconds, got {text!r}")
    return seconds


def parse_set(texts: tuple[str, ...]) -> dict[str, Any]:
    """Recipe fields of ("optimizer.lr=0.01", ...). Raises UsageError for a wrong form or an unknown field."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        require(bool(equals), f"cannot read {text!r}: write FIELD=VALUE, such as optimizer.lr=0.01")
        short = name.strip().removeprefix("recipe.")
        require(short not in found, f"{short} is set twice")
        found[short] = Recipe().but({short: value.strip()}).flat()[short]
    return found
