"""Every kind of data keeps the laws of sources, those of other packages too; and a broken one is named."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from kinds.samples import SAMPLES, SEQUENCES
from tame.core.config import ARRAYS, StudyConfig
from tame.core.errors import UsageError
from tame.core.registry import Registry
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.kind import referred
from tame.kinds.known import KINDS, kind_of, reader_of, require_kind
from tame.kinds.tables.kind import TABLES
from tame.testing.source_laws import LAWS, no_identical_input_is_on_two_sides_however_many_there_are

# Texts have no labels, and their examples are parts of files: tests/kinds/language holds what is the same of them.
NOT_OF = {"language-model": (no_identical_input_is_on_two_sides_however_many_there_are,)}


@pytest.mark.parametrize(
    ("name", "law"), [(name, law) for name in SAMPLES for law in LAWS if law not in NOT_OF.get(name, ())],
    ids=lambda each: getattr(each, "__name__", each),
)  # fmt: skip
def test_every_source_keeps_the_laws(name, law, tmp_path, one_thread):
    law(SAMPLES[name](tmp_path), tmp_path / "law")


def test_every_kind_has_a_sample():
    assert set(KINDS.names()) <= set(SAMPLES)


@pytest.mark.parametrize("name", KINDS.names())
def test_what_a_kind_refers_to_is_there(name):
    kind = KINDS.get(name)
    for reference in (
        kind.source,
        kind.material,
        kind.prediction,
        kind.look,
        kind.thumbnails,
        kind.own_model,
        kind.examples,
    ):
        assert not reference or referred(reference) is not None


@pytest.mark.parametrize(
    ("part", "why"), [(42, "it is not a Kind, but int"), (replace(TABLES, name="other"), "it calls itself 'other'")]
)
def test_what_is_no_kind_of_that_name_is_not_registered(part, why):
    with pytest.raises(UsageError, match=why):
        require_kind("mine", part)
    with pytest.raises(UsageError, match=why):
        KINDS.add("mine")(part)
    assert "mine" not in KINDS.names()


def test_a_kind_whose_claims_fail_is_named(tmp_path, monkeypatch):
    def claims(config):
        raise ValueError("nothing to see")

    monkeypatch.setitem(KINDS._parts, "failing", replace(SEQUENCES, name="failing", claims=claims))
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"kind of data 'failing' cannot tell whether .*: ValueError: nothing to see"):
        kind_of(StudyConfig(data=str(tmp_path / "data.csv")))


def test_the_ending_of_a_file_may_be_in_capitals():
    assert all(SEQUENCES.claims(StudyConfig(data=name)) for name in ("d.seq", "D.SEQ"))
    SEQUENCES.check(StudyConfig(data="d.seq", task="binary"))


def test_a_study_that_goes_on_keeps_its_kind_whatever_is_installed_since(tmp_path, monkeypatch):
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    config = StudyConfig(data=str(path), target="b")
    monkeypatch.setitem(KINDS._parts, "greedy", replace(SEQUENCES, name="greedy", claims=lambda config: True))
    assert reader_of(config, "table") is TABLES
    assert reader_of(StudyConfig(data=ARRAYS), "table") is OWN_ARRAYS
    with pytest.raises(UsageError, match=r"no kind of data named 'series' .*; install the package that adds it"):
        reader_of(config, "series")
    with pytest.raises(UsageError, match="no file or folder"):
        reader_of(StudyConfig(data=str(tmp_path / "gone.csv")), "table")


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
