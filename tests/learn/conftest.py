"""Studies for the lessons."""

from __future__ import annotations

import pytest

from served_pages import unpack
from tame.app.learn import look_at


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A finished study of pictures in classes."""
    return look_at(unpack("pictures", tmp_path_factory.mktemp("learn")))


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """A finished study of a table, as the lessons see it."""
    return look_at(unpack("table", tmp_path_factory.mktemp("learn")))
