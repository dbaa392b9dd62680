"""The data of a study is opened by the kind that it began with, and kinds of other packages are said and checked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kinds.samples import SEQUENCES, rows_of, write
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.kinds.known import KINDS
from tame.kinds.tables.kind import TABLES
from tame.study.opening import open_data
from tame.study.session import begin, reopen
from tame.study.state import Silent

GREEDY = replace(SEQUENCES, name="greedy", claims=lambda config: True, check=lambda config: None)


class Heard(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def config(tmp_path):
    write(tmp_path / "data.csv", ("a", "b", "word", "label"), rows_of(80))
    return StudyConfig(data=str(tmp_path / "data.csv"), target="label", out=str(tmp_path / "study"))


def opened(study, tmp_path):
    with study:
        study.hire(cache=tmp_path / "cache", inline=True)
        return open_data(study)


def test_a_study_that_goes_on_keeps_its_kind_whatever_is_installed_since(config, tmp_path, monkeypatch, one_thread):
    heard = Heard()
    first = opened(begin(config, heard), tmp_path)
    monkeypatch.setitem(KINDS._parts, "greedy", GREEDY)
    again = opened(reopen(tmp_path / "study", heard), tmp_path)
    assert (again.kind, again.split) == (first.kind, first.split) == ("table", first.split)
    assert heard.notes == []


def test_a_kind_of_another_package_is_said(config, tmp_path, monkeypatch, one_thread):
    own = replace(TABLES, name="greedy", words=SEQUENCES.words, claims=lambda config: True)
    monkeypatch.setitem(KINDS._parts, "greedy", own)
    heard = Heard()
    with pytest.raises(UsageError, match="the kind of data 'greedy' returned data of the kind 'table'"):
        opened(begin(config, heard), tmp_path)
    assert heard.notes == [f"{config.data} is read as sequences, a kind of data of another package"]
