"""Looking at a study from outside, while its processes work."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

# Python runs this file before anything else, in every process; what is named here is then not to be found.
WITHOUT = """
import sys

class Without:
    finders = list(sys.meta_path)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders if hasattr(finder, "find_spec"))
        return next((spec for spec in found if spec is not None), None)

    def find_distributions(self, *context):
        for finder in self.finders:
            for each in getattr(finder, "find_distributions", lambda *_: ())(*context):
                if each.metadata["Name"].lower().replace("-", "_") not in {names!r}:
                    yield each

sys.meta_path[:] = [Without()]
"""


def worker_of(pid):
    """The process that trains for a coordinator."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(each) for each in children.read_text().split()] if children.exists() else []
    return found[0] if found else None


def wait_until_at(process, folder, mark):
    """Until the study has so many events, or its process has ended."""
    wait_for(lambda: process.poll() is not None or count_events(folder) >= mark)


def wait_for_worker(process):
    """Until the coordinator has a process that trains, or has ended."""
    wait_for(lambda: process.poll() is not None or worker_of(process.pid) is not None)


def count_events(folder):
    """How many events a study holds; 0 before it has been begun or while its database is being made."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True, timeout=10)) as store:
            return store.execute("select count(*) from event").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def wait_for(claim, seconds=180.0):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
