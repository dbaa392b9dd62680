"""Lessons on the pages: texts with a study's numbers, answers judged by keys that never leave the server."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from browsing import wait_until
from served_pages import serving, unpack
from tame.app.learn import look_at
from tame.learn.lesson import lessons
from tame.learn.progress import FILE, Tally, read_progress
from tame.learn.questions import questions

ECHO = (
    sys.executable, "-c",
    "import sys, json\nwhile line := sys.stdin.buffer.readline():\n own = json.loads(line)\n"
    " print(json.dumps({'what': own['what'], 'about': own['study'], 'right': own['asked'].get('good')}), flush=True)",
)  # fmt: skip
ENDS = (sys.executable, "-c", "pass")
REFUSES = (sys.executable, "-c", 'import sys\nfor line in sys.stdin: print(\'{"problem": "no"}\', flush=True)')


@pytest.fixture
def studies(tmp_path):
    return unpack("table", tmp_path / "runs").parent


def asked(own, name="descent", seed="7"):
    return json.loads(own.request(f"/api/learn/{name}/questions?seed={seed}")[2])


def answered(own, answer, *, number=0, seed="7", name="descent", mark=None):
    mark = mark or asked(own, name, seed)["questions"][number]["mark"]
    body = json.dumps({"seed": seed, "number": number, "mark": mark, "answer": answer}).encode()
    status, _, said = own.change(f"/api/learn/{name}/answer", body)
    return status, json.loads(said)


def test_the_first_page_of_every_lesson_is_whole_without_scripts(studies, tmp_path):
    with serving(studies, progress=tmp_path / "state") as own:
        status, _, page = own.request("/learn")
        assert status == 200
        for each in lessons():
            assert f"/learn/{each.name}?study=".encode() in page
            status, _, text = own.request(f"/learn/{each.name}")
            assert status == 200
            assert each.title.encode() in text
            assert b"<h2>" in text
            assert b"{" not in text.split(b"<article")[1].split(b"</article>")[0]


def test_a_lesson_tells_the_numbers_of_the_study(studies):
    seen = look_at(studies / "table")
    with serving(studies) as own:
        text = own.request("/learn/descent")[2].decode()
    assert f"Trial {seen.best.number} is the best so far" in text
    assert f"{seen.train:,} {seen.nouns}" in text


def test_without_a_study_the_demo_stands_in_and_it_is_said_why(tmp_path):
    (tmp_path / "runs").mkdir()
    with serving(tmp_path / "runs") as own:
        for path in ("/learn", "/learn/descent"):
            status, _, text = own.request(path)
            assert status == 200
            assert b"The demo stands in" in text
            assert b"No study with trials" in text


def test_a_regression_has_the_demo_where_classes_are_needed(tmp_path):
    folder = unpack("table", tmp_path / "runs").parent
    with serving(folder) as own:
        assert b"none to tell apart" in own.request("/learn/fit")[2]
        assert b"The demo stands in" not in own.request("/learn/descent")[2]


def test_no_key_leaves_the_server_before_the_answer(studies):
    with serving(studies) as own:
        for each in lessons():
            if each.classes:
                continue  # they are about the demo, which the process knows
            for question in asked(own, each.name)["questions"]:
                assert set(question) == {"text", "options", "curve", "mark"}


def test_right_and_wrong_answers_are_judged_and_kept(studies, tmp_path):
    seen, folder = look_at(studies / "table"), tmp_path / "state"
    keys = questions("descent", seen, seed=7)
    with serving(studies, progress=folder) as own:
        assert [each["text"] for each in asked(own)["questions"]] == [each.text for each in keys]
        for number, question in enumerate(keys):
            status, found = answered(own, str(question.key), number=number)
            assert (status, found["right"]) == (200, True), question
            wrong = (question.key + 1) % len(question.options) if question.options else question.key + 1000
            assert answered(own, wrong, number=number)[1]["right"] is False
    assert read_progress(folder).lessons["descent"] == Tally(2 * len(keys), len(keys))


@pytest.mark.parametrize("answer", ["", "abc", None, [], float("nan"), "1e999", True])
def test_what_is_no_answer_is_refused_and_not_counted(studies, tmp_path, answer):
    with serving(studies, progress=tmp_path / "state") as own:
        status, found = answered(own, answer)
    assert status == 409
    assert found["problem"]
    assert read_progress(tmp_path / "state").lessons == {}


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b'{"seed": "7", "number": -1}', b'{"seed": "7", "number": true}', b"[" * 5000,
])  # fmt: skip
def test_what_cannot_be_read_is_refused(studies, body):
    with serving(studies) as own:
        assert own.change("/api/learn/descent/answer", body)[0] == 400


def test_what_is_not_there_is_not_found(studies):
    with serving(studies) as own:
        assert own.request("/learn/nothing")[0] == 404
        assert own.request("/api/learn/nothing/questions")[0] == 404
        assert own.request("/learn/fit?study=0000000000000000")[0] == 409


def test_a_round_is_judged_as_it_was_asked_also_when_its_study_has_changed_since(studies):
    key = questions("descent", look_at(studies / "table"), seed=7)[0].key
    with serving(studies) as own:
        mark = asked(own)["questions"][0]["mark"]
        (studies / "table" / "study.db").unlink()
        assert answered(own, str(key), mark=mark)[1]["right"]
        status, found = answered(own, str(key), mark="0" * 16)
        assert status == 409
        assert "ask for other questions" in found["problem"]


def test_a_study_that_is_gone_has_nothing_take_its_place_unseen(studies):
    with serving(studies, lessons=ECHO) as own:
        [study] = json.loads(own.request("/api/studies")[2])["studies"]
        shutil.rmtree(studies / "table")
        body = json.dumps({"study": study["id"], "asked": {}}).encode()
        for status, _, said in (
            wait_until(lambda: (found := own.change("/api/learn/descent/ask/facts", body))[0] == 409 and found),
            own.request(f"/api/learn/descent/questions?study={study['id']}"),
        ):
            assert status == 409
            assert b"is gone" in said
            assert b"Load this page again" in said
        assert b"The demo stands in" in own.request(f"/learn/descent?study={study['id']}")[2]


def test_a_wrong_seed_is_another_round(studies):
    with serving(studies) as own:
        for seed in ("x", "-1", "9" * 40, ""):
            found = asked(own, seed=seed)
            assert found["questions"]
            assert found["seed"].isdecimal()


def test_what_is_asked_of_the_process_says_what_it_is_about(studies, tmp_path):
    study = studies / "table"
    with serving(studies, lessons=ECHO, progress=tmp_path / "state") as own:
        status, _, said = own.change("/api/learn/descent/ask/facts", json.dumps({"asked": {"good": True}}).encode())
        found = json.loads(said)
        assert status == 200
        assert found["about"] == str(study.resolve())
        _, _, said = own.change("/api/learn/fit/ask/x", json.dumps({"study": "demo", "asked": {}}).encode())
        assert json.loads(said)["about"] == "demo"
    assert read_progress(tmp_path / "state").lessons["descent"] == Tally(1, 1)


def test_pages_that_only_show_keep_nothing(studies, tmp_path):
    with serving(studies, progress=tmp_path / "state", is_read_only=True) as own:
        assert answered(own, "1")[0] in (200, 409)
        assert own.change("/api/learn/forget", b"{}")[0] == 403
    assert not (tmp_path / "state" / FILE).exists()


def test_cards_are_turned_and_progress_is_forgotten(studies, tmp_path):
    with serving(studies, progress=tmp_path / "state") as own:
        first = json.loads(own.request("/api/learn/cards")[2])["cards"]
        card = {"anchor": first[0]["anchor"], "known": True}
        assert own.change("/api/learn/card", json.dumps(card).encode())[0] == 200
        assert len(json.loads(own.request("/api/learn/cards")[2])["cards"]) == len(first) - 1
        for change in ({"anchor": "nothing"}, {"anchor": []}, {"anchor": {}}, {"known": "yes"}, {"known": None}):
            bad = {**card, **change}
            assert own.change("/api/learn/card", json.dumps(bad).encode())[0] == 400
        assert json.loads(own.change("/api/learn/forget", b"{}")[2]) == {"forgot": True}
        assert len(json.loads(own.request("/api/learn/cards")[2])["cards"]) == len(first)


def test_a_damaged_progress_does_not_stop_the_reading(studies, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_text("{")
    with serving(studies, progress=tmp_path / "state") as own:
        assert own.request("/learn")[0] == 200
        assert own.request("/learn/fit")[0] == 200


@pytest.mark.parametrize(("command", "words"), [(ENDS, b"has ended"), (REFUSES, b"no")])
def test_a_process_that_ends_or_refuses_is_said(studies, command, words):
    with serving(studies, lessons=command) as own:
        status, _, said = own.change("/api/learn/descent/ask/facts", b'{"asked": {}}')
    assert status == 409
    assert words in said
