"""The pages for those who do not see, do not use a mouse, want less motion, more contrast, larger text, or paper."""

from __future__ import annotations

import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import opened, study_in, wait_until
from insect_studies import sealed_study
from made_insects import insects
from served_pages import serving, unpack
from tame.app.own_key import own_key
from tame.core.records import Event, Finding, Point
from tame.study.state import Silent

PATHS = (
    "/", "/s/{}", "/s/{}/trials?trial=3", "/s/{}/space", "/s/{own}/data?view=classes&at={row}", "/s/{}/report",
    "/s/{}/try", "/teach", "/compare?a={}&b={}",
)  # fmt: skip
SHOWS = (sys.executable, "-P", "-m", "tame.app.looking")
WIDTHS = (320, 390, 640, 1280)  # a small telephone, a telephone, 1280 at twice the size, a screen
# At most, of paper.
SHEETS = {"/": 2, "/s/{}": 4, "/s/{}/trials": 3, "/s/{}/space": 3, "/teach": 2, "/compare?a={}&b={}": 2}
STEPS_S = 6.0  # in which a live region speaks twice at most, once at the start

# Text and the colour behind it, as WCAG 2.2 compares them (success criterion 1.4.3).
CONTRASTS = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const light = (c) => c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const chain = [];
    for (let own = e; own; own = own.parentElement) chain.unshift(parse(getComputedStyle(own).backgroundColor));
    return chain.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!node.data.trim() || box.width < 2 || box.height < 2 || style.visibility === "hidden") continue;
    if (e.closest(":disabled, noscript, .unseen, .skip")) continue;
    const back = behind(e), ink = over(parse(style.color), back);
    const [high, low] = [light(ink), light(back)].sort((a, b) => b - a), ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen++;
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${node.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [seen, found];
}"""
FOCUSED = """() => {
  const e = document.activeElement, shown = e.matches("label .unseen") ? e.closest("label") : e;
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  const isInside = e.tagName === "IFRAME"; // what has the focus in there is drawn by the report's own style
  const hasLine = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const isSeen = isInside || (hasLine && box.width > 0 && box.left >= 0);
  e.dataset.reached ??= String((window.count = (window.count ?? 0) + 1));
  return [e.tagName === "BODY", isSeen, e.outerHTML.slice(0, 120)];
}"""
ROOM = """() => {
  const cell = document.createElement("td"), row = document.createElement("tr");
  cell.style.height = "370000px"; // as the rows have that are not there
  row.ariaHidden = "true";
  row.append(cell);
  document.querySelector(".vgrid tbody").append(row);
}"""
USED = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), summary, [tabindex='0'], iframe"
NEED_NAMES = {
    "button", "link", "textbox", "searchbox", "checkbox", "combobox", "slider", "spinbutton", "image", "img",
    "progressbar", "ProgressIndicator", "meter", "region", "Iframe",
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory, one_thread):
    """Finished studies, one of them of pictures, one whose data can be looked at, and classes that are being taught."""
    runs = tmp_path_factory.mktemp("kept") / "runs"
    cache = runs.parent / "cache"
    for number, name in enumerate(("bee", "wasp", "fly")):
        folder = runs / "taught" / "pictures" / name
        folder.mkdir(parents=True)
        for seed in range(6 * number):
            noise = np.random.default_rng(seed).integers(0, 255, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{'0' * 60}{seed:04d}.png")
    for name in ("table", "stopped", "pictures"):
        shutil.copytree(unpack(name, runs.parent / "unpacked"), runs / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAME_CACHE", str(cache))
        sealed_study(insects(runs.parent / "photos"), runs / "own", cache=cache)
        with serving(runs, key=own_key(Silent()), fit=("true",), answers=("true",), shows=SHOWS) as own:
            yield own


def place(own, path):
    split = (own.folder / "own" / "split.csv").read_text().splitlines()[1:]
    row = next(number for number, line in enumerate(split) if line.split(",")[1] == "train")
    found = path.replace("{}", study_in(own, "pictures")).replace("{row}", str(row))
    return found.replace("{own}", study_in(own, "own"))


def settled(page):
    page.locator("text=/Looking( at the data)?…/").wait_for(state="detached")
    page.wait_for_timeout(300)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("path", PATHS)
def test_all_text_can_be_read(chromium, kept, path):
    """In the light, in the dark, and in colours that the system forces on pages."""
    with opened(chromium, kept, place(kept, path)) as page:
        settled(page)
        for how in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}):
            page.emulate_media(**how)
            seen, found = page.evaluate(CONTRASTS)
            assert seen > 5
            assert found == [], how


def test_the_check_of_contrast_finds_what_is_too_pale(chromium):
    page = chromium.new_page()
    page.set_content("<p style='color: #777; background: #fff'>pale</p><p style='color: #767676'>just right</p>")
    assert page.evaluate(CONTRASTS) == [2, ["pale: 4.48"]]
    page.close()


@pytest.mark.parametrize("path", PATHS)
def test_everything_has_a_name_and_headings_are_in_order(chromium, kept, path):
    with opened(chromium, kept, place(kept, path)) as page:
        settled(page)
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        named = [
            (each["role"]["value"], each.get("name", {}).get("value", "")) for each in nodes if not each["ignored"]
        ]
        assert [role for role, name in named if role in NEED_NAMES and not name.strip()] == []
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))")
        if not path.endswith("report"):
            assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False)), levels
        assert page.evaluate("document.documentElement.lang") == "en"
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", PATHS)
def test_everything_is_reached_by_tab_in_its_order_and_the_focus_is_seen(chromium, kept, path):
    with opened(chromium, kept, place(kept, path)) as page:
        settled(page)
        unseen, nowhere = [], 0
        for _ in range(150):
            page.keyboard.press("Tab")
            is_over, is_seen, what = page.evaluate(FOCUSED)
            nowhere = nowhere + 1 if is_over else 0  # for a moment too on the way into a frame
            if nowhere == 3:
                break
            unseen += [] if is_seen or is_over else [what]
        assert unseen == []
        seen = "[...document.querySelectorAll(%r)].filter((e) => e.checkVisibility())" % USED  # noqa: UP031
        missed = page.evaluate(f"{seen}.filter((e) => !e.dataset.reached).map((e) => e.outerHTML.slice(0, 120))")
        assert missed == []
        order = page.evaluate(f"{seen}.map((e) => Number(e.dataset.reached))")
        assert order == sorted(order)


def test_buttons_and_ticks_work_by_enter_and_space(chromium, kept):
    with opened(chromium, kept, place(kept, "/s/{}")) as page:
        for words, key in (("Metric", "Enter"), ("Log scale", "Space")):
            page.locator(f"button:has-text('{words}')").focus()
            page.keyboard.press(key)
            page.wait_for_selector(f"button[aria-pressed=true]:has-text('{words}')")
        page.goto(f"http://{kept.host}/")
        page.locator("input[type=checkbox]").first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.locator("input[type=checkbox]").nth(1).focus()
        page.keyboard.press("Space")
        page.locator("text=Compare these two").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("text=The other way round")
        page.goto(f"http://{kept.host}{place(kept, '/s/{}/trials')}")
        page.locator(".vgrid tbody button").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("section.drawer h2")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways(chromium, kept, width):
    how = {"viewport": {"width": width, "height": 800}, "device_scale_factor": 2 if width == 640 else 1}
    with opened(chromium, kept, **how) as page:
        for path in PATHS:
            page.goto(f"http://{kept.host}{place(kept, path)}")
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_less_motion_is_no_motion(chromium, running):
    study, _ = running
    moving = "document.getAnimations().length"
    with serving(study.folder.parent) as own:
        for how, moves in ({"reduced_motion": "reduce"}, False), ({"reduced_motion": "no-preference"}, True):
            with opened(chromium, own, f"/s/{study_in(own)}", **how) as page:
                page.wait_for_selector(".chip")
                assert (page.evaluate(moving) > 0) == moves


@pytest.mark.slow
def test_what_changes_all_the_time_is_read_aloud_every_few_seconds_only(chromium, running):
    study, speaker = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".chart canvas")
        page.evaluate("""() => {
          window.spoken = [];
          const last = new Map();
          new MutationObserver((all) => all.forEach((one) => {
            const region = one.target.parentElement?.closest("[role=status], [role=alert], [aria-live]");
            if (!region || last.get(region) === region.textContent) return;
            last.set(region, region.textContent);
            if (region.textContent) spoken.push(region.textContent);
          })).observe(document.body, {childList: true, characterData: true, subtree: true});
        }""")
        for epoch in range(int(STEPS_S / 0.1)):
            speaker.progress("epochs", epoch + 1, 1000)
            speaker.point(1, Point(9 + epoch, 0.1, 0.2, 0.9))
            speaker.beat()
            page.wait_for_timeout(100)
        spoken = page.evaluate("window.spoken")
        assert 1 <= len(spoken) <= 2, spoken
        assert "epochs" in spoken[-1]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("path", "most"), SHEETS.items())
def test_a_page_is_printed_on_a_few_light_sheets(chromium, kept, path, most, scheme):
    with opened(chromium, kept, place(kept, path), color_scheme=scheme) as page:
        settled(page)
        sheets = len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format="A4")))
        assert 1 <= sheets <= most
        page.emulate_media(media="print")
        back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert min(map(int, re.findall(r"\d+", back)[:3])) > 240, "no sheet is filled with ink"
        seen, found = page.evaluate(CONTRASTS)
        assert seen > 3
        assert found == []
        assert page.locator("button:visible:not(.vgrid button)").count() == 0


def test_ten_thousand_trials_are_not_printed_as_empty_sheets(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}/trials") as page:
        page.wait_for_selector(".vgrid tbody tr")
        page.evaluate(ROOM)
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format="A4"))) <= 3


@pytest.mark.slow
def test_a_finding_is_told_to_those_who_hear(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".chart canvas")
        study.keep(Event("finding", Finding("overfitting", "it overfits", "warning", {}, trial=1).to_json()))
        heard = page.locator("[role=status]")
        wait_until(lambda: "It overfits." in " ".join(heard.all_inner_texts()), seconds=12)
