"""The process that computes for lessons: one question a line, work ahead in between, the demo as a stand-in."""

from __future__ import annotations

import json
from queue import Empty, SimpleQueue

import pytest

from made_ground import made_tutor
from served_pages import unpack
from tame.app import lessons
from tame.core.errors import StorageError


def asked(*questions, opened=None):
    """What the process says to these questions, one after the other. opened: gets the studies that are opened."""
    lines, said = SimpleQueue(), []
    for each in questions:
        lines.put(json.dumps(each).encode() + b"\n")
    lines.put(b"")

    def tutor_of(study):
        if opened is not None:
            opened.append(study)
        return made_tutor()

    lessons.serve(lines, lambda text: said.append(json.loads(text)), tutor_of)
    return said


def test_one_process_answers_for_one_study_after_the_other():
    opened = []
    said = asked(
        *({"study": study, "what": "about", "asked": {}} for study in ("/a", "/a", "demo", "/a")), opened=opened
    )
    assert opened == ["/a", "demo", "/a"]
    assert all("is_own" in each for each in said)


def test_an_answer_tells_apart_the_examples_that_it_is_about():
    about = {"what": "about", "asked": {}}
    first, again, other = (
        lessons.said(own, about)["ground"] for own in (made_tutor(), made_tutor(), made_tutor(seed=1))
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"what": "nothing", "asked": {}}, "no question of a lesson"), ({"what": "rate", "asked": {}}, "lr"),
        ({"what": "rate", "asked": {"lr": "fast", "wanted": "rises"}}, "lr"),
        ({"what": "rate", "asked": {"lr": float("nan"), "wanted": "rises"}}, "above 0"),
        ({"what": "guess", "asked": None}, "no question"), ({"asked": []}, "no question"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_and_the_process_goes_on(question, words):
    first, second = asked({"study": "demo", **question}, {"study": "demo", "what": "about", "asked": {}})
    assert words in first["problem"]
    assert "problem" not in second


def test_examples_that_cannot_be_opened_are_said_and_the_process_goes_on():
    lines, said = SimpleQueue(), []
    for study in ("broken", "demo"):
        lines.put(json.dumps({"study": study, "what": "about", "asked": {}}).encode())
    lines.put(b"")

    def tutor_of(study):
        if study == "broken":
            raise StorageError("cannot create the cache folder")
        return made_tutor()

    lessons.serve(lines, lambda text: said.append(json.loads(text)), tutor_of)
    assert "cache folder" in said[0]["problem"]
    assert said[1]["is_own"]


def test_between_questions_it_trains_what_the_lesson_will_ask_for():
    tutor = made_tutor(examples=20)

    class Lines:
        """A question, then nothing until all is trained, then the end."""

        def __init__(self):
            self.left = [json.dumps({"study": "demo", "what": "grow", "asked": {}}).encode()]

        def get(self, *, timeout):
            waits.append(timeout)
            if self.left:
                return self.left.pop()
            if timeout is None or tutor.growing.num_done > 8:
                return b""
            raise Empty

    said, waits = [], []
    lessons.serve(Lines(), said.append, lambda study: tutor)
    assert json.loads(said[0])["done"] == 0
    assert tutor.growing.num_done > 8
    first, after, *later = waits
    assert first is None
    assert after == lessons.QUIET_S  # who asked may go on to ask
    assert set(later) == {0.0}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return unpack("table", tmp_path_factory.mktemp("lessons"))


def test_a_study_whose_data_is_gone_has_the_demo_stand_in_and_says_why(table):
    tutor = lessons.open_tutor(table)
    assert not tutor.given.is_own
    assert "cannot be used for a lesson" in tutor.given.why
    assert tutor.ground.name == lessons.DEMO
