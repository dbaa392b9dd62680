"""What several test files share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from postgres_server import Postgres

if "PYTEST_XDIST_WORKER" in os.environ:
    # Test processes share the cores, so each of them, and each process that a test starts, takes one. torch reads this
    # when it is loaded, which is after this file.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What this machine's user began is no affair of the tests, and theirs none of the user's.
os.environ["TAME_STATE"] = tempfile.mkdtemp(prefix="tame-state-")
atexit.register(shutil.rmtree, os.environ["TAME_STATE"], ignore_errors=True)

# Others use the same cores: how long an example takes says nothing.
settings.register_profile("tame", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tame")

PROCESS_BYTES = 3 * 2**30  # that a process of tests and those that it starts may need at once


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` makes: one for each usable core, as far as memory goes."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    known = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(getattr(os, "sysconf_names", ()))
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // PROCESS_BYTES if known else cores
    return max(1, min(cores, most))


@pytest.hookimpl(tryfirst=True)  # before marks are selected by
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the cases of a test that is `sampled`, marks all but the sample as torture."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            cases.setdefault(item.nodeid.split("[")[0], []).append(item)
    for own in cases.values():
        marker = own[0].get_closest_marker("sampled")
        assert marker is not None, "only such tests are here"
        sample = {i * len(own) // marker.args[0] for i in range(marker.args[0])}
        for i, item in enumerate(own):
            if i not in sample:
                item.add_marker(pytest.mark.torture)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of data and weights beside the repository; tests that need it are skipped elsewhere."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data in {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process; tests that need it are skipped where it is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from postgres_server import installed, running  # loads SQLAlchemy, which most test files do without

    binaries = installed()
    if binaries is None:
        pytest.skip("the PostgreSQL server is not installed (/usr/lib/postgresql)")
    with running(binaries) as server:
        yield server


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: so tiny networks are fastest, and others on the machine are left alone."""
    import torch  # slow to load, and most test files do without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
