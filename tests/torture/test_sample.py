"""A few rounds of each fault of the torture harness; `make torture` runs all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts and forks as Linux does")
def test_whatever_disturbs_a_study_it_ends_as_the_undisturbed_one():
    """In a process of its own, since one that has trained must not fork."""
    script = Path(__file__).with_name("run.py")
    done = subprocess.run(
        [sys.executable, str(script), "--sample", "--cores", "1"], capture_output=True, text=True, timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 0 |" in done.stdout
