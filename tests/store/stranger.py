"""Folders as a stranger could send them: each is a study that would harm whoever opens it, if it were believed.

python tests/store/stranger.py FOLDER      makes all of them below FOLDER, with canaries beside them
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tame.core.sums import write_sums
from tame.store.schema import checksum

STUDIES = Path(__file__).parents[1] / "data" / "old_studies"
MAGIC = bytes.fromhex("d9d505f920a163d7")
ESCAPES = "\x1b[2J\x07\x1b]0;owned\x07\x9b"

Make = Callable[[Path, Path], None]  # of a finished study's folder and the folder of the canaries


def journal(study: Path, canaries: Path) -> None:
    """A journal that names another one, which SQLite deletes."""
    name = os.fsencode(canaries / "deleted")
    head = MAGIC + b"".join(value.to_bytes(4, "big") for value in (1, 0, 2, 512, 4096))
    record = (2).to_bytes(4, "big") + b"\0" * 4100
    tail = (1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + MAGIC
    (study / "study.db-journal").write_bytes(head.ljust(512, b"\0") + record + tail)


def link_of(*names: str) -> Make:
    """Links in place of files or folders; what lay there is moved out, so that it could be read through the link."""

    def make(study: Path, canaries: Path) -> None:
        for number, name in enumerate(names):
            place, target = study / name, canaries / f"linked-{number}"
            if place.exists():
                place.rename(target)
            else:
                target.write_bytes(b"the user's own")
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(target)

    return make


def pipe(study: Path, canaries: Path) -> None:
    """A database that never ends to be read."""
    (study / "study.db").unlink()
    os.mkfifo(study / "study.db")


def event(study: Path, kind: str, change: Callable[[dict], object]) -> None:
    """Changes the last event of a kind, with the checksum that fits."""
    with closing(sqlite3.connect(study / "study.db")) as store:
        row = "select id, seq, data, at from event where kind = ? order by seq desc"
        number, seq, text, at = store.execute(row, (kind,)).fetchone()
        data = json.loads(text)
        told = change(data)
        text = json.dumps(data if told is None else told)
        crc = checksum("study", seq, kind, text, at)
        store.execute("update event set data = ?, crc = ? where id = ?", (text, crc, number))
        store.commit()


def poisoned(kind: str, value: object) -> Make:
    """An event of the wrong shape."""

    def make(study: Path, canaries: Path) -> None:
        event(study, kind, lambda data: value)

    return make


def unfinished(study: Path) -> None:
    """Takes the result away, so that the study can be resumed."""
    with closing(sqlite3.connect(study / "study.db")) as store:
        store.execute("delete from event where kind = 'result'")
        store.commit()


def hub(study: Path, canaries: Path) -> None:
    """A record that names a backbone to download and files to read."""
    unfinished(study)

    def change(data: dict) -> None:
        data["config"] |= {"backbone": "resnet18", "data": str(canaries), "first": [str(canaries / "other")]}
        data["config"]["set"] = {"loss.costs": str(canaries / "costs.csv")}

    event(study, "opened", change)


def path(study: Path, canaries: Path) -> None:
    """A record that names a table of the user's."""
    unfinished(study)
    event(study, "opened", lambda data: data["config"].update(data=str(canaries / "private.csv")))


def giant(study: Path, canaries: Path) -> None:
    """A description of a network of 17 GB, with all hashes right."""
    model = study / "model"
    about = json.loads((model / "model.json").read_text())
    about["recipe"] |= {"model.name": "mlp", "model.width": 8192, "model.depth": 64}
    (model / "model.json").write_text(json.dumps(about))
    files = {
        name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in ("model.json", "model.safetensors")
    }
    write_sums(model, files)
    event(study, "delivered", lambda data: data.update(files=files))


def label(study: Path, canaries: Path) -> None:
    """One letter of a description that is not what was delivered."""
    text = (study / "model" / "model.json").read_text()
    (study / "model" / "model.json").write_text(text.replace('"labels"', '"labels" ', 1))


