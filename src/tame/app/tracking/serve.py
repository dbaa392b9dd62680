"""A process that follows one study and tells one tracker, so that neither can slow down or stop the training.

A reader of the study's events like any page. On its stdin a line of JSON says what it tells whom; it goes on until its
stdin ends, and takes in what is new then. On its stdout a line of JSON at its end, or as soon as it fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tame.app.own_stores import store_of
from tame.app.tracking.known import require_package
from tame.app.tracking.telling import Ledger, Telling
from tame.app.tracking.tracker import Named, Place
from tame.core.errors import TameError
from tame.core.plain import from_plain
from tame.study.events import Opened, read_event
from tame.study.following import Follower
from tame.study.record import open_record

EVERY_S = 1.0  # between two looks at the study
NICE = 10  # steps of priority that it leaves to the training
LONGEST = 160  # characters of what a foreign package says


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a process is asked: to tell a tracker of a study, into a folder."""

    study: str
    tracker: str
    address: str | None
    folder: str


def tell(asked: Asked, ended: threading.Event) -> int:
    """Tells a tracker until the event is set, and once more; how many events there were. Raises whatever it raises."""
    study, folder = Path(asked.study), Path(asked.folder)
    named = Named(asked.tracker, asked.address)
    require_package(named.kind)
    store = store_of(study)
    key = _key_of(study, store)
    place = Place(folder=folder, address=asked.address, name=study.resolve().name, key=key)
    # Told apart by server: what one has heard, another has not.
    server = f"-{hashlib.sha256(asked.address.encode()).hexdigest()[:8]}" if asked.address else ""
    ledger = Ledger(None if named.kind.is_made_again else folder, f"told{server}.jsonl")
    with closing(ledger):
        tracker = named.kind.open(place)
        telling = Telling(tracker, named.kind, ledger)
        with closing(Follower(study, telling, store=store)) as follower:
            is_last = False
            while not is_last:
                is_last = ended.is_set()
                follower.catch_up()
                ledger.flush()
                ended.wait(EVERY_S)
        tracker.close()
    return telling.seq


def _key_of(study: Path, store: str | None) -> str:
    """The random id of a study, by which runs are found again; of an older one, the name of its folder."""
    with closing(open_record(study, read_only=True, store=store)) as record:
        event = record.last(Opened.event_kind)
    opened = None if event is None else read_event(event)
    known = opened.id if isinstance(opened, Opened) else None
    return known or study.resolve().name


def without_password(text: str, address: str | None) -> str:
    """What a package says of a server, without the name and password that its address may hold."""
    secret, at, _ = (address or "").partition("://")[2].partition("/")[0].rpartition("@")
    return text.replace(f"{secret}@", "") if at else text


def main() -> None:
    """Tells what stdin asks for."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what packages print is no answer
    if sys.platform != "win32":
        os.nice(NICE)
    asked = from_plain(Asked, json.loads(sys.stdin.readline()), what="the question")
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    try:
        found: dict[str, object] = {"events": tell(asked, ended)}
    except TameError as problem:
        found = {"problem": str(problem)}
    except Exception as problem:  # whatever a foreign package raises is told, and ends this process alone
        told = without_password(" ".join(str(problem).split()), asked.address)
        found = {"problem": f"{type(problem).__name__}: {told}"[:LONGEST]}
    said.write(json.dumps(found) + "\n")
    said.flush()
    os._exit(0)  # packages wait at their end for servers that are down


if __name__ == "__main__":
    main()
