"""No command reads, writes or fetches anything outside a stranger's folder, and each ends as it is documented."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from command_line import tame_here

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


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_s_folder_harms_nobody(name, tmp_path, no_network):
    study, canaries = stranger(name, tmp_path)
    before, codes = contents(canaries), STRANGERS[name][1]
    commands = [
        ("show", study), ("show", study, "--json"), ("verify", study), ("predict", study, tmp_path / "rows.csv"),
        ("export", study, "--optuna", tmp_path / "out.db"), ("resume", study, "--quiet"), ("report", study),
    ]  # fmt: skip
    ended = {}
    for words in commands:
        opened.clear()
        watched[:] = [str(canaries)]
        try:
            done = tame_here(*words, cache=tmp_path / "cache", cwd=tmp_path)
        finally:
            watched.clear()
        ended[words[0]] = done.returncode
        assert done.returncode in codes, f"{words[0]}: {done.stderr}"
        assert opened == [], f"{words[0]} went outside"
        assert no_network == [], f"{words[0]} went to the network"
        assert contents(canaries) == before, f"{words[0]} changed what is the user's"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
    if name in ("hub names", "paths"):
        assert ended["resume"] == 7
    if name.startswith("poisoned") or name == "a list for an event":
        assert (ended["show"], ended["verify"], ended["resume"], ended["report"]) == (6, 6, 6, 6)
    if name in ("giant shapes", "one letter", "link to a description", "link to weights", "link to a model"):
        assert ended["predict"] == 7
    if name in ("one letter", "links to results", "link to a model"):
        assert ended["verify"] == 6
