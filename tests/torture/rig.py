"""Tiny studies in forked processes, killed, starved or torn at a counted step, and what must hold afterwards.

A process that has loaded everything forks for each round, so that a round costs what the study costs. In the fork the
study trains in its coordinator, and dies as a whole.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tame.app.own_stores import store_of
from tame.app.run import fit_study, resume_study
from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.store.disk import disk_failure
from tame.study.folder import CONFIG
from tame.study.record import is_study, open_record
from tame.study.state import Silent, read_state

ROWS = 200
ASKED = {"target": "label", "trials": 3, "epochs": 3, "seed": 1, "folds": 2}
FIXED = {"model.width": 8, "model.depth": 1}
UNCHANGED = ("score", "validation", "winner", "baselines", "confusion", "finalists", "epochs", "trials")
LIMIT_S = 240.0  # of one command; whoever takes longer hangs
KILLED, HUNG = -9, -1000


@dataclass(frozen=True)
class Outcome:
    """How a forked process ended. code: that of the command line, or KILLED or HUNG; value: what it came to."""

    code: int
    value: object = None
    said: str = ""


@dataclass
class Tally:
    """Rounds of one kind of fault, how they ended, and what went wrong."""

    fault: str
    must: str
    rounds: int = 0
    ways: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, way: str, wrong: str = "") -> None:
        """Counts a round that ended in some way, and what was wrong with it."""
        self.rounds += 1
        self.ways[way] = self.ways.get(way, 0) + 1
        if wrong:
            self.wrong.append(wrong)


class Rig:
    """A table, a cache and an undisturbed study, which all rounds are compared with."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.cache = work / "cache"
        os.environ["TAME_CACHE"] = str(self.cache)
        os.environ["TAME_STATE"] = str(work / "state")  # these studies are no affair of the user's
        self.table = work / "rows.csv"
        write_table(self.table)
        self._made = 0
        unused = self.folder()
        first = in_fork(lambda: self.modules_of_fit(unused))  # measures this machine, and remembers it in the cache
        assert first.code == 0, first.said
        for name in (work / "modules").read_text().split():
            importlib.import_module(name)  # what loads late would be loaded in every fork: three of four seconds
        whole = self.folder()
        done = in_fork(lambda: self.count_steps(whole))
        assert done.code == 0, done.said
        self.steps = int(str(done.value))  # durable steps of a whole study
        self.whole = whole
        self.expected = compared(whole)

    def folder(self) -> Path:
        """A new name for a study's folder."""
        self._made += 1
        return self.work / f"study-{self._made:04d}"

    def config(self, folder: Path, **more: object) -> StudyConfig:
        given: dict[str, object] = {**ASKED, "set": FIXED, **more}
        return StudyConfig(data=str(self.table), out=str(folder), **given)  # type: ignore[arg-type]

    def fit(self, folder: Path, **more: object) -> None:
        fit_study(self.config(folder, **more), Silent(), inline=True)

    def modules_of_fit(self, folder: Path) -> None:
        """Fits, and writes down the modules that this has loaded."""
        before = set(sys.modules)
        self.fit(folder)
        names = [name for name in sys.modules if name not in before and getattr(sys.modules[name], "__spec__", None)]
        (self.work / "modules").write_text("\n".join(names))

    def go_on(self, folder: Path) -> None:
        """What a user does with a folder after a crash: resume what has begun, else begin."""
        if (folder / CONFIG).exists():
            resume_study(folder, Silent(), inline=True)
        else:
            self.fit(folder)

    def count_steps(self, folder: Path) -> int:
        counted = at_step(0, folder, lambda: None)
        self.fit(folder)
        return counted()

    def wrong_with(self, folder: Path, before: list[tuple[int, str]], *, close: float = 0.0) -> str:
        """What is wrong with a study that was taken to its end; nothing where it is as the undisturbed one.

        close: of a number's size, by which it may differ.
        """
        if apart := differences("", compared(folder), self.expected, close=close):
            return f"{folder.name}: the result differs: {'; '.join(apart)}"
        if events_of(folder)[: len(before)] != before:
            return f"{folder.name}: events that were stored before are gone"
        running = [t.number for t in read_state(folder, store=store_of(folder))[1].history.having("running")]
        left = [path.name for path in folder.rglob("*") if path.name.endswith((".tmp", ".new"))]
        if running or left:
            return f"{folder.name}: trials {running} still run, or files {left} are left"
        return ""

    def ends_as_the_whole(self, folder: Path, tally: Tally, way: str, where: str) -> None:
        """Takes a study to its end after a fault, and counts the round."""
        before = events_of(folder)
        done = in_fork(lambda: self.go_on(folder))
        if done.code != 0:
            tally.add(f"{way}, then exit {done.code}", f"{where}: exit {done.code}: {done.said}")
        else:
            wrong = self.wrong_with(folder, before)
            tally.add(f"{way}, then {result_of(wrong)}", wrong and f"{where}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)


def result_of(wrong: str) -> str:
    """How a round is counted that ended with a result."""
    return "another result" if wrong else "the same result"


def write_table(path: Path) -> None:
    """A table of two numbers, a colour and a label that follows from them, with some noise."""
    chance = np.random.default_rng(0)
    x, color = chance.normal(size=(ROWS, 2)).round(3), chance.choice(["red", "green", "blue"], ROWS)
    label = np.where(x[:, 0] + 0.5 * x[:, 1] + (color == "red") + 0.7 * chance.normal(size=ROWS) > 0.3, "yes", "no")
    rows = [(*pair, c, own) for pair, c, own in zip(x.tolist(), color.tolist(), label.tolist(), strict=True)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("alpha", "beta", "color", "label"), *rows])


