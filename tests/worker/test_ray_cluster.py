"""Workers behind Ray's actors keep the laws of executors, listen to this machine alone, and say the same."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tame.core.config import StudyConfig
from tame.core.errors import RefusedError, UsageError
from tame.testing.executor_laws import LAWS
from tame.worker import crew, ray_cluster
from tame.worker.executors import ray_executor
from tame.worker.sockets import can_tell, descendants, listening
from tame.worker.watch import Patience


@pytest.fixture(scope="module")
def cluster():
    if find_spec("ray") is None:  # it is not loaded here: what it is told by variables comes first
        pytest.skip("the extra ray is not installed")
    from tame.worker.ray_cluster import Cluster

    found = Cluster("local", 2)
    yield found
    found.close()


class Lent:
    """A cluster that is left as it is at the end of one executor, for the next one."""

    def __init__(self, cluster):
        self.crew, self.place, self.way = cluster.crew, cluster.place, cluster.way

    def close(self):
        pass


def behind_ray(cluster):
    def start(place, *, hear):
        return ray_executor(
            place, hear=hear, log=None, restarted=lambda how: None, patience=Patience, cluster=Lent(cluster)
        )

    return start


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_workers_behind_ray_keep_the_laws(law, cluster, tmp_path):
    law(behind_ray(cluster), tmp_path)


@pytest.mark.slow
def test_a_cluster_of_ones_own_listens_to_this_machine_alone(cluster):
    assert can_tell()
    found = listening(descendants(os.getpid()))
    assert len(found) > 3
    assert all(each.is_local for each in found)


@pytest.mark.parametrize("address", ["local", "head:6379", "127.0.0.1:6379", "[::1]:6379"])
def test_a_cluster_has_a_host_and_a_port(address):
    assert StudyConfig(data="x.csv", ray=address).ray == address


@pytest.mark.parametrize(("address", "said"), [
    ("locl", 'give "local" for this machine, or HOST:PORT'), ("head", "no address"), ("head:0", "no address"),
    ("head:99999", "no address"), (":6379", "no address"), ("http://head:1", "no address"), ("", "no address"),
    ("ray://head:10001", "is for Ray's client, which TAME does not use"),
])  # fmt: skip
def test_anything_else_is_refused(address, said):
    with pytest.raises(UsageError) as problem:
        StudyConfig(data="x.csv", ray=address)
    assert said in str(problem.value)


@pytest.mark.parametrize(("version", "said"), [
    (None, "which is not installed: pip install"), ("2.59.0", "Ray 2.59.0 is too old, TAME needs 2.60 or newer"),
    ("1.13.0", "is too old"), ("2.60.0", ""), ("3.0.0rc1", ""),
])  # fmt: skip
def test_a_missing_or_old_ray_is_told_with_the_line_that_installs_it(version, said, monkeypatch):
    def found(name):
        if version is None:
            raise crew.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(crew.metadata, "version", found)
    if not said:
        crew.require_ray()
        return
    with pytest.raises(UsageError) as problem:
        crew.require_ray()
    assert said in str(problem.value)
    assert 'pip install "tame-ml[ray]"' in str(problem.value)


def test_a_cluster_without_a_token_is_refused_before_it_is_reached(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(RefusedError, match="start it with RAY_AUTH_MODE=token"):
        ray_cluster.Cluster("127.0.0.1:6379", 2)


def begun(**said):
    there = {
        "pid": 1,
        "actor": 2,
        "host": "node-b",
        "boot": "b",
        "sees_study": True,
        "open_to_all": (),
        "has_token": True,
    }
    python, torch, tame = ray_cluster.versions()
    return ray_cluster.Begun(**{"python": python, "torch": torch, "tame": tame, **there, **said})


@pytest.mark.parametrize(("said", "kind", "words"), [
    ({"torch": "1.0"}, UsageError, "node-b has torch 1.0 and not "),
    ({"python": "3.1", "tame": ""}, UsageError, "node-b has Python 3.1 and not "),
    ({"sees_study": False}, UsageError, "node-b does not see /runs/x: a study on several machines needs a folder"),
    ({"has_token": False}, RefusedError, "Ray on node-b asks for no token"),
    ({"open_to_all": ("[::]:7",)}, RefusedError, "listens where other machines can reach it: [::]:7"),
])  # fmt: skip
def test_a_machine_that_cannot_take_part_is_named(said, kind, words):
    alone = ray_cluster.Cluster.__new__(ray_cluster.Cluster)
    alone._is_here = True
    alone._check(begun(), "/runs/x")
    with pytest.raises(kind) as problem:
        alone._check(begun(**said), "/runs/x")
    assert words in str(problem.value)


@pytest.mark.slow
def test_a_cluster_that_nobody_runs_cannot_be_reached(tmp_path):
    if find_spec("ray") is None:
        pytest.skip("the extra ray is not installed")
    code = "from tame.worker.ray_cluster import Cluster; Cluster('127.0.0.1:1', 1)"
    variables = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert "UsageError: no Ray cluster can be reached at 127.0.0.1:1" in done.stderr
