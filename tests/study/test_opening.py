"""The data of a study is opened by the kind that it began with, and kinds of other packages are said and checked."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from kinds.samples import SEQUENCES, rows_of, write
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.core.plain import to_plain
from tame.core.records import Event
from tame.kinds.kind import Known
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


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_study_keeps_the_metric_that_it_began_with(is_kept, tmp_path, monkeypatch, one_thread):
    chance = random.Random(0)
    rows = [[chance.gauss(0, 1), chance.gauss(0, 1), "rare" if row % 25 == 0 else "usual"] for row in range(300)]
    write(tmp_path / "rare.csv", ("a", "b", "label"), rows)
    config = StudyConfig(data=str(tmp_path / "rare.csv"), target="label", out=str(tmp_path / "study"))
    with monkeypatch.context() as before:  # as versions were that chose by accuracy whatever the classes
        before.setattr("tame.kinds.findings.RARE", 1000)
        with begin(config, Silent()) as study:
            study.hire(cache=tmp_path / "cache", inline=True)
            if is_kept:
                open_data(study)
            else:  # which kept no metric either
                facts = TABLES.read(config, Known(), study.worker, phase=print, folder=study.folder).facts
                study.keep(Event("data", to_plain(facts)))
    assert opened(reopen(tmp_path / "study", Silent()), tmp_path).metric == "accuracy"
    assert opened(begin(replace(config, out=str(tmp_path / "new")), Silent()), tmp_path).metric == "balanced_accuracy"
    assert opened(reopen(tmp_path / "new", Silent()), tmp_path).metric == "balanced_accuracy"


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
