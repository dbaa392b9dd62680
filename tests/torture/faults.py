"""The faults: each a function that runs so many rounds, from a seed, and returns how they ended."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from postgres_server import SECRET, installed, running
from processes import count_events, worker_of
from tame.app.run import fit_study
from tame.core.errors import UsageError
from tame.store.lease import BusyError
from tame.study.session import begin, reopen
from tame.study.state import Silent
from torture.rig import (
    ASKED,
    FIXED,
    KILLED,
    Rig,
    Tally,
    at_step,
    die,
    events_of,
    fill_disk,
    fork,
    in_fork,
    result_of,
    spread,
    wait,
)

# Of a loss: a member whose checkpoint is lost is trained again alone. The products of one member are rounded otherwise
# than those of several, and Adam enlarges that where a gradient is nothing but rounding: 2e-5 after 15 steps.
ALONE = 1e-4
PROCESSES, WITHIN_S = 8, 0.030


def coordinator_killed(rig: Rig, count: int, seed: int) -> Tally:
    """SIGKILL at every durable step in turn, then at random ones; one in four is killed again while it is resumed."""
    tally = Tally("SIGKILL of the coordinator", "resumed, or begun again where nothing was stored: the same result")
    chance = random.Random(seed)
    for number in spread(count, rig.steps, chance):
        folder = rig.folder()

        def dies(folder: Path = folder, number: int = number) -> None:
            at_step(number, folder, die)
            rig.fit(folder)

        first, way = in_fork(dies), "killed"
        if first.code not in (KILLED, 0):
            tally.add(f"exit {first.code}", f"step {number}: {first.said}")
            continue
        if chance.random() < 0.25 and first.code == KILLED:
            again = chance.randint(1, rig.steps)

            def dies_again(folder: Path = folder, again: int = again) -> None:
                at_step(again, folder, die)
                rig.go_on(folder)

            way = "killed twice" if in_fork(dies_again).code == KILLED else way
        rig.ends_as_the_whole(folder, tally, way if first.code else "too late to kill", f"step {number}")
    return tally


def worker_killed(rig: Rig, count: int, seed: int) -> Tally:
    """SIGKILL of the process that trains, at a random event; the coordinator must go on by itself."""
    tally = Tally("SIGKILL of the worker", "the same command goes on by itself: the same result")
    chance, whole = random.Random(seed), rig.folder()
    done = in_fork(lambda: fit_study(rig.config(whole), Silent()))
    assert done.code == 0, done.said
    most = len(events_of(whole))
    for _ in range(count):
        folder, mark = rig.folder(), chance.randint(1, most - 2)
        killed = []

        def strike(pid: int, folder: Path = folder, mark: int = mark, killed: list[int] = killed) -> None:
            end = time.monotonic() + 60
            while time.monotonic() < end and lives(pid):
                victim = worker_of(pid)
                if victim is not None and count_events(folder) >= mark:
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                    return
                time.sleep(0.005)

        done = in_fork(lambda folder=folder: fit_study(rig.config(folder), Silent()), watch=strike)
        way = "killed" if killed else "too late to kill"
        if done.code != 0:
            tally.add(f"{way}, then exit {done.code}", f"event {mark}: {done.said}")
        else:
            wrong = rig.wrong_with(folder, [])
            tally.add(f"{way}, then {result_of(wrong)}", wrong and f"event {mark}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def files_torn(rig: Rig, count: int, seed: int) -> Tally:
    """A byte flipped, the end cut off or zeroed, in any file of a study that was killed half way."""
    again = f"a loss within {ALONE:g} of itself, where it is trained again alone"
    must = f"resumed with the same result ({again}), or refused in words; never other numbers"
    tally = Tally("a torn or damaged file", must)
    chance, half = random.Random(seed), rig.folder()

    def dies() -> None:
        at_step(rig.steps * 6 // 10, half, die)
        rig.fit(half)

    assert in_fork(dies).code == KILLED
    files = sorted(path.relative_to(half) for path in half.rglob("*") if path.is_file() and path.stat().st_size)
    for _ in range(count):
        folder = rig.folder()
        shutil.copytree(half, folder)
        name = chance.choice(files)
        how = damage(folder / name, chance)
        done = in_fork(lambda folder=folder: rig.go_on(folder))
        where = f"{name}, {how}"
        if done.code == 0:
            wrong = rig.wrong_with(folder, [], close=ALONE)
            tally.add(result_of(wrong), wrong and f"{where}: {wrong}")
        elif done.code in (2, 3, 6, 7) and done.said:
            tally.add(f"refused (exit {done.code})")
        else:
            tally.add(f"exit {done.code}", f"{where}: {done.said}")
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def damage(path: Path, chance: random.Random) -> str:
    """Damages a file, and says how."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    how = chance.choice(("flipped", "cut", "zeroed"))
    if how == "flipped":
        content[place] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del content[place:]
    else:
        content[place:] = bytes(len(content) - place)
    path.write_bytes(content)
    return f"{how} at byte {place}"


