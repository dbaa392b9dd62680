"""Studies that are not well, one folder each."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys

from served_pages import unpack
from tame.app.exchange import import_trials
from tame.core.config import StudyConfig
from tame.study.events import Ended
from tame.study.session import begin
from tame.study.state import Silent

DIES = """
import os, sys
sys.path.insert(0, sys.argv[2])
from browsing import fill
from tame.core.config import StudyConfig
from tame.study.live import Live, Spent
from tame.study.session import begin
from tame.study.state import Silent
with begin(StudyConfig(data="x", out=sys.argv[1], time_s=60.0), Silent()) as study:
    speaker = Live(study.folder, lambda: Spent(used_s=3.0, given_s=60.0))
    speaker.phase("stage 3 of 6: searching")
    fill(study, trials=3, epochs=4)
    print("ready", flush=True)
    sys.stdin.read()
"""
HERE = os.path.dirname(os.path.abspath(__file__))


def old(name, runs):
    """A study of an earlier version at runs/NAME."""
    source = unpack(name, runs.parent / "unpacked")
    return shutil.copytree(source, runs / name)


def damaged(runs):
    folder = old("table", runs).rename(runs / "damaged")
    content = bytearray((folder / "study.db").read_bytes())
    content[5000:9000] = b"\xff" * 4000
    (folder / "study.db").write_bytes(bytes(content))


def newer(runs):
    folder = old("table", runs).rename(runs / "newer")
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def imported(runs):
    table = runs.parent / "earlier.csv"
    table.write_text("lr,batch,loss\n0.1,32,0.9\n0.01,64,0.5\n")
    import_trials(table, out=runs / "imported", metric="loss", mode="min")


def ended(runs):
    with begin(StudyConfig(data="x", out=str(runs / "ended"), time_s=60.0), Silent()) as study:
        study.keep(Ended(code=4, why="every trial diverged"))


def killed(runs):
    """A study whose process is killed in the middle."""
    own = subprocess.Popen(
        [sys.executable, "-c", DIES, str(runs / "killed"), HERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert own.stdout.readline() == b"ready\n"
    own.send_signal(signal.SIGKILL)
    own.communicate()
