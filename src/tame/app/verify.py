"""`tame verify`: whatever of a study's folder can be checked, and what was found. Trains nothing, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tame.app.own_stores import store_of
from tame.core.errors import StorageError, TameError
from tame.core.files import MOST_BYTES, TEXT_BYTES, read_bytes, reading, require_own_folder
from tame.core.plain import to_plain
from tame.core.records import misfit
from tame.core.result import Result
from tame.core.sums import SUMS, read_sums, sha256_of
from tame.store.checkpoints import Checkpoints
from tame.study.consistency import contradictions
from tame.study.events import Summary
from tame.study.record import open_record, server_of
from tame.study.state import State
from tame.study.summary import said_otherwise

IN_FOLDER = "its pages, tables and indexes are sound, and its journals name nothing outside"
ON_SERVER = "its tables are as TAME makes them, without triggers, rules or views"
# Written for people, or measured here; no result comes from them, and `tame report` writes the report again.
UNCHECKED = ("report.html", "split.csv", "skipped.csv", "engines.json", "exports.json", "worker.log")


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at. problem: what is wrong with it; empty where nothing is."""

    what: str
    found: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was checked of a study's folder. unchecked: its files that nothing in the record speaks for."""

    study: str
    checks: tuple[Checked, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Checked, ...]:
        return tuple(each for each in self.checks if each.problem)

    def to_json(self) -> dict[str, object]:
        """The document that --json prints."""
        plain: dict[str, object] = to_plain(self)
        return {"schema": "tame/1", **plain, "sound": not self.problems}


def verify(folder: Path, *, store: str | None = None) -> Verdict:
    """What can be checked of a study. store: as the user names it, for a study that is kept on a server.

    Raises as `store_of` and `open_record` where its record cannot be read at all.
    """
    record = open_record(folder, read_only=True, store=store_of(folder, store))
    try:
        events = record.events()
    finally:
        record.close()
    state, summaries = State(), 0
    for event in events:
        state.after(event)
        if event.kind == Summary.event_kind and state.summary is not None:
            wrong, summaries = said_otherwise(state.summary, state.history), summaries + 1
            if wrong:
                raise misfit(event, StorageError(wrong))
    first = [
        Checked("database", IN_FOLDER if server_of(folder) is None else ON_SERVER),
        Checked("events", f"{len(events):,} in order without a gap, each with its checksum, each read and understood"),
    ]
    if not events:
        first = [first[0], Checked("events", "", "there are none")]
    if summaries:
        first.append(Checked("summary", f"{summaries:,} of all trials, each as the events before it say"))
    rest = [_looked(folder, state, what, look) for what, look in LOOKS.items()]
    return Verdict(str(folder), (*first, *rest), tuple(name for name in UNCHECKED if (folder / name).exists()))


Look = Callable[[Path, State], str]  # what was found; raises StorageError for what is wrong


def _looked(folder: Path, state: State, what: str, look: Look) -> Checked:
    try:
        return Checked(what, look(folder, state))
    except TameError as problem:
        return Checked(what, "", str(problem))
    except OSError as problem:
        return Checked(what, "", f"{problem.filename or folder}: {problem.strerror or problem}")


def _test_part(folder: Path, state: State) -> str:
    if state.result is not None and not state.openings:
        raise StorageError("there is a result, but no event says that the test part was opened")
    times = {0: "not opened yet", 1: "opened once"}
    return times.get(state.openings, f"opened {state.openings} times: the study was killed after each but the last")


def _model(folder: Path, state: State) -> str:
    if state.delivered is None:
        return "none was delivered"
    model, kept = folder / "model", state.delivered.files
    require_own_folder(model)
    for name, digest in kept.items():
        if sha256_of(model, name) != digest:
            raise StorageError(f"{model / name} is not the file that was delivered: its hash differs")
    sums = read_sums(model)
    if sums is not None and sums != dict(kept):
        raise StorageError(f"{model / SUMS} does not say what the study's record says")
    strange = sorted({path.name for path in model.iterdir()} - {*kept, SUMS})
    if strange and sums is not None:
        raise StorageError(f"{model} also holds {', '.join(strange)}, which was not delivered")
    late = "" if sums is not None else f"; written by an earlier TAME, without {SUMS}"
    return f"{', '.join(sorted(kept))}: as delivered, by the hashes in the record{late}"


def _checkpoints(folder: Path, state: State) -> str:
    if not (folder / "checkpoints").is_dir():
        return "there are none"
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    names = checkpoints.names()
    notes = [note for name in names if (note := checkpoints.load(name)[2]) is not None]
    if notes:
        raise StorageError("; ".join(notes))
    return f"{len(names):,} with the hash in their name"


def _config(folder: Path, state: State) -> str:
    if state.opened is None:
        raise StorageError("no event holds the config")
    if _json(folder, "config.json") != dict(state.opened.config):
        raise StorageError(f"{folder / 'config.json'} is not the config that the study was begun with")
    return "config.json is what the record says"


def _result(folder: Path, state: State) -> str:
    if state.result is None:
        return "not finished"
    if _json(folder, "report.json", most=MOST_BYTES) != state.result:
        raise StorageError(f"{folder / 'report.json'} is not the result that the record holds")
    return "report.json is what the record says"


def _numbers(folder: Path, state: State) -> str:
    if state.result is None:
        return "not finished"
    for problem in contradictions(state, Result.from_json(state.result)):
        raise StorageError(problem)
    return "the result's numbers agree with each other, and with the events before it"


def _json(folder: Path, name: str, *, most: int = TEXT_BYTES) -> object:
    try:
        return json.loads(read_bytes(folder, name, most=most))
    except (ValueError, RecursionError):
        raise StorageError(f"{folder / name} is not JSON") from None


def _links(folder: Path, state: State) -> str:
    """Every file of the folder, opened: links and pipes are refused by that."""
    count = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        with suppress(FileNotFoundError), reading(folder, name):
            count += 1
    return f"{count:,}, none of them a link, a pipe or a second name of a file outside"


LOOKS: dict[str, Look] = {
    "files": _links, "config": _config, "test part": _test_part, "model": _model, "checkpoints": _checkpoints,
    "result": _result, "numbers": _numbers,
}  # fmt: skip
