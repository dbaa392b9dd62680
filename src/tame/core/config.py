"""The settings of a study, from TOML, flags and Python, checked before any work starts."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tame.core.address import require_address, require_ray_address
from tame.core.codes import muted_in_toml, names_of
from tame.core.columns import check_columns, parse_columns, toml_columns, write_columns
from tame.core.errors import UsageError, require, unknown
from tame.core.objectives import check_limits, parse_limits, require_objective, toml_limits, write_limits
from tame.core.options import (
    OPTION,
    Option,
    Texts,
    parse_set,
    parse_space,
    parse_time,
    read_time,
    whole_paths,
    write_set,
    write_time,
)
from tame.core.recipe import Recipe, Value
from tame.core.space import Dimension, check_asked, field_of, parse_dimension
from tame.core.space_text import flatten, texts_of
from tame.core.toml_file import read_toml_file

T = TypeVar("T")
DEFAULT_TIME_S = 300.0
ARRAYS = "<arrays>"  # as data: arrays given from Python, stored in the study's folder
PICTURES = "<pictures>"  # as data: pictures given from Python, stored in the study's folder
GIVEN = (ARRAYS, PICTURES)
AUTO, NONE = "auto", "none"  # as backbone: the network that comes with TAME, if it suits the data; no backbone
INLINE = "<inline>"  # as model: the function exists only in the process that started the study
LANGUAGE = "language-model"  # the task of foretelling a text token by token
TASKS = ("auto", "images", "table", "classification", "binary", "multiclass", "regression", LANGUAGE)
METRIC_MODES = {
    "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max", "log_loss": "min", "roc_auc": "max",
    "average_precision": "max",
    "rmse": "min", "mae": "min", "r2": "max", "bits_per_character": "min",
}  # fmt: skip
SEARCHES = ("auto", "asha", "gp", "grid", "hyperband", "pbt", "random", "sha", "sobol", "thaw", "tpe")
BASELINES = ("trees",)
MOST_WORKERS = 64
LEAST_GROUPS = 3  # of each class: it is learned, chosen by and tested by different ones
ACTS = False  # whether the doctor does so where nothing is said of it
CLASSIFICATION_METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc", "average_precision")
REGRESSION_METRICS = ("rmse", "mae", "r2")
LANGUAGE_METRICS = ("bits_per_character",)


# Said of few studies, and so not kept.
SELDOM = (
    "columns", "image", "text", "label_pattern", "store", "mute", "edits", "workers", "baseline", "objective", "limit",
    "ray",
)  # fmt: skip
# The order of options in the command that the report shows; others follow in the order of the fields.
WRITTEN = (
    "target", "image", "text", "label_pattern", "columns", "groups", "order", "task", "backbone", "search", "val",
    "test", "folds", "edits", "trials", "epochs", "seed", "metric", "time_s", "space", "start_from", "widen", "doctor",
    "stop_search_early", "ensemble", "baseline", "more_data", "set",
)  # fmt: skip
DATA, BUDGET, NETWORK, SEARCH, OUTPUT = PANELS = ("Data", "Budget", "Network", "Search", "Output")  # of the help


def toml_space(value: object, where: str) -> object:
    """The dimensions of a [space] table."""
    return texts_of(value, where=where)


def toml_folders(value: object, where: str) -> object:
    """Folders as written in TOML: a list, or one text."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise UsageError(f"{where}: start_from must be a list of folders")
    return tuple(several)