def compared(folder: Path) -> dict[str, object]:
    """What of a study's result must not depend on what happened to it."""
    result = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {key: result.get(key) for key in UNCHANGED}


def differences(name: str, found: object, expected: object, *, close: float) -> list[str]:
    """Where two plain values differ by more than that share of a number, and how."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return [each for key in found for each in differences(f"{name}.{key}", found[key], expected[key], close=close)]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [each for i, pair in pairs for each in differences(f"{name}[{i}]", *pair, close=close)]
    if isinstance(found, float) and isinstance(expected, float) and math.isclose(found, expected, rel_tol=close):
        return []
    return [] if found == expected else [f"{name.lstrip('.')} is {found}, not {expected}"]


def events_of(folder: Path) -> list[tuple[int, str]]:
    """Number and kind of the events of a study; none where it has no record yet."""
    if not is_study(folder):
        return []
    with closing(open_record(folder, read_only=True, store=store_of(folder))) as record:
        return [(event.id, f"{event.kind} {json.dumps(event.data, sort_keys=True)}") for event in record.events()]


def in_fork(work: Callable[[], object], *, watch: Callable[[int], None] = lambda pid: None) -> Outcome:
    """How a function ends in a forked process. watch: may disturb that process."""
    pid, said = fork(work)
    watch(pid)
    return wait(pid, said)


def fork(work: Callable[[], object]) -> tuple[int, int]:
    """Starts a function in a forked process: its number, and where what it says is read from."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    code = 1
    try:
        os.close(read)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        value, said = None, ""
        try:
            value, code = work(), 0
        except TameError as problem:
            said, code = str(problem), problem.exit_code
        except BaseException as problem:
            failed = disk_failure(problem)
            said, code = (failed, 6) if failed else (traceback.format_exc(), 1)
        plain = value if isinstance(value, int | str) else None
        os.write(write, json.dumps({"value": plain, "said": said[-3000:]}).encode())
    finally:
        os._exit(code)


def wait(pid: int, read: int) -> Outcome:
    """Waits for the end of a forked process, and ends it where it hangs."""
    end = time.monotonic() + LIMIT_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(read)
            return Outcome(HUNG, said=f"it took more than {LIMIT_S:.0f} s")
        time.sleep(0.002)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    told = json.loads(text) if text else {"value": None, "said": ""}
    return Outcome(os.waitstatus_to_exitcode(status), told["value"], told["said"])


def at_step(number: int, folder: Path, act: Callable[[], None]) -> Callable[[], int]:
    """Does something before the so-manieth durable step of this process in a folder; returns how many there were.

    Durable are: a file opened for writing, a rename, a removal, a folder made, a commit, and what was synced.
    """
    from sqlalchemy import Engine, event

    count, inside = 0, str(folder)

    def step() -> None:
        nonlocal count
        count += 1
        if count == number:
            act()

    def hook(name: str, given: tuple[object, ...]) -> None:
        if name == "open":
            path, _, flags = given
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(path, str) and path.startswith(inside):
                step()
        elif name in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(given[0]).startswith(inside):
            step()

    sync = os.fsync

    def synced(handle: int) -> None:
        sync(handle)
        step()

    os.fsync = synced
    sys.addaudithook(hook)
    event.listen(Engine, "commit", lambda connection: step())
    return lambda: count


def die() -> None:
    """Ends this process as a kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk() -> None:
    """From here on every write of this process fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def spread(count: int, steps: int, chance: random.Random) -> list[int]:
    """So many steps: each once, as far as they suffice, then at random."""
    every = list(range(1, steps + 1))
    chance.shuffle(every)
    return [every[i] if i < steps else chance.randint(1, steps) for i in range(count)]
