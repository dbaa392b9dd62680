"""Workers behind Ray's actors keep the laws of executors, listen to this machine alone, and say the same."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from tame.testing.executor_laws import LAWS
from tame.worker.executors import ray_executor
from tame.worker.sockets import can_tell, descendants, listening
from tame.worker.watch import Patience

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_workers_behind_ray_keep_the_laws(law, cluster, tmp_path):
    law(behind_ray(cluster), tmp_path)


def test_a_cluster_of_ones_own_listens_to_this_machine_alone(cluster):
    assert can_tell()
    found = listening(descendants(os.getpid()))
    assert len(found) > 3
    assert all(each.is_local for each in found)
