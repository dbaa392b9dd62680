"""The page on the data: nothing of the sealed part too early, edits by key and button, files that stay as they are."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import opened, wait_until
from insect_studies import config_for, sealed_study
from made_insects import CLASSES, hashes, insects
from served_pages import serving
from tame.app.own_key import own_key
from tame.app.own_studies import own_list
from tame.app.run import fit_study
from tame.core.edits import EDITS, read_edits
from tame.study.heed import heed
from tame.study.inbox import Seal
from tame.study.live import Live, Spent
from tame.study.session import reopen
from tame.study.state import Silent, read_state

MODULE = (sys.executable, "-P", "-m")
LONG_S = 300.0  # on a machine that does much else
SHOWS, EDITS_TAKEN = (*MODULE, "tame.app.looking"), (*MODULE, "tame.app.editing")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory, one_thread):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of pictures, and one of a finished study of it."""
    place = tmp_path_factory.mktemp("finished")
    root = insects(place / "photos")
    fit_study(config_for(root, place / "runs" / "one"), Silent(), inline=True)
    return root, place / "runs" / "one"


@pytest.fixture
def sealed(tmp_path):
    """A study whose data was read and split, and whose test part is sealed."""
    root = insects(tmp_path / "photos")
    return root, sealed_study(root, tmp_path / "runs" / "one", cache=tmp_path / "cache")


@contextmanager
def shown(folder, **settings):
    given = {"key": own_key(Silent()), "shows": SHOWS, "edits": EDITS_TAKEN, **settings}
    with serving(folder.parent, **given) as own:
        own.study = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        yield own


def got(own, path, **more):
    status, _, body = own.request(f"/api/s/{own.study}{path}", timeout=LONG_S, **more)
    return status, body


def plain(own, path):
    status, body = got(own, path)
    assert status == 200, body
    return json.loads(body)


def edited(own, **what):
    """Status and answer of an edit, once the study has answered where it was asked."""
    status, _, body = own.change(f"/api/s/{own.study}/edit", json.dumps(what).encode(), timeout=LONG_S)
    said = json.loads(body)
    if status != 202:
        return status, said
    return status, wait_until(lambda: (found := plain(own, f"/edit/{said['id']}"))["answer"] and found, LONG_S)


def parts_of(folder):
    lines = (folder / "split.csv").read_text().splitlines()[1:]
    return [line.split(",")[:2] for line in lines]


def every_answer(own, folder):
    """The bodies of all routes about a study, as they are asked for by anybody who looks everywhere."""
    own_routes = ["", "/trials", "/data", "/report", "/try"]
    found = {f"/s{each}": own.request(f"/s/{own.study}{each}", timeout=LONG_S)[2] for each in own_routes}
    paths = ["/data", "/columns", "/state", "/trials", "/curves", "/trial/0"]
    for view in ("mistakes", "labels", "copies", "odd", "classes", "edits"):
        paths += [f"/examples?view={view}&part={part}&of={of}&most=120" for part in ("test", "val") for of in range(5)]
    paths += [f"/picture/{row}/{size}" for row in range(len(parts_of(folder)) + 3) for size in ("small", "large")]
    return {**found, **{path: got(own, path)[1] for path in paths}}


def test_nothing_of_the_test_part_is_sent_before_it_is_opened(sealed):
    _, folder = sealed
    parts = parts_of(folder)
    marks = [Path(name).name.encode() for name, part in parts if part in ("test", "aside")]
    assert len(marks) > 5
    with shown(folder) as own:
        for path, body in every_answer(own, folder).items():
            assert not [mark for mark in marks if mark in body], path
        for row, (_, part) in enumerate(parts):
            status, body = got(own, f"/picture/{row}/small")
            assert (status, body[:2]) == ((200, b"\xff\xd8") if part == "train" else (404, b'{"')), row
        row = next(row for row, (_, part) in enumerate(parts) if part == "test")
        status, said = edited(own, row=row, action="exclude")
        assert (status, said["problem"]) == (409, "there is no such example to be seen")
        classes = plain(own, "/examples?view=classes&most=120")
        assert {each["id"] for each in classes["rows"]} == {name for name, part in parts if part == "train"}
        assert plain(own, "/data")["hidden"] == len(marks)


def test_after_the_opening_mistakes_come_with_as_many_right_answers(finished):
    _, folder = finished
    judged = read_state(folder)[1].judgements
    with shown(folder) as own:
        for part, answers in (("test", judged.test), ("val", judged.valid)):
            rows = plain(own, f"/examples?view=mistakes&part={part}&most=120")["rows"]
            wrong = [each for each in rows if each["predicted"] != each["label"]]
            assert len(wrong) == len(answers.mistakes) == answers.wrong
            assert len(rows) - len(wrong) == len(answers.right) == min(answers.wrong, answers.n - answers.wrong)
            assert rows == sorted(rows, key=lambda each: each["row"])
            own_part = {each["part"] for each in rows}
            assert own_part <= ({"test"} if part == "test" else {"train"})


