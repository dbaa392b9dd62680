"""What the tests of data share."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_pictures import fill


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    fill(tmp_path / "pets" / "cats", seed=0)
    fill(tmp_path / "pets" / "dogs", seed=10)
    return tmp_path / "pets"
