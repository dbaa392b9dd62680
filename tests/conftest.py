"""What several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Test processes share the cores, so each of them, and each process that a test starts, takes one. torch reads this
    # when it is loaded, which is after this file.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of data and weights beside the repository; tests that need it are skipped elsewhere."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data in {folder}")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: so tiny networks are fastest, and others on the machine are left alone."""
    import torch  # slow to load, and most test files do without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