def many_at_once(rig: Rig, count: int, seed: int) -> Tally:
    """Eight processes begin in one folder within 30 ms; half are refused later, and take away what they made."""
    tally = Tally(
        f"{PROCESSES} processes on one folder", "one study, or none where all were refused; nobody takes another's"
    )
    chance = random.Random(seed)
    for number in range(count):
        folder = rig.folder()
        start = time.monotonic() + 0.15
        delays = [chance.uniform(0, WITHIN_S) for _ in range(PROCESSES)]

        def one(place: int, folder: Path = folder, start: float = start, delays: Sequence[float] = delays) -> str:
            time.sleep(max(0.0, start + delays[place] - time.monotonic()))
            try:
                study = begin(rig.config(folder, seed=place), Silent())
            except (BusyError, UsageError) as problem:
                own = isinstance(problem, BusyError) or "already contains a study" in str(problem)
                return "refused" if own else str(problem)
            study.throwaway = place % 2 == 1
            study.close()
            return "taken away" if study.throwaway else "begun"

        children = [fork(lambda place=place: one(place)) for place in range(PROCESSES)]
        ends = [wait(*child) for child in children]
        said = [str(each.value) for each in ends]
        begun = [place for place, each in enumerate(said) if each == "begun"]
        wrong = "; ".join(
            each.said or str(each.value) for each in ends if each.value not in ("begun", "taken away", "refused")
        )
        if len(begun) > 1:
            wrong = f"{len(begun)} began a study"
        elif begun:
            with reopen(folder, Silent()) as study:
                wrong = wrong or ("" if study.config.seed == begun[0] else "the study is another's")
        tally.add("one study" if begun else "none: all were refused", wrong and f"round {number}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def disk_full(rig: Rig, count: int, seed: int) -> Tally:
    """From a durable step on every write fails, as on a full disk; then there is room again."""
    tally = Tally("disk full (RLIMIT_FSIZE) from a write on", "exit 6, and with room again the same result")
    for number in spread(count, rig.steps, random.Random(seed)):
        folder = rig.folder()

        def starves(folder: Path = folder, number: int = number) -> None:
            at_step(number, folder, fill_disk)
            rig.fit(folder)

        first = in_fork(starves)
        if first.code not in (0, 6):
            tally.add(f"exit {first.code}", f"step {number}: {first.said}")
            continue
        rig.ends_as_the_whole(folder, tally, f"exit {first.code}", f"step {number}")
    return tally


def server_ended(rig: Rig, count: int, seed: int) -> Tally:
    """The server that keeps a study's events ends without a word at a durable step; then it is started again."""
    tally = Tally("PostgreSQL ends in the middle", "exit 6, and with the server back the same result")
    binaries = installed()
    if binaries is None:
        tally.ways["not tried: no PostgreSQL server here"] = 0
        return tally
    os.environ["PGPASSWORD"] = SECRET
    with running(binaries) as server:
        for number in spread(count, rig.steps, random.Random(seed)):
            folder, address = rig.folder(), server.public_address()

            def loses(folder: Path = folder, number: int = number, address: str = address) -> None:
                at_step(number, folder, server.stop)
                rig.fit(folder, store=address)

            first = in_fork(loses)
            server.restart()
            if first.code not in (0, 6):
                tally.add(f"exit {first.code}", f"step {number}: {first.said}")
                continue
            rig.ends_as_the_whole(folder, tally, f"exit {first.code}", f"step {number}")
    return tally


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long jump(void) {
    char text[32] = {0};
    const char *path = getenv("TAME_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return 0;
    long got = read(file, text, 31);
    close(file);
    return got > 0 ? atol(text) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += jump();
    return code;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
JUMPS = {"an hour on": 3600, "a day back": -86400, "to 1970": -(10**9) * 17 // 10, "ten years on": 315_360_000}


def clocks_jump(rig: Rig, count: int, seed: int) -> Tally:
    """The clock of the machine jumps while a study with a clock works, in real processes."""
    tally = Tally("the clock jumps", "the result of a study that nothing happened to")
    compiler = shutil.which("cc")
    if compiler is None:
        tally.ways["not tried: no C compiler here"] = 0
        return tally
    source, shim, clock = rig.work / "clock.c", rig.work / "clock.so", rig.work / "clock"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True, capture_output=True)
    chance = random.Random(seed)
    for number in range(count):
        name = list(JUMPS)[number % len(JUMPS)]
        folder = rig.folder()
        clock.write_text("0")
        words = ["fit", rig.table, "--inline", "--quiet"]
        words += [word for name, value in ASKED.items() for word in (f"--{name}", value)]
        words += [word for name, value in FIXED.items() for word in ("--set", f"{name}={value}")]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tame.app.cli", *map(str, words), "--out", str(folder)],
            env={**os.environ, "LD_PRELOAD": str(shim), "TAME_CLOCK": str(clock)}, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        mark = chance.randint(1, 12)
        while process.poll() is None and count_events(folder) < mark:
            time.sleep(0.01)
        clock.write_text(str(JUMPS[name]))
        _, said = process.communicate(timeout=240)
        wrong = f"exit {process.returncode}: {said}" if process.returncode else rig.wrong_with(folder, [])
        tally.add(result_of(wrong), wrong and f"{name} at event {mark}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def lives(pid: int) -> bool:
    """Whether a child has not ended; it is not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Of each: in a sample, in the whole.
FAULTS: dict[Callable[[Rig, int, int], Tally], tuple[int, int]] = {
    coordinator_killed: (2, 200),
    worker_killed: (1, 100),
    files_torn: (3, 500),
    many_at_once: (3, 100),
    disk_full: (2, 160),
    server_ended: (0, 40),
    clocks_jump: (0, 8),
}
