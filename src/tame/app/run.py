"""From a config to a finished study: the shared part of `tame fit`, `tame resume` and the Python call.

The loop, the report and what they load (scipy, scikit-learn, Jinja) are imported where they are used: by then the
process that trains has begun to load torch, and both load at the same time.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tame.adjust.searchers import require_installed
from tame.app.own_cache import cache_folder
from tame.app.own_key import own_key
from tame.app.own_stores import remember_store, store_of
from tame.app.own_studies import (
    Outside,
    allowed,
    forget_start,
    is_inside,
    is_own,
    named_outside,
    recalled,
    remember,
    remember_start,
    take_up,
)
from tame.app.tracking.known import untold
from tame.app.tracking.tracker import Named
from tame.app.tracking.tracking import tracking
from tame.core.config import GIVEN, INLINE, StudyConfig
from tame.core.errors import NothingTrainedError, ShapeError, StoppedError, StorageError, TameError, UsageError, require
from tame.core.exported import read_exports
from tame.core.files import is_folder_beside, write_text
from tame.core.records import MISFITS, Event, History
from tame.core.result import Result
from tame.core.sums import WEIGHTS
from tame.kinds.known import KINDS, kind_of
from tame.store.checkpoints import Checkpoints
from tame.store.disk import write_private
from tame.study.events import Ended, Stopped
from tame.study.heed import attended, go_on
from tame.study.record import server_of
from tame.study.session import Study, begin, reopen
from tame.study.state import Watcher, how_to_resume, read_state, readable, unfinished, unmuted
from tame.worker.crew import LOCAL, crew_of, require_ray

WRITTEN = ("report.json", "report.html")
HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
STOPS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, HANGUP) if number is not None)
SECOND_S = 5.0  # a second Ctrl-C within so many seconds stops immediately


def fit_study(
    config: StudyConfig, watcher: Watcher, *, inline: bool = False, started: float | None = None,
    keep: Callable[[Path], None] | None = None, build: Callable[..., object] | None = None, ours: bool = False,
    afterwards: Callable[[Study, Result], None] | None = None, trackers: Sequence[Named] = (),
) -> Result:  # fmt: skip
    """Starts a study and runs it to its end.

    started: the time (monotonic) from which the clock counts; keep: writes arrays given from Python into the study's
    folder; build: makes the user's own module; ours: whether an empty folder was made for this study alone;
    afterwards: called with the finished study, while its worker still has the data; trackers: are told what happens.
    """
    require_installed(config.search)
    _require_workers(config, inline=inline or config.model == INLINE)
    kind_of(config).look_at(config)  # bad data leaves no folder behind
    cache_folder()  # likewise
    folder = Path("runs")
    empty = not folder.exists()
    whole = resolved(config)
    outside = bool(named_outside(whole, planned=False))

    def keep_given(own: Path) -> None:
        if (server := server_of(own)) is not None:
            remember_store(server, server.address, watcher)
        if outside:
            remember_start(whole)
        if keep is not None:
            keep(own)

    try:
        with begin(whole, watcher, keep=keep_given, ours=ours) as study:
            if started is not None:
                study.started_at(started)
            study.build, study.store_of = build, store_of
            if outside and study.state.opened is not None:
                remember(study.state.opened, {}, watcher)
                forget_start(study.state.opened)
            with tracking(study.folder, trackers, watcher):
                return _carry_out(study, inline=inline or config.model == INLINE, afterwards=afterwards)
    finally:
        if empty:
            with suppress(OSError):  # it holds a study, of this process or of another
                folder.rmdir()


def _require_workers(config: StudyConfig, *, inline: bool) -> None:
    """Raises UsageError for workers that cannot be: beside a training in this process, without a GPU each, or without
    Ray."""
    workers = config.workers or 1
    alone = "what is trained in this process has no other workers (--inline, or a function that they cannot import)"
    require(not inline or workers == 1, f"{alone}; leave out workers")
    require(not inline or config.ray is None, f"{alone}; leave out ray")
    if config.ray is not None:
        require_ray()
    if config.ray in (None, LOCAL):
        crew_of(workers)


def resolved(config: StudyConfig) -> StudyConfig:
    """The config with absolute paths, so that a study can be resumed from another folder, and with its backbone."""
    edits = None if config.edits is None else str(Path(config.edits).resolve())
    whole = replace(config, backbone=_absolute(config.backbone or kind_of(config).backbone), edits=edits)
    if config.data in GIVEN:
        return whole
    whole = replace(whole, data=str(Path(config.data).resolve()))
    if Path(config.data).is_dir():
        return whole
    return replace(whole, val=_other_part("val", config.val, whole), test=_other_part("test", config.test, whole))


def _other_part(name: str, path: str | None, config: StudyConfig) -> str | None:
    """The absolute path of a part that is a separate table, or the folder beside a list of pictures as it was named.

    Raises UsageError where there is neither.
    """
    if path is None:
        return None
    if not Path(path).is_file() and is_folder_beside(Path(config.data), path):
        return path
    require(Path(path).is_file(), f"--{name} must name another table, but there is no file {path}")
    return str(Path(path).resolve())


def resume_study(
    folder: Path, watcher: Watcher, *, inline: bool = False, build: Callable[..., object] | None = None,
    outside: Outside | None = None, store: str | None = None, workers: int | None = None, ray: str | None = None,
    trackers: Sequence[Named] = (),
) -> Result:  # fmt: skip
    """Continues a study that was stopped or killed; returns the result again if it is finished.

    workers, ray: from here on, None for those that it was started with.
    outside: what it uses from outside its folder, which must be given for a study that this user did not start here;
    store: likewise the server that keeps its events. Raises RefusedError where they are not. trackers: are told what
    happens, and what they have not heard yet.
    """
    from tame.study.delivered import lost_files

    with reopen(folder, watcher, store=store_of(folder, store, watcher=watcher)) as study:
        study.build, study.store_of = build, store_of
        lost = lost_files(folder, study.state) if study.state.result is not None else []
        if study.config.model is not None and (study.state.result is None or lost):
            # A study's folder may come from someone else, so the code that it names is not run unasked.
            command = how_to_resume(folder, model=study.config.model)
            require(build is not None, f"this study trains your own model; resume it with: {command}")
            inline = True
        study.config = _with_workers(study, workers, ray, inline=inline)
        if study.state.result is not None:
            watcher.note("this study is already finished; here is its result")
            if lost:
                _allow(study, outside or Outside())
            with tracking(folder, trackers, watcher, most_s=None):
                return _complete(study, Result.from_json(study.state.result), lost, inline=inline)
        require_installed(study.config.search)
        own = is_own(study.state)
        _allow(study, outside or Outside())
        watcher.note(_what_is_kept(study))
        if left := untold(folder, trackers):
            watcher.note(f"{' and '.join(left)} kept track of it before: --track {left[0]} goes on with that")
        with _fits_together(study, own=own), tracking(folder, trackers, watcher):
            return _carry_out(study, inline=inline)


@contextmanager
def _fits_together(study: Study, *, own: bool) -> Iterator[None]:
    """A study that goes on within: StorageError where its record, once planned, asks for what cannot be.

    Each event was checked by itself, and whoever resumes has asked for nothing but that. own: whether this user began
    the study; what goes wrong in one is a bug, and in a stranger's it is what the stranger wrote.
    """
    planned, asked = study.state.plan is not None, study.state.space_asked
    try:
        yield
    except (UsageError, ShapeError) as problem:
        if not planned or not study.has_data or study.build is not None or (asked is not None and asked.texts):
            raise  # the user may have moved the data, given another model, or asked for a space that cannot be
        raise StorageError(f"{study.folder}: its record does not fit together: {problem}") from problem
    except MISFITS as problem:
        if own or isinstance(problem, TameError):
            raise
        told = f"{type(problem).__name__}: {problem}"
        raise StorageError(f"{study.folder}: its record does not fit together ({told})") from problem


def _with_workers(study: Study, workers: int | None, ray: str | None, *, inline: bool) -> StudyConfig:
    """The config of a study that goes on with so many workers. Raises UsageError as `_require_workers`."""
    config = study.config if workers is None else replace(study.config, workers=workers)
    config = config if ray is None else replace(config, ray=ray)
    before, is_given = study.config.workers or 1, workers is not None or ray is not None
    if not is_given and (before > 1 or study.config.ray is not None) and (inline or not is_own(study.state)):
        alone = "a module of your own goes on in this process, without other workers"
        elsewhere = f"a study from elsewhere goes on with one worker; --workers {before} gives it as many as it had"
        study.watcher.note(alone if inline else elsewhere)
        config = replace(config, workers=None)
    if ray is None and (inline or not is_own(study.state)):
        config = replace(config, ray=None)  # nor is a stranger's cluster reached
    _require_workers(config, inline=inline)
    return config


def _allow(study: Study, given: Outside) -> None:
    """Lets a study go on with what this user named outside its folder. Raises RefusedError where they did not."""
    opened = study.state.opened
    if opened is not None:
        take_up(opened, study.watcher)
    study.config = allowed(study.folder, study.config, study.state, given)
    if given.given and opened is not None:
        whole = named_outside(study.config, planned=study.state.plan is not None)
        again = {name: value for name, value in whole.items() if name in given.given}
        before = recalled(opened) or Outside()
        remember(opened, {**before.given, **again}, study.watcher)


def write_report(folder: Path, result: Result, history: History, config: StudyConfig | None) -> Path:
    """Writes report.html of a finished study. config: None where its pictures may not be read, so none are shown."""
    from tame.report.page import render_report
    from tame.report.pictures import pictured

    thumbnails = {} if config is None else KINDS.get(result.kind).thumbnails_of(config, pictured(result), folder)
    exports = read_exports(folder, result.delivered.files.get(WEIGHTS, ""))
    write_private(folder / "report.html", render_report(result, history, thumbnails, exports))
    return folder / "report.html"


def _carry_out(study: Study, *, inline: bool, afterwards: Callable[[Study, Result], None] | None = None) -> Result:
    with _Signals(study), attended(study, own_key(study.watcher)):
        go_on(study)
        try:
            study.hire(cache=cache_folder(), inline=inline)
            from tame.loop import run

            result = run(study)
        except StoppedError:
            study.keep_last(Stopped(used_s=study.used_s))
            raise
        except TameError as problem:
            if isinstance(problem, NothingTrainedError):
                kind = study.state.kind
                from tame.report.page import render_failure

                name = Path(study.config.data).name
                page = render_failure(name, str(problem), unmuted(study.state), study.history, kind=kind)
                study.write("report.html", page)
                problem.study = study.folder
            if study.state.plan is not None:
                with suppress(StorageError):  # the first failure says more
                    study.keep_last(Ended(why=str(problem), code=problem.exit_code, used_s=study.used_s))
            elif not isinstance(problem, StorageError):
                study.throwaway = study.begun_here  # refused before any training: leave nothing behind
            raise
    study.stage(6, "writing the report")
    _write_result(study, result, study.config)
    study.keep_last(Event("result", result.to_json()))
    if afterwards is not None:
        afterwards(study, result)
    _collect(study)
    return result


def _write_result(study: Study, result: Result, config: StudyConfig | None) -> None:
    """Writes what people read of a finished study. config: None where its pictures may not be read."""
    from tame.report.model_card import model_card
    from tame.study.delivery import add_card

    study.write("report.json", json.dumps(result.to_json(), indent=1, ensure_ascii=True) + "\n")
    add_card(study, model_card(result, read_exports(study.folder, result.delivered.files.get(WEIGHTS, ""))))
    write_report(study.folder, result, study.history, config)


def _complete(study: Study, result: Result, lost: Sequence[str], *, inline: bool) -> Result:
    """The result of a finished study, after what is missing of its files is there again. lost: files of its model."""
    from tame.loop import run_delivery
    from tame.study.delivered import is_card_lost

    if lost:
        study.watcher.note(f"of the model {', '.join(lost)} is missing or damaged; it is delivered again")
        with _Signals(study):
            study.hire(cache=cache_folder(), inline=inline)
            delivered = run_delivery(study)
        if dict(delivered.files) != dict(result.delivered.files):
            study.watcher.note("it was trained again here, and differs from the first one in its last digits")
            result = replace(result, delivered=delivered)
            study.keep(Event("result", result.to_json()))
    there = all((study.folder / name).is_file() for name in WRITTEN)
    if lost or not there or is_card_lost(study.folder, study.state):
        _write_result(study, result, study.config if lost or is_own(study.state) else None)
    _collect(study)
    return result


def _collect(study: Study) -> None:
    """Lets go of the weights of all trials: the study is finished, and its model delivered."""
    if (study.folder / "checkpoints").is_dir():
        kept = Checkpoints(study.folder / "checkpoints")
        for name in kept.names():
            kept.drop(name)


def report_study(folder: Path, watcher: Watcher, *, store: str | None = None) -> Path:
    """Writes the page of a finished study again, after its model where that is missing. store: as in `resume_study`.

    Raises UsageError.
    """
    from tame.study.delivered import lost_files

    address = store_of(folder, store, watcher=watcher)
    config, state = read_state(folder, store=address)
    page = folder / "report.html"
    if state.result is None and page.exists():
        return page  # nothing usable was trained, and that is what it says
    if state.result is None:
        raise UsageError(unfinished(folder, state))
    own = is_own(state)
    if lost := lost_files(folder, state):
        if config.model is None and (own or not named_outside(config, planned=state.plan is not None)):
            resume_study(folder, watcher, store=address)
            config, state = read_state(folder, store=address)
        else:
            mend = how_to_resume(folder, model=config.model)
            watcher.note(f"of the model {', '.join(lost)} is missing or damaged; deliver it again with: {mend}")
    assert state.result is not None
    with readable(folder):
        write_report(folder, Result.from_json(state.result), state.history, config if own else None)
    if not own:
        watcher.note("pictures are left out of the report: this study was not begun by you on this machine")
    return page


class _Signals:
    """Ctrl-C, SIGTERM and a closed terminal: the first lets the worker finish its step and saves all, a second one
    stops immediately."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._first_at: float | None = None
        self._number = signal.SIGINT
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> None:
        try:
            for number in STOPS:
                if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
                    self._before[number] = signal.signal(number, self._handle)
        except ValueError:
            return  # only the main thread may set signal handlers

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(problem, StoppedError):
            problem.exit_code = 128 + self._number
            command = how_to_resume(self._study.folder, model=self._study.config.model)
            problem.args = (f"stopped; everything is saved. Resume with: {command}",)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._number = signal.Signals(number)
        now = time.monotonic()
        # A terminal that closes may send both SIGTERM and SIGHUP, which are not two wishes.
        if self._first_at is not None and now - self._first_at < SECOND_S and number != HANGUP:
            raise StoppedError("stopped immediately", signal_number=number)
        self._first_at = now
        self._study.watcher.note("stopping after this step; press Ctrl-C again to stop immediately")
        self._study.stop()


def _what_is_kept(study: Study) -> str:
    history = study.history
    done = len(history.having("complete", "stopped", "diverged"))
    waiting = len(history.having("paused", "running"))
    restarts = f"{done} finished trials kept, {waiting} continue from their last checkpoint"
    return f"resuming {study.folder}: {restarts}, {study.used_s:.0f} s used so far"


def _absolute(backbone: str | None) -> str | None:
    if backbone and not is_inside(backbone) and Path(backbone).expanduser().is_dir():
        return str(Path(backbone).expanduser().resolve())
    return backbone


def say_bug(folder: Path | None, text: str) -> str:
    """Writes the traceback of a bug in TAME to a file; returns what to tell the user."""
    place = (folder if folder is not None and folder.is_dir() else Path.cwd()) / "tame-crash.txt"
    try:
        write_text(place.parent, place.name, f"tame, python {sys.version}\n{text}")
    except OSError:
        return f"this is a bug in TAME; please report it:\n{text}"
    return f"this is a bug in TAME; please report it with the file {place}"
