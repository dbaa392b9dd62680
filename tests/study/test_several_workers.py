"""A study has the same events, but for times, for any number of workers, whoever of them is killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tame
from command_line import tame_here
from processes import count_events
from tame.core.errors import UsageError
from tame.study.record import open_record
from tame.worker.sockets import descendants

SMALL = ("--trials", "6", "--epochs", "3", "--seed", "1", "--quiet")
OF_TIME = ("opened", "forecast", "forecast_corrected", "trained", "workers", "worker_restarted")  # and of who trains
OF_PLACE = ("study", "model", "report", "folder", "machine", "forecast", "command")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200)).round(3)
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [(x, y, "yes" if x + y > 0.2 else "no") for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        csv.writer(file).writerows([("a", "b", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def alone(table, tmp_path_factory):
    """What a study with one worker tells, and the cache of what was measured, which the others find."""
    folder = tmp_path_factory.mktemp("alone")
    return folder / "cache", story(fit(table, folder / "study", 1, folder / "cache"))


def fit(table, study, workers, cache, *more):
    done = tame_here(
        "fit", table, "--target", "label", *SMALL, "--out", study, "--workers", workers, *more, cache=cache
    )
    assert done.returncode == 0, done.stderr
    return study


def story(folder):
    """The events without times, and every point of every curve: in which order trials come to it is no matter."""
    record = open_record(folder, read_only=True)
    told, points = [], {}
    for event in record.events():
        plain = json.loads(json.dumps(dict(event.data)))
        if event.kind == "curve":
            points |= {(plain["trial"], point[0]): point for point in plain["points"]}
        elif event.kind not in OF_TIME:
            told.append((event.kind, timeless(plain)))
    record.close()
    return told, points


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(own) for key, own in value.items() if not key.endswith("_s") and key not in OF_PLACE}
    return [timeless(own) for own in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_the_events_are_the_same_for_any_number_of_workers(alone, table, workers, tmp_path):
    cache, told = alone
    study = fit(table, tmp_path / "study", workers, cache)
    assert story(study) == told
    result = json.loads((study / "report.json").read_text())
    assert result["machine"]["workers"] == workers
    each = "thread" if result["machine"]["threads_each"] == 1 else "threads"
    words = f"by {workers} workers with {result['machine']['threads_each']} {each} each"
    assert words in tame_here("show", study, cache=cache).stdout.replace("\n", " ")
    assert words in (study / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as Linux shows them")
def test_a_study_whose_workers_are_killed_has_the_same_events(alone, table, tmp_path):
    cache, told = alone
    study, killed = tmp_path / "study", []

    def strike():
        for mark, place in ((14, 0), (24, 1), (40, 0)):
            while count_events(study) < mark:
                time.sleep(0.01)
            with suppress(IndexError, ProcessLookupError):
                os.kill(workers_here()[place], signal.SIGKILL)
                killed.append(place)

    striking = threading.Thread(target=strike, daemon=True)
    striking.start()
    fit(table, study, 2, cache)
    striking.join(timeout=60)
    assert story(study) == told
    record = open_record(study, read_only=True)
    restarts = [event.data["how"] for event in record.events() if event.kind == "worker_restarted"]
    record.close()
    assert killed
    assert {how.partition(":")[2] for how in restarts} <= {" signal 9"}
    assert 1 <= len(restarts) <= len(killed), "one that has nothing more to do is not missed"


def workers_here():
    """The processes that train for this one, in the order in which they were started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += [int(each) for each in (task / "children").read_text().split()]
    return sorted(pid for pid in found if b"tame.worker.serve" in Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
def test_a_cluster_that_is_refused_leaves_nothing_behind(table, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    given = ("--target", "label", *SMALL, "--ray", "127.0.0.1:1", "--out", tmp_path / "study")
    done = tame_here("fit", table, *given, cache=tmp_path / "cache")
    assert done.returncode == 7
    assert "start it with RAY_AUTH_MODE=token, and set that here too" in done.stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
def test_the_events_are_the_same_behind_ray_though_its_actors_are_killed(alone, table, tmp_path):
    cache, (events, points) = alone
    command = [sys.executable, "-m", "tame.app.cli", "fit", str(table), "--target", "label", *SMALL, "--workers", "2",
               "--ray", "local", "--out", str(tmp_path / "study")]  # fmt: skip
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen(command, env={**os.environ, "TAME_CACHE": str(cache)}, stderr=stderr)
    killed: set[int] = set()
    while process.poll() is None:
        actors = [each for each in descendants(process.pid) if is_actor(each)]
        begun = (tmp_path / "study" / "study.db").exists() and count_events(tmp_path / "study") > 20
        if begun and actors and len(killed) < 3 and not killed & set(actors):
            killed.add(actors[-1])
            os.kill(actors[-1], signal.SIGKILL)
        time.sleep(0.5)
    assert process.returncode == 0
    assert killed, "an actor was killed"
    assert "Traceback" not in (tmp_path / "stderr").read_text(), "what Ray says of it is nothing for the user"
    told = story(tmp_path / "study")
    assert told[1] == points
    assert told[0] == events


def is_actor(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::Holder")
    except OSError:
        return False


@pytest.mark.slow
def test_a_study_is_resumed_with_another_number_of_workers(alone, table, tmp_path):
    cache, told = alone
    study = tmp_path / "study"

    def stop():
        while count_events(study) < 30:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    done = tame_here("fit", table, "--target", "label", *SMALL, "--out", study, "--workers", 2, cache=cache)
    assert done.returncode == 130, done.stderr
    done = tame_here("resume", study, "--workers", 1, "--quiet", cache=cache)
    assert done.returncode == 0, done.stderr
    found, points = story(study)
    assert [event for event in found if event[0] != "stopped"] == told[0]
    assert points == told[1]
    assert "workers" not in json.loads((study / "report.json").read_text())["machine"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "0"), "workers must be 1 to 64, got 0"),
        (("--workers", "2", "--inline"), "leave out workers"),
    ],
)
def test_workers_that_cannot_be_are_refused_and_nothing_is_left(table, words, said, tmp_path):
    done = tame_here("fit", table, "--target", "label", "--out", tmp_path / "study", *words, cache=tmp_path / "cache")
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "study").exists()


def test_a_module_that_no_other_process_can_import_has_no_workers(tmp_path):
    x, y = np.zeros((20, 3), dtype=np.float32), np.arange(20) % 2
    with pytest.raises(UsageError, match="leave out workers"):
        tame.fit((x, y), model=lambda: None, workers=2, trials=1, out=tmp_path / "study", quiet=True)
    assert not (tmp_path / "study").exists()
