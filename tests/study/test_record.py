"""Studies whose events are on a server: the same study by the same laws, and no connection on a folder's word."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from urllib.parse import quote

import numpy as np
import pytest
from sqlalchemy import Engine, Pool, event

import tame
from command_line import tame_here
from measurers import ALONE
from postgres_server import SECRET
from tame.app import preview
from tame.core.config import StudyConfig
from tame.core.errors import RefusedError, StorageError, UsageError
from tame.core.records import Event
from tame.store.lease import BusyError
from tame.study import session
from tame.study.events import Opened, event_of
from tame.study.record import Record, open_record, server_of
from tame.study.session import begin, reopen
from tame.study.state import Silent
from tame.trial import choose

COMPARED = ("score", "validation", "winner", "baselines", "confusion", "finalists", "epochs", "trials")
ASKED = (
    "--target", "label", "--trials", "3", "--epochs", "3", "--folds", "2", "--seed", "1", "--set", "model.width=8",
    "--set", "model.depth=1", "--inline", "--quiet",
)  # fmt: skip
NOWHERE = "postgresql://ann@127.0.0.1:1/tame"  # nobody listens there

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", autouse=True)
def same_engine():
    """Studies are compared to the last digit, and a busy machine may measure another engine for each."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choose, "Rehearsals", lambda: ALONE)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(200, 2)).round(3)
    label = np.where(x[:, 0] + 0.5 * x[:, 1] + 0.7 * chance.normal(size=200) > 0.3, "yes", "no")
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    lines = [f"{a},{b},{c}" for (a, b), c in zip(x.tolist(), label.tolist(), strict=True)]
    path.write_text("\n".join(["alpha,beta,label", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def usual(table, cache, tmp_path_factory):
    """The result of the study whose events are in its folder, and how often it commits."""
    folder = tmp_path_factory.mktemp("usual") / "study"
    with at(0, None) as counted:
        done = tame_here("fit", table, *ASKED, "--out", folder, cache=cache)
    assert done.returncode == 0, done.stderr
    return compared(folder), len(counted)


@pytest.fixture
def address(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", SECRET)
    return postgres.public_address()


@pytest.fixture(scope="module")
def finished(postgres, table, cache, usual, tmp_path_factory):
    """A finished study on the server, its address, and what `tame fit` said."""
    folder, address = tmp_path_factory.mktemp("server") / "study", postgres.public_address()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSWORD", SECRET)
        done = tame_here("fit", table, *ASKED[:-1], "--out", folder, "--store", address, cache=cache)
    assert done.returncode == 0, done.stderr
    return folder, address, done


def compared(folder):
    result = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {key: result[key] for key in COMPARED}


@contextmanager
def at(number, act, target=Engine, name="commit"):
    """Does something at the so-manieth event of that name within; yields how many there were."""
    counted = []

    def step(*_):
        counted.append(None)
        if len(counted) == number:
            act()

    event.listen(target, name, step)
    try:
        yield counted
    finally:
        event.remove(target, name, step)


def test_a_study_on_a_server_is_the_study_in_a_folder(finished, usual, monkeypatch, cache, tmp_path, table):
    folder, address, _ = finished
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert compared(folder) == usual[0]
    assert not list(folder.glob("study.db*"))
    assert json.loads((folder / "config.json").read_text())["store"] == address
    model = (folder / "model" / "model.safetensors").read_bytes()
    (folder / "report.html").unlink()
    for words in (("show", folder, "--json"), ("report", folder), ("verify", folder), ("resume", folder, "--quiet"),
                  ("predict", folder, table), ("export", folder, "--optuna", tmp_path / "out.db")):  # fmt: skip
        done = tame_here(*words, cache=cache)
        assert done.returncode == 0, done.stderr
    assert (folder / "report.html").is_file()
    assert (folder / "model" / "model.safetensors").read_bytes() == model
    loaded = tame.load(folder)
    assert loaded.score.value == usual[0]["score"]["value"]
    assert len(loaded.predict(table)) == 200


def test_the_password_and_the_address_are_where_they_belong(finished):
    folder, address, said = finished
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path, content in files.items():
        for secret in (SECRET, quote(SECRET, safe="")):
            assert secret.encode() not in content, path
            assert secret not in said.stdout + said.stderr
    naming = {path.name for path, content in files.items() if address.encode() in content}
    assert naming == {"store.json", "config.json"}, "who gets the report or the model learns of no server"


def test_settings_in_a_file_and_from_python_name_a_server_too(table, cache, tmp_path, monkeypatch):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    monkeypatch.setenv("TAME_CACHE", str(cache))
    (tmp_path / "tame.toml").write_text(f'store = "{NOWHERE}"\n')
    words = ("--target", "label", "--config", tmp_path / "tame.toml")
    fitted = tame_here("fit", table, *words, "--out", tmp_path / "own", cache=cache)
    assert (fitted.returncode, NOWHERE in fitted.stderr) == (6, True)
    with pytest.raises(StorageError, match="connection failed"):
        tame.fit(
            (np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3),
            store=NOWHERE,
            out=str(tmp_path / "own"),
            quiet=True,
        )
    assert not (tmp_path / "own").exists()


def test_a_plan_connects_nowhere(table, cache, tmp_path, monkeypatch):
    """It writes nothing, also not there."""
    study = preview._throwaway(StudyConfig(data=str(table), target="label", store=NOWHERE))
    with study:
        assert study.config.store is None


# A stranger's folder


def test_a_folder_alone_makes_no_command_connect_anywhere(finished, cache, table, tmp_path, monkeypatch):
    own = tmp_path / "study"
    shutil.copytree(finished[0], own)
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(0)
        kept = json.loads((own / "store.json").read_text())
        named = kept | {"address": f"postgresql://ann@127.0.0.1:{trap.getsockname()[1]}/tame"}
        (own / "store.json").write_text(json.dumps(named))
        commands = [("show", own), ("show", own, "--json"), ("report", own), ("verify", own), ("resume", own),
                    ("predict", own, table), ("export", own, "--optuna", tmp_path / "out.db"),
                    ("fit", table, *ASKED, "--out", tmp_path / "next", "--start-from", own)]  # fmt: skip
        for words in commands:
            done = tame_here(*words, cache=cache)
            assert done.returncode == 7, (words, done.stderr)
            assert f"tame show {own} --store {named['address']}" in done.stderr
        with pytest.raises(RefusedError, match="you have not named"):
            tame.load(own)
        with pytest.raises(RefusedError, match="on a folder's word"):
            open_record(own, read_only=True)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_who_names_the_server_again_is_asked_once(finished, cache, tmp_path, monkeypatch):
    folder, address, _ = finished
    own = tmp_path / "study"
    shutil.copytree(folder, own)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("TAME_STATE", str(tmp_path / "state"))
    assert tame_here("show", own, cache=cache).returncode == 7
    refused = tame_here("show", own, "--store", address.replace("://", "://ann:pass@"), cache=cache)
    assert (refused.returncode, "PGPASSWORD" in refused.stderr) == (2, True)
    assert tame_here("show", own, "--store", address, cache=cache).returncode == 0
    assert tame_here("verify", own, cache=cache).returncode == 0
    assert (tmp_path / "state" / "stores").stat().st_mode & 0o077 == 0
    moved = json.loads((own / "store.json").read_text()) | {"study": "study of another"}
    (own / "store.json").write_text(json.dumps(moved))
    assert tame_here("show", own, cache=cache).returncode == 7, "another study at the same address"


def test_a_study_in_its_folder_uses_no_server(tmp_path, cache):
    with begin(StudyConfig(data="x.csv", out=str(tmp_path / "own")), Silent()):
        pass
    done = tame_here("show", tmp_path / "own", "--store", NOWHERE, cache=cache)
    assert done.returncode == 2
    assert "leave out --store" in done.stderr


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", StorageError), ("[]", StorageError), ('{"address": "postgresql://h/d"}', StorageError),
        ('{"address": "mysql://h/d", "study": "x"}', StorageError),
        ('{"address": "postgresql://a:b@h/d", "study": "x"}', StorageError),
        ('{"address": "postgresql://h/d", "study": "a\\nb"}', StorageError), ("link", RefusedError),
        ("both", RefusedError),
    ],
)  # fmt: skip
def test_a_damaged_name_of_a_server_is_told(text, kind, tmp_path):
    if text == "link":
        (tmp_path / "elsewhere").write_text('{"address": "postgresql://h/d", "study": "x"}')
        (tmp_path / "store.json").symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "store.json").write_text(
            '{"address": "postgresql://h/d", "study": "x"}' if text == "both" else text
        )
    if text == "both":
        (tmp_path / "study.db").write_text("")
    with pytest.raises(kind, match=r"store\.json"):
        server_of(tmp_path)


# What is refused


@pytest.mark.parametrize("address", ["mysql://ann@db.example/tame", "postgresql://ann:secret@db.example/tame"])
def test_another_database_or_a_password_ends_with_2_and_leaves_nothing(address, table, cache, tmp_path):
    done = tame_here("fit", table, *ASKED, "--out", tmp_path / "own", "--store", address, cache=cache)
    assert done.returncode == 2
    assert "postgresql://USER@HOST/DATABASE" in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_missing_driver_ends_with_the_line_that_installs_it(table, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    done = tame_here("fit", table, *ASKED, "--out", tmp_path / "own", "--store", NOWHERE, cache=cache)
    assert (done.returncode, "pip install 'tame-ml[postgres]'" in done.stderr) == (2, True)
    assert not (tmp_path / "own").exists()


def test_a_server_that_cannot_be_reached_ends_with_6_and_leaves_nothing(table, cache, tmp_path):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    done = tame_here("fit", table, *ASKED, "--out", tmp_path / "own", "--store", NOWHERE, cache=cache)
    assert done.returncode == 6
    assert "postgresql://ann@127.0.0.1:1/tame: connection failed" in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_missing_password_is_asked_for(postgres, table, cache, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    address = postgres.public_address()
    done = tame_here("fit", table, *ASKED, "--out", tmp_path / "own", "--store", address, cache=cache)
    assert (done.returncode, "set PGPASSWORD" in done.stderr) == (6, True)


# A server that is lost


@pytest.mark.sampled(1)
@pytest.mark.parametrize("part", [0.2, 0.8])
def test_a_server_that_is_lost_in_the_middle_costs_nothing(part, address, postgres, table, cache, usual, tmp_path):
    folder, number = tmp_path / "own", max(4, int(part * usual[1]))
    with at(number, postgres.stop):
        done = tame_here("fit", table, *ASKED, "--out", folder, "--store", address, cache=cache)
    try:
        assert done.returncode == 6, done.stderr
        assert f"what was stored before is safe; go on with: tame resume {folder}" in done.stderr
        assert not (folder / "report.json").exists()
        away = tame_here("resume", folder, "--quiet", "--inline", cache=cache)
        assert away.returncode == 6
        assert f"go on with: tame resume {folder}" in away.stderr
    finally:
        postgres.start()
    done = tame_here("resume", folder, "--quiet", "--inline", cache=cache)
    assert done.returncode == 0, done.stderr
    assert compared(folder) == usual[0]


def test_a_server_that_is_back_before_it_is_needed_is_not_missed(address, postgres, table, cache, usual, tmp_path):
    def restart():
        postgres.stop()
        postgres.start()

    with at(12, restart, Pool, "checkin") as counted:
        done = tame_here("fit", table, *ASKED, "--out", tmp_path / "own", "--store", address, cache=cache)
    assert (done.returncode, len(counted) > 12) == (0, True), done.stderr
    assert compared(tmp_path / "own") == usual[0]


def test_a_record_that_is_not_at_the_address_is_told(address, postgres, tmp_path):
    with begin(StudyConfig(data="x.csv", out=str(tmp_path / "own"), store=address), Silent()):
        (tmp_path / "own" / "split.csv").write_text("")
    other = postgres.public_address()
    with pytest.raises(StorageError, match="holds no store of TAME"):
        reopen(tmp_path / "own", Silent(), store=other)
    with begin(StudyConfig(data="x.csv", out=str(tmp_path / "beside"), store=other), Silent()):
        pass
    with pytest.raises(StorageError, match="does not contain the study 'own "):
        reopen(tmp_path / "own", Silent(), store=other)
    with pytest.raises(UsageError, match="already contains a study; continue it with: tame resume"):
        begin(StudyConfig(data="x.csv", out=str(tmp_path / "own")), Silent())


# One writer


def test_of_two_coordinators_of_one_study_one_is_refused_also_from_another_folder(address, tmp_path):
    with begin(StudyConfig(data="x.csv", out=str(tmp_path / "own"), store=address), Silent()):
        shutil.copytree(tmp_path / "own", tmp_path / "copy")
        (tmp_path / "copy" / "study.lock").unlink()
        with pytest.raises(BusyError, match="is being worked on by another tame process"):
            reopen(tmp_path / "copy", Silent(), store=address)
        with closing(open_record(tmp_path / "copy", read_only=True, store=address)) as reader:
            assert [each.kind for each in reader.events()] == ["opened"]
    with reopen(tmp_path / "copy", Silent(), store=address) as study:
        assert study.config.data == "x.csv"


def test_who_lost_the_lease_unseen_does_not_write_past_another(address, postgres, tmp_path):
    """As after a network that was cut: the server has ended the first writer's connection, and it does not know."""
    first = begin(StudyConfig(data="x.csv", out=str(tmp_path / "own"), store=address), Silent())
    shutil.copytree(tmp_path / "own", tmp_path / "copy")
    (tmp_path / "copy" / "study.lock").unlink()
    database = address.rpartition("/")[2]
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    postgres.sql(database, f"SELECT pg_terminate_backend(pid, 5000) {others}")
    second = reopen(tmp_path / "copy", Silent(), store=address)
    with pytest.raises(BusyError):
        first.keep(Event("stopped", {"used_s": 1.0}))
    second.keep(Event("stopped", {"used_s": 2.0}))
    second.close()
    with pytest.raises(StorageError, match="another process has written"):
        first.keep(Event("stopped", {"used_s": 1.0}))
    first.close()
    with reopen(tmp_path / "own", Silent(), store=address) as study:
        assert study.state.used_s == 2.0


def test_a_killed_coordinator_lets_go(address, tmp_path):
    begin(StudyConfig(data="x.csv", out=str(tmp_path / "own"), store=address), Silent()).close()
    code = """
        import sys, time
        from pathlib import Path
        from tame.study.session import reopen
        from tame.study.state import Silent
        study = reopen(Path(sys.argv[1]), Silent(), store=sys.argv[2])
        print("held", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "own"), address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with reopen(tmp_path / "own", Silent(), store=address) as study:
        assert study.state.opened is not None


class Killed(BaseException):
    """Stands for a kill: nothing is cleaned up after it."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["write_server", "write_private", "open_record", "keep"])
def test_a_start_that_is_killed_at_any_step_is_taken_up(step, when, address, tmp_path, monkeypatch):
    folder, owner = tmp_path / "own", session.Study if step == "keep" else session
    whole, left = getattr(owner, step), []

    def dies(*given, **named):
        found = whole(*given, **named) if when == "after" else None
        left.extend([found] if isinstance(found, Record) else [given[0]] if step == "keep" else [])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(session, "remove_made", lambda *given, **named: None)
        patched.setattr(owner, step, dies)
        with pytest.raises(Killed):
            begin(StudyConfig(data="x.csv", seed=5, out=str(folder), store=address), Silent())
    for each in left:
        each.close()
    if (folder / "config.json").exists():
        with reopen(folder, Silent(), store=address) as study:
            assert study.config.seed == 5
            assert [each.kind for each in study._record.events()] == ["opened"]
        return
    with begin(StudyConfig(data="x.csv", seed=6, out=str(folder)), Silent()):
        assert server_of(folder) is None, "what the killed start left is gone"
    with reopen(folder, Silent()) as study:
        assert study.config.seed == 6


def test_a_writer_goes_on_where_the_record_ends(address, tmp_path):
    begin(StudyConfig(data="x.csv", out=str(tmp_path / "own"), store=address), Silent()).close()
    with closing(open_record(tmp_path / "own", read_only=False, store=address)) as record:
        with pytest.raises(StorageError, match="another process has written"):
            record.append([event_of(Opened(config={}))])  # nothing was read
        assert [each.id for each in record.each()] == [1]
        assert record.append([Event("stopped", {"used_s": 1.0})])[0].id == 2