def test_pairs_of_copies_are_side_by_side(finished):
    _, folder = finished
    with shown(folder) as own:
        rows = plain(own, "/examples?view=copies&most=120")["rows"]
    pairs = {each["pair"]: [] for each in rows}
    for each in rows:
        pairs[each["pair"]].append(Path(each["id"]).name)
    assert ["bee-00.png", "bee-copy-00.png"] in [sorted(own) for own in pairs.values()]


HOSTILE = (
    "/picture/-1/small", "/picture/999999999/small", "/picture/0/etc", "/picture/0/../0/small", "/picture/%2e%2e/small",
    "/picture/0x1/small", "/picture/1e3/small", "/picture/0/small/..", "/examples?view=../../etc", "/examples?view=",
)  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_what_is_no_number_of_an_example_gives_nothing(finished, path):
    _, folder = finished
    with shown(folder) as own:
        status, body = got(own, path)
        assert status in (400, 404)
        assert b"\xff\xd8" not in body
        assert b"bee" not in body


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "what",
    [
        {}, {"row": -1, "action": "exclude"}, {"row": 10**9, "action": "exclude"}, {"row": True, "action": "exclude"},
        {"row": "0", "action": "exclude"}, {"row": 0.0, "action": "exclude"}, {"row": 0, "action": "burn"},
        {"row": 0, "action": "label", "label": ["bee"]}, {"row": 0, "action": "label", "label": "bee" * 9000},
        {"row": 0, "action": "label", "label": ""}, {"row": 0, "action": "label", "label": "../../etc"},
        {"row": 0, "action": "exclude", "view": "../x"}, {"row": 0, "action": "undo"},
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(finished, what):
    _, folder = finished
    with shown(folder) as own:
        status, said = edited(own, **what)
        assert status in (400, 409) or not said["answer"]["done"]
        assert said.get("problem") or said["answer"]["reason"]
    assert read_state(folder)[1].edits == ()


def test_pages_that_only_show_edit_nothing(finished):
    _, folder = finished
    with shown(folder, is_read_only=True) as own:
        assert not plain(own, "/data")["can_edit"]
        assert edited(own, row=0, action="exclude")[0] == 403
    assert read_state(folder)[1].edits == ()


def test_a_study_of_a_stranger_shows_no_file_of_yours(sealed, tmp_path):
    _, folder = sealed
    places = {each: tmp_path / each.name for each in own_list("studies").iterdir()}
    for each, aside in places.items():
        each.rename(aside)
    try:
        with shown(folder) as own:
            status, body = got(own, "/data")
            assert status == 409
            assert b"not begun by you" in body
            assert got(own, "/picture/0/small")[0] == 409
    finally:
        for each, aside in places.items():
            aside.rename(each)


def test_a_picture_that_is_another_one_now_is_not_shown(sealed):
    root, folder = sealed
    row, name = next((row, name) for row, (name, part) in enumerate(parts_of(folder)) if part == "train")
    (root / name).write_bytes((root / "wasp" / "wasp-15.png").read_bytes())
    with shown(folder) as own:
        assert got(own, f"/picture/{row}/small")[0] == 404


@pytest.mark.slow
def test_exclude_relabel_and_undo_by_keyboard_make_a_study_that_differs_by_them_alone(chromium, finished, tmp_path):
    root, folder = finished
    before, split = hashes(root), parts_of(folder)
    with shown(folder) as own, opened(chromium, own, f"/s/{own.study}/data?view=classes") as page:
        page.set_default_timeout(1000 * LONG_S)
        page.wait_for_selector(".examples li img")
        items = page.locator(".examples li")
        items.nth(0).focus()
        ids = [Path(each).name for each in items.locator(".id").all_inner_texts()]

        def pressed(*keys, edits):
            for key in keys:
                page.keyboard.press(key)
            wait_until(lambda: len(read_state(folder)[1].edits) == edits, LONG_S)

        pressed("x", edits=1)
        pressed("ArrowRight", "3", edits=2)
        pressed("ArrowRight", "x", edits=3)
        pressed("u", edits=2)
        page.wait_for_selector("pre.command:has-text('--edits')")
        assert "gone" in items.nth(0).get_attribute("class")
        assert "at=2" in page.url
        page.reload()
        page.wait_for_selector(".examples li.gone")
        page.click("button:has-text('As a table')")
        page.wait_for_selector("table tbody tr.gone")
    assert hashes(root) == before
    found = {Path(each.id).name: (each.action, each.label) for each in read_edits(folder / EDITS)}
    assert found == {ids[0]: ("exclude", ""), ids[1]: ("label", CLASSES[2])}
    config = config_for(root, tmp_path / "two", edits=str(folder / EDITS))
    result = fit_study(config, Silent(), inline=True)
    expected = [[name, "excluded" if Path(name).name == ids[0] else part] for name, part in split]
    assert parts_of(tmp_path / "two") == expected
    assert (result.edits.excluded, result.edits.relabelled) == (1, 1)
    assert hashes(root) == before
    undone(folder, ids[:2])


def undone(folder, names):
    """Takes edits back, so that the next test finds the study as it was."""
    with shown(folder) as own:
        rows = {Path(name).name: row for row, (name, _) in enumerate(parts_of(folder))}
        for name in names:
            assert edited(own, row=rows[name], action="undo")[1]["answer"]["done"]


@pytest.mark.slow
def test_the_report_says_that_test_labels_were_changed_after_looking(chromium, finished, tmp_path):
    root, folder = finished
    row, name = next((row, name) for row, (name, part) in enumerate(parts_of(folder)) if part == "test")
    where = f"/s/{{}}/data?view=classes&at={row}"
    with shown(folder) as own, opened(chromium, own, where.format(own.study)) as page:
        page.set_default_timeout(1000 * LONG_S)
        page.wait_for_selector(".chosen")
        other = next(each for each in CLASSES if not name.startswith(each))
        page.click(f".chosen button:has-text('{other}')")
        wait_until(lambda: read_state(folder)[1].edits, LONG_S)
    result = fit_study(config_for(root, tmp_path / "two", edits=str(folder / EDITS)), Silent(), inline=True)
    said = "1 label was changed, 1 of these after looking at the test answers of an earlier study"
    assert said in Path(result.report).read_text()
    undone(folder, [Path(name).name])


def test_the_page_can_be_read_without_scripts_and_on_a_telephone(chromium, finished):
    _, folder = finished
    with shown(folder) as own:
        with opened(chromium, own, f"/s/{own.study}/data", java_script_enabled=False) as page:
            assert "bee" in page.inner_text("main")
        with opened(chromium, own, f"/s/{own.study}/data", viewport={"width": 320, "height": 700}) as page:
            page.set_default_timeout(1000 * LONG_S)
            page.wait_for_selector(".examples li, p:has-text('Nothing')")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_an_edit_says_where_it_was_seen_and_when(sealed):
    _, folder = sealed
    row = next(row for row, (_, part) in enumerate(parts_of(folder)) if part == "train")
    with shown(folder) as own:
        _, said = edited(own, row=row, action="exclude", view="labels")
        assert said["answer"]["done"]
        assert f"--edits {folder / EDITS}" in said["about"]["command"]
    (edit,) = read_state(folder)[1].edits
    assert (edit.why, edit.part) == ("seen under Likely wrong labels", "train")
    assert time.strptime(edit.when[:19], "%Y-%m-%dT%H:%M:%S")


def test_an_edit_of_a_study_whose_process_seemed_to_come_and_never_came_is_noted(sealed, monkeypatch):
    _, folder = sealed
    row = next(row for row, (_, part) in enumerate(parts_of(folder)) if part == "train")
    with shown(folder) as own:
        begun = datetime.fromisoformat(json.loads(own.request("/api/studies")[2])["studies"][0]["begun_at"])
        monkeypatch.setattr("tame.pages.library.ALIVE_S", time.time() - begun.timestamp() + 2)
        _, said = edited(own, row=row, action="exclude")
    assert said["answer"]["done"]


def test_edits_of_a_running_study_wait_for_its_own_process(sealed):
    _, folder = sealed
    row = next(row for row, (_, part) in enumerate(parts_of(folder)) if part == "train")
    with reopen(folder, Silent()) as study:
        speaker = Live(folder, lambda: Spent(used_s=3.0, given_s=600.0))
        speaker.phase("stage 3 of 6: searching")
        with shown(folder) as own:
            body = json.dumps({"row": row, "action": "exclude"}).encode()
            status, _, said = own.change(f"/api/s/{own.study}/edit", body, timeout=LONG_S)
            assert status == 202
            assert plain(own, f"/edit/{json.loads(said)['id']}") == {"answer": None, "problem": ""}
        study.seal = Seal(key=own_key(Silent()), study=study.state.opened.id)
        heed(study)
        assert [each.action for each in study.state.edits] == ["exclude"]
        speaker.close()
    assert len(read_edits(folder / EDITS)) == 1
