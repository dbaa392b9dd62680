"""Which studies this user began on this machine, and what a study that goes on may read and fetch.

The record of a study names its data, its backbone and other studies. Whoever wrote the record chose these names, so
they are followed only where this user did: the study is on a private list of this user, or the names are given again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import platformdirs

from tame.core.config import AUTO, GIVEN, NONE, StudyConfig
from tame.core.errors import RefusedError, TameError, UsageError, require
from tame.core.files import read_bytes, write_text
from tame.core.options import whole_paths
from tame.core.plain import from_plain
from tame.parts.embedded import EMBEDDED
from tame.parts.embedded_encoders import EMBEDDED_ENCODERS
from tame.study.events import Opened
from tame.study.state import Silent, State, Watcher

COSTS = "loss.costs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What a study uses from outside its folder, as the user gives it again. None: not given."""

    data: str | None = None
    backbone: str | None = None
    val: str | None = None
    test: str | None = None
    costs: str | None = None
    start_from: tuple[str, ...] | None = None

    @property
    def given(self) -> dict[str, str | tuple[str, ...]]:
        """What was given, by name."""
        every = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in every.items() if value is not None}


def remember(opened: Opened, given: Mapping[str, str | tuple[str, ...]], watcher: Watcher) -> None:
    """Puts a study on this user's list, with what was given for it again; a note says where that cannot be done."""
    folder = own_list("studies")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(folder, _entry(opened), json.dumps(given, sort_keys=True) + "\n")
    except OSError as problem:
        why = problem.strerror or problem
        watcher.note(f"{folder} cannot be written ({why}), so tame resume will ask for --data; see TAME_STATE")


def remember_start(config: StudyConfig) -> None:
    """Puts a study on this user's list before its first event, and so before it has an id."""
    remember(Opened(config=config.to_json()), {}, Silent())


def forget_start(opened: Opened) -> None:
    """Takes what `remember_start` put on the list off again."""
    with suppress(OSError):
        (own_list("studies") / _entry(replace(opened, id=None))).unlink(missing_ok=True)


def take_up(opened: Opened, watcher: Watcher) -> None:
    """Puts a study on the list whose start this user began here, and which was killed before it was on it."""
    if recalled(opened) is None and recalled(replace(opened, id=None)) is not None:
        remember(opened, {}, watcher)
        forget_start(opened)


def recalled(opened: Opened) -> Outside | None:
    """What was given again for a study that is on this user's list; None for any other study."""
    try:
        return from_plain(
            Outside, json.loads(read_bytes(own_list("studies"), _entry(opened))), what="the list of own studies"
        )
    except (OSError, ValueError, TameError):
        return None  # no list that can be read: what is outside is asked for


def named_outside(config: StudyConfig, *, planned: bool) -> dict[str, str | tuple[str, ...]]:
    """What the record names outside the study's folder, by the name of its setting.

    planned: whether the recipes of earlier studies have been taken already.
    """
    costs = str(config.set.get(COSTS, ""))
    backbone = None if config.backbone is None or is_inside(config.backbone) else config.backbone
    named: Mapping[str, str | tuple[str, ...] | None] = {
        "data": None if config.data in GIVEN else config.data, "backbone": backbone, "val": config.val,
        "test": config.test, "costs": costs or None, "start_from": None if planned else config.start_from,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value}


def is_inside(backbone: str) -> bool:
    """Whether a name of a backbone stands for none, or for one that is installed with TAME and proved by its hash."""
    return backbone in (AUTO, NONE, *EMBEDDED, *EMBEDDED_ENCODERS)


def allowed(folder: Path, config: StudyConfig, state: State, given: Outside) -> StudyConfig:
    """The config with which a study may go on: what is outside its folder is what this user named.

    Raises RefusedError where the study is not this user's and something was not given again, UsageError for what the
    study does not use, and for another backbone than it was begun with.
    """
    named = named_outside(config, planned=state.plan is not None)
    for name in given.given:
        require(name in named, f"{folder} uses no {_flag(name)}; leave it out")
    own = Outside() if state.opened is None else recalled(state.opened)
    known = {**(own.given if own is not None else {}), **given.given}
    missing = [] if own is not None else [name for name in named if name not in given.given]
    if missing:
        what = ", ".join(f"{_flag(name)} {_shown(named[name])}" for name in missing)
        again = " ".join(f"{_flag(name)} {_shown(value)}" for name, value in named.items())
        raise RefusedError(
            f"{folder} was not begun by you on this machine, so nothing outside it that it names is read or fetched "
            f"({what}); if that is what you want, go on with: tame resume {shlex.quote(str(folder))} {again}"
        )
    return _with(config, {name: value for name, value in known.items() if name in named})


def is_own(state: State) -> bool:
    """Whether this user began the study here or has named again what it uses, or it uses nothing outside itself."""
    if state.opened is None:
        return False
    outside = named_outside(StudyConfig.from_json(state.opened.config), planned=True)
    return not outside or recalled(state.opened) is not None


def _with(config: StudyConfig, known: Mapping[str, str | tuple[str, ...]]) -> StudyConfig:
    """The config with these values in place of those of the record, as whole paths."""
    changes: dict[str, str | tuple[str, ...]] = {}
    for name, value in known.items():
        if isinstance(value, tuple):
            changes[name] = whole_paths(value)
        elif name == "backbone":
            changes[name] = _backbone(str(config.backbone), value)
        elif name == "data" or (name in ("val", "test") and Path(value).exists()):
            changes[name] = str(Path(value).resolve())
        elif name != "costs":
            changes[name] = value
    fixed = {**config.set, COSTS: str(known["costs"])} if "costs" in known else config.set
    return replace(config, **changes, set=fixed)  # type: ignore[arg-type]


def _backbone(kept: str, given: str) -> str:
    """The backbone that was given again. Raises UsageError for another one than the study was begun with."""
    folder = Path(given).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if given != kept:
        raise UsageError(f"this study was begun with --backbone {kept}, not {given}")
    return given


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(value: str | tuple[str, ...]) -> str:
    return shlex.join([value] if isinstance(value, str) else value)


def own_list(name: str) -> Path:
    """The folder of a private list of this user: in $TAME_STATE, or where the system keeps such."""
    given = os.environ.get("TAME_STATE")
    return (Path(given) if given else platformdirs.user_state_path("tame")) / name


def _entry(opened: Opened) -> str:
    """The name of a study on the list: its random id with its whole config, so that no other config passes for it."""
    text = json.dumps([opened.id, opened.config], sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()}.json"
