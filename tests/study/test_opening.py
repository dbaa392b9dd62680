"""The data of a study is opened by the kind that it began with, and kinds of other packages are said and checked."""

from __future__ import annotations

import random
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


def test_rows_that_differ_in_one_column_stay_together(tmp_path, one_thread):
    chance = random.Random(0)
    rows = [[*(f"{chance.gauss(0, 1):.4f}" for _ in range(6)), ("no", "yes")[row % 2]] for row in range(80)]
    near = [[*rows[row][:2], "9.5", *rows[row][3:]] for row in range(6)]
    write(tmp_path / "near.csv", (*"abcdef", "label"), [*rows, *near])
    config = StudyConfig(data=str(tmp_path / "near.csv"), target="label", out=str(tmp_path / "study"))
    split = opened(begin(config, Silent()), tmp_path).split
    for row in range(6):
        assert (split.part[row], split.fold[row]) == (split.part[80 + row], split.fold[80 + row])


def test_a_kind_of_another_package_is_said(config, tmp_path, monkeypatch, one_thread):
    own = replace(TABLES, name="greedy", words=SEQUENCES.words, claims=lambda config: True)
    monkeypatch.setitem(KINDS._parts, "greedy", own)
    heard = Heard()
    with pytest.raises(UsageError, match="the kind of data 'greedy' returned data of the kind 'table'"):
        opened(begin(config, heard), tmp_path)
    assert heard.notes == [f"{config.data} is read as sequences, a kind of data of another package"]
