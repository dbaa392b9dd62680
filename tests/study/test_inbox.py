"""The inbox of a study: only what this user asked of this study is taken, and nothing in it harms anybody."""

from __future__ import annotations

import json
import os
import re
import threading

import pytest

from tame.core.errors import RefusedError, StorageError, UsageError
from tame.core.plain import to_plain
from tame.study.inbox import ASKED, MOST_S, Seal, ask, is_anything_waiting, remove, waiting, wish_of

SEAL = Seal(key=b"k" * 32, study="one")


def forged(folder, content, name="stop.json"):
    (folder / ASKED).mkdir(exist_ok=True)
    (folder / ASKED / name).write_text(content if isinstance(content, str) else json.dumps(content))


def sealed(wish, seal=SEAL):
    return {"asked": to_plain(wish), "proof": seal.of(wish)}


def test_what_is_asked_waits_in_the_order_in_which_it_came(tmp_path):
    wishes = [wish_of("pause"), wish_of("time", seconds=120), wish_of("mute", code="overfitting")]
    for number, wish in enumerate(wishes):
        assert ask(tmp_path, wish, SEAL)
        for path in (tmp_path / ASKED).iterdir():
            if path.stat().st_mtime > 1_000_000:
                os.utime(path, (number, number))
    assert [each.wish for each in waiting(tmp_path, SEAL)] == wishes
    assert (tmp_path / ASKED).stat().st_mode & 0o777 == 0o700
    assert is_anything_waiting(tmp_path)
    for each in waiting(tmp_path, SEAL):
        remove(tmp_path, each.name)
    assert not is_anything_waiting(tmp_path)


def test_two_pages_that_ask_for_the_same_at_once_ask_once(tmp_path):
    found = []

    def press():
        found.append(ask(tmp_path, wish_of("stop"), SEAL))

    pages = [threading.Thread(target=press) for _ in range(8)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert len(waiting(tmp_path, SEAL)) == 1
    assert not ask(tmp_path, wish_of("stop"), SEAL)
    assert ask(tmp_path, wish_of("mute", code="overfitting"), SEAL)
    assert ask(tmp_path, wish_of("mute", code="diverged"), SEAL)


@pytest.mark.parametrize(
    ("what", "given", "words"),
    [
        ("time", {}, "does not say what"),
        ("mute", {}, "does not say what"),
        ("pause", {"seconds": 3.0}, "goes without"),
        ("time", {"seconds": -1.0}, "at least a moment"),
        ("time", {"seconds": float("nan")}, "at least a moment"),
        ("time", {"seconds": MOST_S + 1}, "at most"),
    ],
)
def test_a_request_that_says_too_little_or_too_much_is_refused(what, given, words):
    with pytest.raises(UsageError, match=words):
        wish_of(what, **given)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting"),
        ("[1]", "is damaged"),
        ({"asked": {"id": "x", "what": "stop"}, "proof": ""}, "not asked by this user"),
        (sealed(wish_of("stop"), Seal(key=b"other" * 6, study="one")), "not asked by this user"),
        (sealed(wish_of("stop"), Seal(key=b"k" * 32, study="two")), "not asked by this user"),
        ({"asked": {"id": "x", "what": "run", "code": "rm"}, "proof": ""}, "is damaged"),
        ("x" * 70_000, "at most 65,536"),
        ('{"asked": ' * 1500, "at most|recursion|Expecting"),
    ],
)
def test_a_file_that_is_no_request_of_this_user_is_named_and_not_followed(tmp_path, content, words):
    forged(tmp_path, content)
    (found,) = waiting(tmp_path, SEAL)
    assert found.wish is None
    assert re.search(words, found.problem), found.problem


def test_a_proof_holds_for_exactly_what_was_asked(tmp_path):
    own = sealed(wish_of("time", seconds=60))
    own["asked"]["seconds"] = 6000
    forged(tmp_path, own, "time.json")
    assert waiting(tmp_path, SEAL)[0].wish is None


@pytest.mark.parametrize("name", ["stop.json.exe", "STOP.json", "a" * 100, "stop json", "\n.json"])
def test_a_file_of_another_name_is_not_read(tmp_path, name):
    forged(tmp_path, sealed(wish_of("stop")), name)
    assert "is not the name of a request" in waiting(tmp_path, SEAL)[0].problem


def test_links_and_pipes_are_not_followed(tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(sealed(wish_of("stop"))))
    folder = tmp_path / "study"
    (folder / ASKED).mkdir(parents=True)
    (folder / ASKED / "stop.json").symlink_to(outside)
    os.link(outside, folder / ASKED / "pause.json")
    os.mkfifo(folder / ASKED / "time.json")
    (folder / ASKED / "mute.json").mkdir()
    problems = {each.name: each.problem for each in waiting(folder, SEAL)}
    assert "is a link" in problems["stop.json"]
    assert "second name" in problems["pause.json"]
    assert "is a pipe" in problems["time.json"]
    assert "is a folder" in problems["mute.json"]
    for each in waiting(folder, SEAL):
        remove(folder, each.name)
    assert outside.exists()


def test_an_inbox_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / ASKED).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="is a link"):
        waiting(folder, SEAL)
    with pytest.raises(RefusedError, match="is a link"):
        ask(folder, wish_of("stop"), SEAL)


def test_a_folder_that_is_gone_is_said(tmp_path):
    with pytest.raises(StorageError, match="nothing can be asked"):
        ask(tmp_path / "gone", wish_of("stop"), SEAL)
    assert waiting(tmp_path / "gone", SEAL) == []


def test_thousands_of_files_cost_no_more_than_a_few(tmp_path):
    (tmp_path / ASKED).mkdir()
    for number in range(500):
        (tmp_path / ASKED / f"x{number}").write_text("")
    assert len(waiting(tmp_path, SEAL)) == 64