def toml_set(value: object, where: str) -> object:
    """Recipe fields of a [set] table, by dotted names."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: set must be a table of recipe fields")
    return flatten(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """All settings of a study. None: not given, so the study decides and reports its decision."""

    data: str = field(  # or one of GIVEN
        metadata=Option(
            "a folder of pictures or texts (class/x.jpg, or train/, val/ and test/ of these), a list of pictures "
            "(CSV), a CSV or Parquet table, or with --task language-model any folder of texts",
            kind="argument",
            metavar="DATA",
        ).metadata
    )
    task: str = field(default="auto", metadata=Option(
        "auto, classification, regression, binary, multiclass or language-model", metavar="TASK", group=DATA,
    ).metadata)  # fmt: skip
    target: str | None = field(default=None, metadata=Option(
        "the column of a table to predict", metavar="COLUMN", group=DATA,
    ).metadata)  # fmt: skip
    image: str | None = field(default=None, metadata=Option(
        "column of a list that has the paths of pictures (default: found by itself)", metavar="COLUMN", group=DATA,
    ).metadata)  # fmt: skip
    text: str | None = field(default=None, metadata=Option(
        "column of a table that has the texts (default: found by itself)", metavar="COLUMN", group=DATA,
    ).metadata)  # fmt: skip
    label_pattern: str | None = field(default=None, metadata=Option(
        "labels from the names of files: a regular expression of a whole name, its one group the label, such "
        "as '(.+)_\\d+.jpg'", metavar="PATTERN", group=DATA,
    ).metadata)  # fmt: skip
    columns: Mapping[str, str] = field(  # by name, in the words of core/columns.py
        default_factory=dict,
        metadata=Option(
            "what a column is: year=category, id=ignore, price=number (or boolean, date, date:dmy, number:comma)",
            kind="texts",
            metavar="COLUMN=KIND",
            group=DATA,
            flag="column",
            read=parse_columns,
            write=write_columns,
            toml=toml_columns,
        ).metadata,
    )
    groups: str | None = field(default=None, metadata=Option(
        "a column; rows with equal values stay on one side of every split", metavar="COLUMN", group=DATA,
    ).metadata)  # fmt: skip
    order: str | None = field(default=None, metadata=Option(
        "a column that orders the rows; the latest become the test part", metavar="COLUMN", group=DATA,
    ).metadata)  # fmt: skip
    model: str | None = None  # where to find the function of the user's own module, or INLINE; only from Python
    metric: str = field(  # auto: the default of the task
        default="auto",
        metadata=Option("accuracy, log_loss, roc_auc, rmse, mae, r2 and others", metavar="METRIC", group=DATA).metadata,
    )
    objective: str | None = field(default=None, metadata=Option(
        "choose by latency or size too: the cheapest of the recipes that are about as good as the best",
        metavar="NAME", group=DATA,
    ).metadata)  # fmt: skip
    limit: Mapping[str, str] = field(default_factory=dict, metadata=Option(
        "what the delivered model may take at most: latency=20ms, size=5MB", kind="texts", metavar="NAME=AMOUNT",
        group=DATA, read=parse_limits, write=write_limits, toml=toml_limits,
    ).metadata)  # fmt: skip
    # None: not said. A study begins with what its kind of data has then; in the record of a study it means none.
    backbone: str | None = field(default=None, metadata=Option(
        "auto (for photographs the default: the pretrained network that comes with TAME), lite1, lite2, "
        "a timm name, a folder with weights, or none for a small network from scratch; for texts minilm, a folder "
        "or none", metavar="NAME", group=NETWORK,
    ).metadata)  # fmt: skip
    time_s: float | None = field(default=None, metadata=Option(
        "wall clock from start to report, such as 90s or 5m", metavar="TIME", flag="time", read=read_time,
        write=write_time, group=BUDGET,
    ).metadata)  # fmt: skip
    trials: int | None = field(
        default=None, metadata=Option("number of recipes to try", kind="whole", metavar="N", group=BUDGET).metadata
    )
    epochs: int | None = field(
        default=None,
        metadata=Option("maximum number of epochs per recipe", kind="whole", metavar="N", group=BUDGET).metadata,
    )
    search: str = field(
        default="auto", metadata=Option(f"search method: {', '.join(SEARCHES)}", metavar="NAME", group=SEARCH).metadata
    )
    space: tuple[str, ...] = field(
        default=(),
        metadata=Option(
            'a TOML file, or a dimension: "model.width=16..256:log"',
            kind="texts",
            metavar="SPACE",
            group=SEARCH,
            read=parse_space,
            toml=toml_space,
        ).metadata,
    )
    widen: bool = field(
        default=True,
        metadata=Option(
            "widen a range if the best recipes lie on its edge (default: yes)", kind="switch", group=SEARCH, has_no=True
        ).metadata,
    )
    stop_search_early: bool = field(
        default=False,
        metadata=Option(
            "stop when further trials are unlikely to help", kind="switch", group=SEARCH, older="until_worthless"
        ).metadata,
    )
    doctor: bool = field(default=ACTS, metadata=Option(
        "try remedies for what is wrong with the best trials, and keep those that help (default: no)",
        kind="switch", group=SEARCH, has_no=True,
    ).metadata)  # fmt: skip
    ensemble: bool | None = field(default=None, metadata=Option(
        "deliver the mean of several networks if it is better than one by more than chance (default: yes for tables)",
        kind="switch", group=NETWORK, has_no=True,
    ).metadata)  # fmt: skip
    baseline: str | None = field(default=None, metadata=Option(
        "also compare with gradient boosting by scikit-learn, for tables: trees", metavar="NAME", group=NETWORK,
    ).metadata)  # fmt: skip
    more_data: bool = field(default=False, metadata=Option(
        "train the winner on fewer examples too, and tell what more of them would be worth (default: no)",
        kind="switch", group=NETWORK,
    ).metadata)  # fmt: skip
    start_from: tuple[str, ...] = field(default=(), metadata=Option(
        "folder of an earlier study whose best recipes are tried first", kind="texts", metavar="STUDY", group=SEARCH,
        older="first", read=whole_paths, toml=toml_folders,
    ).metadata)  # fmt: skip
    set: Mapping[str, Value] = field(
        default_factory=dict,
        metadata=Option(
            "fix a recipe field: optimizer.lr=0.01",
            kind="texts",
            metavar="FIELD=VALUE",
            group=NETWORK,
            read=parse_set,
            write=write_set,
            toml=toml_set,
        ).metadata,
    )
    val: str | None = field(
        default=None,
        metadata=Option("the validation part: a folder in DATA, or another table", metavar="PART", group=DATA).metadata,
    )
    test: str | None = field(
        default=None,
        metadata=Option("the sealed part: a folder in DATA, or another table", metavar="PART", group=DATA).metadata,
    )
    folds: int | None = field(
        default=None,
        metadata=Option("number of cross-validation folds", kind="whole", metavar="N", group=DATA).metadata,
    )
    edits: str | None = field(
        default=None,
        metadata=Option(
            "examples to leave out and labels to change, from the page Data of tame ui", metavar="FILE", group=DATA
        ).metadata,
    )
    seed: int = field(default=0, metadata=Option(
        "seed for all random choices", kind="whole", metavar="N", repeated="always", group=SEARCH,
    ).metadata)  # fmt: skip
    out: str | None = field(default=None, metadata=Option(
        "folder for the study (default: runs/NAME-0001)", metavar="FOLDER", repeated="never", group=OUTPUT,
    ).metadata)  # fmt: skip
    workers: int | None = field(default=None, metadata=Option(
        "processes that train at the same time, each with its own GPU if there are any (default: 1)", kind="whole",
        metavar="N", repeated="never", group=BUDGET,
    ).metadata)  # fmt: skip
    ray: str | None = field(default=None, metadata=Option(
        "train behind Ray: local, or HOST:PORT of a cluster that you run; --workers says how many", metavar="ADDRESS",
        repeated="never", group=BUDGET,
    ).metadata)  # fmt: skip
    store: str | None = field(default=None, metadata=Option(  # None: in the study's folder
        "keep the events at postgresql://USER@HOST/DATABASE", metavar="ADDRESS", repeated="never", group=OUTPUT,
    ).metadata)  # fmt: skip

    mute: tuple[str, ...] = field(default=(), metadata=Option(
        "a finding that is not told, by number or name: TAME301", kind="texts", metavar="CODE", group=OUTPUT,
        toml=muted_in_toml,
    ).metadata)  # fmt: skip

    def __post_init__(self) -> None:
        _check_texts(self)
        names_of(self.mute)
        if self.task not in TASKS:
            raise UsageError(unknown("task", self.task, TASKS))
        require(
            self.order is None or (self.groups is None and self.folds is None),
            "ordered rows are split by time; leave out groups and folds",
        )
        if self.metric != "auto" and self.metric not in METRIC_MODES:
            raise UsageError(unknown("metric", self.metric, ("auto", *METRIC_MODES)))
        if self.search not in SEARCHES:
            raise UsageError(unknown("search", self.search, SEARCHES))
        if self.baseline is not None and self.baseline not in BASELINES:
            raise UsageError(unknown("baseline", self.baseline, BASELINES))
        _check_numbers(self)
        instead = "your own model can only be given from Python: tame.fit((X, y), model=build)"
        require(self.model is None or self.data == ARRAYS, instead)
        listed = self.target is not None or self.image is not None
        require(
            self.label_pattern is None or not listed,
            "labels come from a column (--target) or from the names of files (--label-pattern); give one of them",
        )
        require(self.val is None or self.val != self.test, f"val and test cannot both be {self.val!r}")
        check_columns(self.columns)
        _check_text(self)
        _check_prices(self)
        if self.store is not None:
            require_address(self.store)
        if self.ray is not None:
            require_ray_address(self.ray)
        Recipe().but(self.set)
        require("seed" not in self.set, "the seed of a study is set with --seed, not with --set")
        _check_space(self)

    @property
    def muted(self) -> tuple[str, ...]:
        """The names of the findings that are not told."""
        return names_of(self.mute)

    @property
    def told(self) -> Mapping[str, str]:
        """What the user said that columns are, by name, in the words of core/columns.py."""
        return self.columns if self.text is None else {**self.columns, self.text: "text"}

    @property
    def clock_s(self) -> float | None:
        """The wall clock in seconds: as given, 5 minutes if nothing else limits the study, else None."""
        if self.time_s is None and self.trials is None and self.epochs is None:
            return DEFAULT_TIME_S
        return self.time_s

    def to_json(self) -> dict[str, object]:
        """Plain values that `from_json` turns back into this config, by the names that older versions know."""
        plain = {**asdict(self), "set": dict(self.set), "space": list(self.space), "start_from": list(self.start_from),
                 "mute": list(self.mute), "limit": dict(self.limit)}  # fmt: skip
        unsaid = [name for name in SELDOM if not plain[name]]
        unsaid += [*([] if self.doctor else ["doctor"]), *(["ensemble"] if self.ensemble is None else []),
                   *([] if self.more_data else ["more_data"])]  # fmt: skip
        for name in unsaid:
            del plain[name]  # so that a study that says nothing of them is written as it always was
        return {stored_name(name): value for name, value in plain.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyConfig:
        """The config of these values. Raises UsageError for an unknown key, with the nearest one."""
        plain = {"doctor": False, **by_field(values)}  # as in older studies, which say nothing of it
        try:
            plain |= {name: tuple(plain[name]) for name in ("space", "start_from", "mute") if name in plain}
            return cls(**plain)
        except (TypeError, AttributeError) as problem:
            raise UsageError(f"invalid settings: {problem}") from None


def _check_texts(config: StudyConfig) -> None:
    """Raises UsageError for fields of text that hold something else."""
    for each in fields(config):
        value = getattr(config, each.name)
        is_text = isinstance(value, str) or (value is None and each.type == "str | None")
        require(is_text or each.type not in ("str", "str | None"), f"{each.name} must be a text, got {value!r}")


def _check_text(config: StudyConfig) -> None:
    """Raises UsageError for a column of texts that is said to be something else too."""
    if config.text is None:
        return
    for name in ("target", "image", "groups", "order"):
        require(getattr(config, name) != config.text, f"column {config.text!r} cannot be both the text and the {name}")
    kind = config.columns.get(config.text, "text")
    require(kind == "text", f"column {config.text!r} is given as the text and as {kind}; keep one of them")


def _check_prices(config: StudyConfig) -> None:
    """Raises UsageError for objectives and limits that are none, or that contradict the rest."""
    if config.objective is not None:
        require_objective(config.objective)
        several = "several networks take several times as much as one; give only one of ensemble and objective"
        require(not config.ensemble, several)
    check_limits(config.limit)
    alone = config.objective is None and not config.limit
    require(alone or config.task != LANGUAGE, "objective and limit are not for language models; leave them out")


def _check_numbers(config: StudyConfig) -> None:
    """Raises UsageError for numbers and switches that are none, or out of range."""
    if config.time_s is not None:
        is_number = isinstance(config.time_s, int | float) and not isinstance(config.time_s, bool)
        require(is_number, f"the time must be a number of seconds, or a text such as '10m', got {config.time_s!r}")
        good = math.isfinite(config.time_s) and config.time_s > 0
        require(good, f"the time must be above 0 seconds, got {config.time_s:g}")
    for name in ("widen", "doctor", "stop_search_early", "more_data", "ensemble"):
        value = getattr(config, name)
        unsaid = name == "ensemble" and value is None
        require(unsaid or isinstance(value, bool), f"{name} must be true or false, got {value!r}")
    for name in ("trials", "epochs", "folds", "seed", "workers"):
        value = getattr(config, name)
        require(value is None or type(value) is int, f"{name} must be a whole number, got {value!r}")
    for name in ("trials", "epochs"):
        value = getattr(config, name)
        require(value is None or 1 <= value <= 100_000, f"{name} must be 1 to 100000, got {value}")
    workers = config.workers
    require(workers is None or 1 <= workers <= MOST_WORKERS, f"workers must be 1 to {MOST_WORKERS}, got {workers}")
    require(config.folds is None or 2 <= config.folds <= 20, f"folds must be 2 to 20, got {config.folds}")
    require(0 <= config.seed < 2**63, f"seed must be 0 to 2**63 - 1, got {config.seed}")


def _check_space(config: StudyConfig) -> None:
    """Raises UsageError for a space that cannot be read, or that asks for a field twice."""
    asked: dict[str, Dimension] = {}
    for text in config.space:
        name, asked_for = parse_dimension(text)
        own = field_of(name)
        require(own not in config.set, f"{own} is fixed with --set and searched with --space; keep one of them")
        require(name not in asked, f"the space of {name} is given twice; keep one of them")
        asked[name] = asked_for
    check_asked(asked)


FIELDS = tuple(item.name for item in fields(StudyConfig))
OPTIONS: Mapping[str, Option] = {
    item.name: item.metadata[OPTION] for item in fields(StudyConfig) if OPTION in item.metadata
}
PYTHON_ONLY = ("model",)  # the fields that are not options
_OLDER = {each.older: name for name, each in OPTIONS.items() if each.older}
_STORED = {name: older for older, name in _OLDER.items()}
_FLAGS = {each.flag: name for name, each in OPTIONS.items() if each.flag}


def stored_name(name: str) -> str:
    """The name of a field in config.json: a renamed field keeps its older name there."""
    return _STORED.get(name, name)


def by_field(values: Mapping[str, T], *, also: Iterable[str] = ()) -> dict[str, T]:
    """These settings by field name; older names are accepted.

    also: other known names, for the error. Raises UsageError for an unknown name, with the nearest one, and for a
    setting given under both its names.
    """
    found: dict[str, T] = {}
    for key, value in values.items():
        name = _OLDER.get(key, key)
        if name not in FIELDS:
            raise UsageError(unknown("setting", key, (*FIELDS, *also)))
        require(name not in found, f"{name} is the new name of {stored_name(name)}; give only one of them")
        found[name] = value
    return found


def config_of(texts: Mapping[str, Texts], file: Path | None = None) -> StudyConfig:
    """The settings of the command line, else of a TOML file, else the defaults.

    texts: the texts given for each field; empty if none. Raises UsageError, also for a value of the file that the
    command line overrides: it is as wrong in the next study.
    """
    given = {name: OPTIONS[name].value_of(own) for name, own in texts.items() if own}
    written = read_toml(file) if file else {}
    for name in written.keys() & given.keys():
        try:
            StudyConfig.from_json({"data": "", name: written[name]})
        except UsageError as problem:
            raise UsageError(f"{file}: {problem}") from None
    whole = {"doctor": ACTS, **written, **given}
    require(
        "data" in whole, f"no data: name it on the command line, or in {file or 'a file for --config'} as data = ..."
    )
    return StudyConfig.from_json(whole)


def command_of(config: StudyConfig) -> str:
    """The command that reproduces the study, with every setting that is not the default: `tame fit ...`, or the call
    where the data was given from Python."""
    told = _told(config)
    if config.data in GIVEN:
        return _call(config, told)
    words = [word for name in told for word in OPTIONS[name].words(name, getattr(config, name))]
    return shlex.join(["tame", "fit", config.data, *words])


def _told(config: StudyConfig) -> list[str]:
    """The settings that are not as they would be without being given, and those that are always told."""
    plain = StudyConfig(data=config.data)
    return [
        name
        for name in (*WRITTEN, *(name for name in OPTIONS if name not in WRITTEN))
        if OPTIONS[name].kind != "argument"
        and OPTIONS[name].repeated != "never"
        and (OPTIONS[name].repeated == "always" or getattr(config, name) not in (None, getattr(plain, name)))
    ]


def _call(config: StudyConfig, told: Iterable[str]) -> str:
    """The call that makes a study again. X, y, pictures, labels and build stand for what was given from Python."""
    words = ["(X, y)" if config.data == ARRAYS else "(pictures, labels)"]
    words += [] if config.model is None else ["model=build"]
    for name in told:
        value = getattr(config, name)
        if name == "time_s":
            words.append(f"time={write_time(value)[0]!r}")
        else:
            words.append(f"{name}={dict(value) if isinstance(value, Mapping) else value!r}")
    return f"tame.fit({', '.join(words)})"


def default_metric(task: str) -> str:
    """The default metric of a task: accuracy, rmse for a regression, bits per character for a language model."""
    known = {"binary": "accuracy", "multiclass": "accuracy", "regression": "rmse", LANGUAGE: "bits_per_character"}
    if task not in known:
        raise UsageError(unknown("task", task, known))
    return known[task]


def read_toml(path: Path) -> dict[str, object]:
    """The settings of a TOML file by field. `time` is text or a number of seconds, `set` and `space` are tables.

    Raises UsageError for a missing file, a file that is not TOML, and an unknown key.
    """
    require(path.exists(), f"there is no config file {path}")
    values = read_toml_file(path, what="a TOML file")
    if "time" in values:
        values["time_s"] = parse_time(str(values.pop("time")))
    try:
        named = by_field(values, also=_FLAGS)
    except UsageError as problem:
        raise UsageError(f"{path}: {problem}") from None
    return {name: _from_toml(OPTIONS.get(name), value, str(path)) for name, value in named.items()}


def _from_toml(own: Option | None, value: object, where: str) -> object:
    return value if own is None or own.toml is None else own.toml(value, where)
