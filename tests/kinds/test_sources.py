"""Every kind of data keeps the laws of sources, those of other packages too; and a broken one is named."""

from __future__ import annotations

import sys

import pytest

from kinds.samples import SAMPLES
from tame.core.errors import UsageError
from tame.core.registry import Registry
from tame.kinds.kind import referred
from tame.kinds.known import KINDS
from tame.testing.source_laws import LAWS


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_source_keeps_the_laws(name, law, tmp_path, one_thread):
    law(SAMPLES[name](tmp_path), tmp_path / "law")


def test_every_kind_has_a_sample():
    assert set(KINDS.names()) <= set(SAMPLES)


@pytest.mark.parametrize("name", KINDS.names())
def test_what_a_kind_refers_to_is_there(name):
    kind = KINDS.get(name)
    for reference in (kind.source, kind.material, kind.prediction, kind.look, kind.thumbnails):
        assert not reference or referred(reference) is not None


def test_a_kind_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    info = tmp_path / "broken_kind-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-kind\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tests.kinds]\nbroken = nowhere_at_all:KIND\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = Registry("kind of data", group="tests.kinds")
    for _ in range(2):
        with pytest.raises(
            UsageError, match=r"kind of data 'broken' of the package broken-kind cannot be loaded.*nowhere"
        ):
            registry.names()
