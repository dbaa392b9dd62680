"""`tame learn`: lessons, questions and cards in the terminal."""

from __future__ import annotations

import io

import pytest

from made_results import printed
from served_pages import unpack
from tame.app import learn
from tame.core.errors import UsageError
from tame.learn.lesson import lessons
from tame.learn.progress import Tally, read_progress
from tame.learn.questions import questions


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a study in runs/, and a place of its own for the progress."""
    folder = unpack("table", tmp_path / "somewhere")
    (tmp_path / "runs").mkdir()
    study = folder.rename(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_STATE", str(tmp_path / "state"))
    return study


def typed(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_the_list_names_every_lesson_in_80_columns(here):
    text = printed(learn.list_lessons())
    assert all(each.name in text for each in lessons())
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("own", lessons(), ids=lambda own: own.name)
def test_a_lesson_has_the_numbers_of_the_newest_study(here, own, tmp_path):
    if own.classes:
        here = unpack("pictures", tmp_path / "more").rename(tmp_path / "runs" / "second")
    found = learn.read_lesson(own.name, None)
    assert found.seen is not None
    assert found.seen.name == here.name
    text = printed(found.lines())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert f"Lesson {own.number}: {own.title}" in text
    assert found.to_json()["sentences"]


def test_without_a_study_it_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_STATE", str(tmp_path))
    found = learn.read_lesson("descent", None)
    assert found.seen is None
    assert "tame demo makes one" in " ".join(printed(found.lines()).split())
    assert found.to_json()["study"] is None


def test_answers_are_judged_and_kept(here, monkeypatch, tmp_path):
    keys = questions("descent", learn.look_at(here), seed=5)
    answers = [int(each.key) + 1 if each.options else each.key for each in keys]
    typed(monkeypatch, answers[0], "", "nonsense", "nan", *answers[1:])
    said = []
    assert learn.test_me("descent", here, seed=5, say=said.append) == Tally(3, 3)
    assert sum("Right." in line for line in said) == 3
    typed(monkeypatch, *("7777777" if not each.options else 1 + (int(each.key) == 0) for each in keys))
    assert learn.test_me("descent", here, seed=5, say=said.append) == Tally(3, 0)
    assert read_progress(tmp_path / "state" / "learn").lessons["descent"] == Tally(6, 3)


def test_the_end_of_the_input_ends_the_questions(here, monkeypatch):
    typed(monkeypatch)
    assert learn.test_me("descent", here, seed=5, say=lambda text: None) == Tally(0, 0)


def test_cards_are_kept_and_forgotten(here, monkeypatch):
    typed(monkeypatch, "", "y", "", "n")
    assert learn.turn_cards(lambda text: None) == 1
    assert len(read_progress(learn.progress_folder()).cards) == 2
    assert learn.forget() == "Your progress is deleted."
    assert learn.forget() == "There was no progress to delete."


def test_what_a_lesson_cannot_be_about_is_refused(here, tmp_path):
    with pytest.raises(UsageError, match="needs classes"):
        learn.read_lesson("fit", here)
    with pytest.raises(UsageError, match="is not a study"):
        learn.read_lesson("fit", tmp_path)
    with pytest.raises(UsageError, match="did you mean 'fit'"):
        learn.read_lesson("fitt", None)


def test_a_damaged_study_is_passed_over(here, tmp_path):
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "study.db").write_bytes(b"nothing")
    assert learn.read_lesson("descent", None).seen.name == here.name
