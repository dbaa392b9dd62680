"""No command reads, writes or fetches anything outside a stranger's folder, and each ends as it is documented."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
from pathlib import Path

import pytest
import typer

from command_line import tame_here
from tame.app.cli import app

_spec = importlib.util.spec_from_file_location("stranger", Path(__file__).with_name("stranger.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
STRANGERS, stranger = _module.STRANGERS, _module.stranger

opened: list[str] = []
watched: list[str] = []


def _hear(name, arguments):
    """Every file that this process opens, lists, renames or removes below a folder that is watched."""
    if watched and name in ("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "sqlite3.connect"):
        told = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        if any(place in told for place in watched):
            opened.append(f"{name} {told}")


sys.addaudithook(_hear)


@pytest.fixture
def no_network(monkeypatch):
    tried = []

    def refuse(*arguments, **_):
        tried.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


ON_DATA = ("check", "plan", "fit")
AS_A_WHOLE = {0, 2, 6, 7}
AS_DATA = {2, 3, 6, 7}  # of a command that is given a study in place of data


def commands(study, here):
    """Every command, with a stranger's folder wherever it takes one, and the exit codes it may end with besides those
    of that stranger; none for what takes no folder."""
    rows = here / "rows.csv"
    asked = (rows, "--target", "label", "--seed", "1")
    return {
        "show": [(("show", study), set()), (("show", study, "--json"), set()), (("show", study, "--details"), set())],
        "verify": [(("verify", study, "--json"), set()), (("verify", study), set())],
        "diagnose": [(("diagnose", study), {2, 3}), (("diagnose", study / "study.db"), {2, 3})],
        "explain": [(("explain", "overfitting", "--study", study), set())],
        "learn": [(("learn", "fit", "--study", study), {2}), (("learn", "rate", "--study", study, "--json"), set())],
        "predict": [(("predict", study, rows, "--csv"), set()), (("predict", study / "model", rows), {0, 2, 6, 7})],
        "export": [
            (("export", study, "--optuna", here / "out.db"), set()),
            (("export", study, "--hub", here / "hub"), AS_A_WHOLE),
        ],
        "studies": [
            (("studies", here, "--json"), {0}),
            (("studies", "compare", study, study), AS_A_WHOLE),
            (("studies", "archive", study, here / "out.zip"), AS_A_WHOLE),
        ],
        "import": [(("import", study / "study.db", "--out", here / "imported"), {2, 3})],
        "check": [(("check", study), AS_DATA)],
        "plan": [(("plan", study), AS_DATA), (("plan", *asked, "--start-from", study), {2})],
        "fit": [
            (("fit", study, "--inline", "--quiet", "--out", here / "fitted"), AS_DATA),
            (("fit", *asked, "--start-from", study, "--time", "1s", "--quiet", "--out", here / "after"), {2, 5}),
        ],
        "resume": [(("resume", study, "--quiet", "--inline"), set())],
        "report": [(("report", study), set())],
        "doctor": [],
        "ui": [],
        "watch": [],  # serve until they are ended: tests/pages gives them a stranger's folder
        "demo": [],
    }


def test_every_command_is_tried_with_strangers(tmp_path):
    """A new command must be given its line above."""
    assert set(commands(tmp_path, tmp_path)) == set(typer.main.get_command(app).commands)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_s_folder_harms_nobody(name, tmp_path, no_network):
    """Commands that read or train on data take seconds: each is tried with a few strangers here."""
    few = list(STRANGERS).index(name) % 5 == 0
    harms_nobody(name, tmp_path, no_network, but=() if few else ON_DATA)


@pytest.mark.torture
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_s_folder_harms_nobody_whatever_the_command(name, tmp_path, no_network):
    harms_nobody(name, tmp_path, no_network)


def harms_nobody(name, tmp_path, no_network, but=()):
    study, canaries = stranger(name, tmp_path)
    rows = [f"{20 + n},{'east' if n % 3 else 'west'},2024-01-{1 + n % 28:02},{n * n % 7},{n % 2}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["age,ward,since,visits,label", *rows]) + "\n")
    before, codes = contents(canaries), STRANGERS[name][1]
    ended = {}
    every = [each for word, own in commands(study, tmp_path).items() if word not in but for each in own]
    if name == "link to the database":  # a file that the user names is the user's word, wherever it leads
        every = [each for each in every if each[0][0] != "import"]
    for words, also in every:
        opened.clear()
        watched[:] = [str(canaries)]
        try:
            done = tame_here(*words, cache=tmp_path / "cache", cwd=tmp_path)
        finally:
            watched.clear()
        ended.setdefault(words[0], done.returncode)
        said = f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr}"
        assert done.returncode in codes | also, said
        assert opened == [], f"{said} went outside"
        assert no_network == [], f"{said} went to the network"
        assert contents(canaries) == before, f"{said} changed what is the user's"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), words
        assert "Traceback" not in done.stderr
    if name in ("hub names", "paths"):
        assert ended["resume"] == 7
    if name.startswith("poisoned") or name == "a list for an event":
        assert (ended["show"], ended["verify"], ended["resume"], ended["report"]) == (6, 6, 6, 6)
    if name in ("giant shapes", "one letter", "link to a description", "link to weights", "link to a model"):
        assert ended["predict"] == 7
    if name in ("one letter", "links to results", "link to a model"):
        assert ended["verify"] == 6