def escapes(study: Path, canaries: Path) -> None:
    """Texts that move a terminal, wherever a study tells texts."""

    def change(data: dict) -> None:
        data["reason"] = data["origin"] = ESCAPES

    event(study, "decision", lambda data: data.update(reason=ESCAPES))
    event(study, "finding", lambda data: data.update(title=ESCAPES, change=ESCAPES, outcome=ESCAPES))

    def told(data: dict) -> None:
        data["findings"] = [{**each, "title": ESCAPES, "change": ESCAPES} for each in data["findings"]]
        data["report"] = data["model"] = ESCAPES

    event(study, "result", told)


def server(study: Path, canaries: Path) -> None:
    """A record that is kept on a server, which would learn who opens it."""
    (study / "study.db").unlink()
    (study / "store.json").write_text(json.dumps({"address": "postgresql://ann@127.0.0.1:1/tame", "study": "table 1f"}))


def endless(*names: str) -> Make:
    """Files of 60 gigabytes that take no space."""

    def make(study: Path, canaries: Path) -> None:
        for name in names:
            (study / name).touch()
            os.truncate(study / name, 60 * 2**30)

    return make


def swollen(study: Path, canaries: Path) -> None:
    """An event of 270 megabytes of zeros, which a packed folder holds in a few."""
    with closing(sqlite3.connect(study / "study.db")) as connection, connection:
        connection.execute("UPDATE event SET data = zeroblob(270000000) WHERE kind = 'data'")


# What each is, and the exit codes that a command may end with; the others end as with a study that harms nobody.
STRANGERS: dict[str, tuple[Make, set[int]]] = {
    "journal": (journal, {7}),
    "a server": (server, {7}),
    "link to the database": (link_of("study.db"), {7}),
    "pipe for a database": (pipe, {6, 7}),
    "link to a journal": (link_of("study.db-journal"), {7}),
    "link to a log": (link_of("study.db-wal", "study.db-shm"), {7}),
    "links to drafts": (link_of(".report.html.tmp", "model/.model.json.tmp", ".study.db.new"), {0, 6, 7}),
    "links to locks": (link_of("study.pid", "study.lock"), {0, 6, 7}),
    "links to results": (link_of("report.html", "report.json", "config.json", "worker.log"), {0, 6}),
    "link to a description": (link_of("model/model.json"), {0, 6, 7}),
    "link to weights": (link_of("model/model.safetensors"), {0, 6, 7}),
    "link to a model": (link_of("model"), {0, 6, 7}),
    "link to checkpoints": (link_of("checkpoints"), {0, 6, 7}),
    "poisoned decision": (poisoned("decision", {"kind": "continue", "trial": 10**9, "reason": ""}), {0, 6}),
    "poisoned curve": (poisoned("curve", {"trial": 0, "points": [["x"]]}), {0, 6}),
    "poisoned config": (poisoned("opened", {"config": [1]}), {0, 6}),
    "poisoned result": (poisoned("result", {"schema": 3}), {0, 6}),
    "a list for an event": (poisoned("plan", [1, 2]), {0, 6}),
    "hub names": (hub, {0, 2, 6, 7}),
    "paths": (path, {0, 2, 6, 7}),
    "giant shapes": (giant, {0, 6, 7}),
    "endless texts": (endless("config.json", "report.json", "model/SHA256SUMS"), {0, 6, 7}),
    "endless description": (endless("model/model.json"), {0, 6, 7}),
    "endless weights": (endless("model/model.safetensors"), {0, 6, 7}),
    "a swollen event": (swollen, {0, 6}),
    "one letter": (label, {0, 6, 7}),
    "escapes": (escapes, {0, 6}),
}  # fmt: skip


def stranger(name: str, folder: Path) -> tuple[Path, Path]:
    """The study's folder and that of the canaries, made below a folder."""
    canaries = folder / "home" / "canaries"
    canaries.mkdir(parents=True)
    for canary in ("deleted", "private.csv", "costs.csv"):
        (canaries / canary).write_text("the user's own\n1\n")
    with zipfile.ZipFile(STUDIES / "table.zip") as archive:
        archive.extractall(folder)
    STRANGERS[name][0](folder / "table", canaries)
    return folder / "table", canaries


if __name__ == "__main__":
    for each in STRANGERS:
        print(stranger(each, Path(sys.argv[1]) / each.replace(" ", "-"))[0])
