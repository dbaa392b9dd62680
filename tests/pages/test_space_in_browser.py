"""The space in a real browser: edges are moved by mouse, keys and numbers, and the cost is seen before it is asked."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import opened, study_in, wait_until
from searching import SPACE, searching_study
from served_pages import KEY, serving
from tame.core.records import Event, Finding
from tame.study.events import SpaceKept
from tame.study.inbox import Seal, remove, waiting


def asked_of(study):
    return waiting(study.folder, Seal(key=KEY, study=study.state.opened.id))


@pytest.fixture
def searching(tmp_path):
    with searching_study(tmp_path / "runs" / "own") as study:
        yield study


@pytest.fixture
def page(chromium, searching):
    allowed = "the server responded with a status of 409"  # the browser's own word for a range that is refused
    with (
        serving(searching.folder.parent) as own,
        opened(chromium, own, f"/s/{study_in(own)}/space", allowed=allowed) as page,
    ):
        page.wait_for_selector("g.edge")
        yield page


RATE = "g.edge[aria-label='learning rate, upper edge']"


def drag(page):
    page.locator(RATE).scroll_into_view_if_needed()
    box = page.locator(f"{RATE} .grip").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 12)
    page.mouse.move(x, y - 24)
    page.mouse.up()


def press(page):
    page.locator(RATE).focus()
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")


def write(page):
    page.fill("input[aria-label='learning rate, upper edge']", "0.1")
    page.locator("tr:has-text('learning rate') button").click()


@pytest.mark.parametrize("move", [drag, press, write])
def test_an_edge_is_moved_its_cost_is_seen_and_only_then_it_is_asked_for(page, searching, move):
    move(page)
    page.wait_for_selector("text=times as long on its log scale")
    page.wait_for_selector("text=more recipes beside the 32 tried")
    assert asked_of(searching) == []
    page.click("button:has-text('Search it too')")
    (found,) = wait_until(lambda: asked_of(searching))
    assert found.wish.texts == ("optimizer.lr=0.0001..0.1:log",)
    searching.keep(found.wish)
    wider = SPACE.widened("optimizer.lr", high=0.1)
    searching.keep(SpaceKept(space=wider.to_json(), reason="asked for while it ran"))
    searching.keep(
        Event("answered", {"id": found.wish.id, "done": True, "reason": "new recipes come from the wider space"})
    )
    remove(searching.folder, found.name)
    page.wait_for_selector("text=planned 0.01", timeout=5_000)
    page.wait_for_selector(".said:has-text('new recipes come from the wider space')")


def test_an_edge_that_is_left_goes_back_and_nothing_is_asked(page, searching):
    press(page)
    page.wait_for_selector("text=Search it too")
    page.click("button:has-text('Leave it')")
    wait_until(lambda: page.locator(RATE).get_attribute("aria-valuenow") == "0.01")
    assert asked_of(searching) == []


def test_what_is_no_wider_range_says_why(page):
    page.fill("input[aria-label='learning rate, upper edge']", "0.001")
    page.locator("tr:has-text('learning rate') button").click()
    page.wait_for_selector("text=it was optimizer.lr")
    assert page.locator("button:has-text('Search it too')").count() == 0


def test_the_chart_has_a_table_beside_it_and_no_page_scrolls_sideways(page):
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("summary:has-text('Show the trials as a table')")
    assert page.locator("[aria-label='Trials of the chart'] tbody tr").count() == 32


def test_a_finding_is_left_out_by_a_press(chromium, searching):
    searching.keep(Event("finding", Finding("overfitting", "it overfits", "warning", {}, trial=1).to_json()))
    with serving(searching.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.click("button[aria-label='Leave out: It overfits.']")
        (found,) = wait_until(lambda: asked_of(searching))
        assert (found.wish.what, found.wish.code) == ("mute", "overfitting")
        searching.keep(found.wish)
        searching.keep(Event("answered", {"id": found.wish.id, "done": True, "reason": "it is left out from here on"}))
        page.wait_for_selector(".said:has-text('it is left out from here on')")
        wait_until(lambda: page.locator("button[aria-label='Leave out: It overfits.']").count() == 0)
