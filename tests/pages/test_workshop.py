"""Teaching: what is dropped lies in an ordinary folder, and nothing that is no picture gets there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from PIL import Image

from served_pages import serving
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.data.image_lists import read_list
from tame.data.split import make_split
from tame.kinds.groups import named_groups
from tame.pages.workshop import LEAST, Knobs, Workshop, id_of, proposed_s

FAILS = (sys.executable, "-c", "import sys; sys.exit('tame: this data cannot be used')")
WAITS = (sys.executable, "-c", "import time; time.sleep(30)")


def picture(seed, kind="JPEG", size=(40, 30)):
    content = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, kind)
    return content.getvalue()


def digest(content):
    return hashlib.sha256(content).hexdigest()


BEE, WASP = id_of("bee"), id_of("wasp")


def put(shop, key, content, **how):
    return shop.put(key, digest(content), content, **how)


@pytest.fixture
def shop(tmp_path):
    own = Workshop(tmp_path / "runs", fit=FAILS)
    own.add("bee")
    own.add("wasp")
    yield own
    if own._trains is not None:
        own._trains.kill()
        own._trains.wait()


def test_pictures_lie_in_a_folder_for_each_class(shop):
    for seed, kind in enumerate(("JPEG", "PNG", "WEBP", "GIF", "BMP")):
        assert put(shop, BEE, picture(seed, kind)) == ""
    assert [(row.name, row.count) for row in shop.classes()] == [("bee", 5), ("wasp", 0)]
    kept = sorted(path.suffix for path in (shop.folder / "bee").iterdir())
    assert kept == [".bmp", ".gif", ".jpg", ".png", ".webp"]
    assert (shop.folder / "bee").stat().st_mode & 0o777 == 0o700
    again = Workshop(shop.folder.parents[1], fit=FAILS)
    assert [row.count for row in again.classes()] == [5, 0], "it is all on the disk"
    assert put(again, WASP, picture(0)) == "bee", "the same picture in two classes is a mistake"
    assert set(again.have(BEE)) == {digest(picture(seed, kind)) for seed, kind in
                                  enumerate(("JPEG", "PNG", "WEBP", "GIF", "BMP"))}  # fmt: skip


def test_a_picture_that_was_deleted_or_moved_by_hand_is_looked_for_on_the_disk(shop):
    content = picture(1)
    put(shop, BEE, content)
    (lies,) = (shop.folder / "bee").iterdir()
    lies.unlink()
    assert put(shop, WASP, content) == ""
    assert (shop.have(BEE), shop.have(WASP)) == ([], [digest(content)])
    (lies,) = (shop.folder / "wasp").iterdir()
    lies.rename(shop.folder / "bee" / lies.name)
    assert put(shop, WASP, content) == "bee"
    assert (shop.have(BEE), shop.have(WASP)) == ([digest(content)], [])


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"#!/bin/sh\nrm -rf", b"PK\x03\x04", b"\xff\xd8"])
def test_what_is_no_picture_is_refused(shop, content):
    with pytest.raises(UsageError, match="not a picture"):
        put(shop, BEE, content)
    assert shop.have(BEE) == []


def test_a_picture_that_was_damaged_on_the_way_is_refused(shop):
    with pytest.raises(UsageError, match="did not arrive"):
        shop.put(BEE, digest(picture(1)), picture(2))


def test_a_thumbnail_is_drawn_again_and_a_broken_picture_has_none(shop):
    put(shop, BEE, picture(1, size=(2000, 1000)))
    with Image.open(io.BytesIO(shop.thumbnail(BEE, digest(picture(1, size=(2000, 1000)))))) as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (160, 80))
    broken = picture(2)[:200]
    put(shop, BEE, broken)
    with pytest.raises(UsageError, match="cannot be read"):
        shop.thumbnail(BEE, digest(broken))


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".hidden", "a\\b", "x" * 61, "bee", "test", "Train", "a\nb"])
def test_a_name_that_is_no_folder_of_a_class_is_refused(shop, name):
    with pytest.raises(UsageError):
        shop.add(name)
    assert [row.name for row in shop.classes()] == ["bee", "wasp"]


def test_only_pictures_are_counted(shop):
    put(shop, BEE, picture(1))
    own = shop.folder / "bee"
    (own / "notes.txt").write_text("from the garden")
    (own / "more.jpg").mkdir()
    (own / "MINE.JPG").write_bytes(picture(2))
    assert [row.count for row in shop.classes()] == [2, 0]
    assert set(shop.have(BEE)) == {digest(picture(1)), "MINE.JPG"}


def test_only_an_empty_class_is_taken_away(shop):
    put(shop, BEE, picture(1))
    with pytest.raises(UsageError, match="delete them yourself"):
        shop.remove(BEE)
    shop.remove(WASP)
    assert [row.name for row in shop.classes()] == ["bee"]
    with pytest.raises(UsageError, match="no such class"):
        put(shop, "0" * 12, picture(1))


def test_training_is_refused_with_the_reason(shop, tmp_path):
    assert "bee has 0 pictures" in shop.refusal(shop.classes())
    assert "two classes" in Workshop(tmp_path / "none", fit=FAILS).refusal([])
    fill(shop)
    assert shop.refusal(shop.classes()) == ""
    with pytest.raises(UsageError, match="the time must be"):
        shop.train(1.0)


def fill(shop):
    for number, key in enumerate((BEE, WASP)):
        for seed in range(LEAST):
            put(shop, key, picture(100 * number + seed))


def test_a_study_that_ends_before_it_begins_says_why(shop):
    fill(shop)
    shop.train(30.0)
    shop._trains.wait(30)
    assert shop.problem() == "tame: this data cannot be used"
    assert shop.study is None
    assert shop.refusal(shop.classes()) == "", "it can be tried again"


BEGINS = (
    sys.executable, "-c",
    "import pathlib, sys; out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1]); out.mkdir();"
    "(out / 'study.db').touch(); sys.exit('tame: a word at the end')",
)  # fmt: skip


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_study_that_was_deleted_after_it_had_begun_has_not_failed(tmp_path, is_looked_at):
    shop = Workshop(tmp_path / "runs", fit=BEGINS)
    for name in ("bee", "wasp"):
        shop.add(name)
    fill(shop)
    shop.train(30.0)
    seen, until = shop.folder.parent / "seen", time.monotonic() + 30
    while not seen.exists() and time.monotonic() < until:  # without a look at the pages
        time.sleep(0.01)
    again = Workshop(tmp_path / "runs", fit=FAILS)
    if is_looked_at:  # by a server that did not begin it
        seen.unlink()
        assert again.study == tmp_path / "runs" / "taught-0001"
    shutil.rmtree(tmp_path / "runs" / "taught-0001")
    assert (again.study, again.problem()) == (None, "")
    again.train(30.0)
    again._trains.wait(30)
    assert again.problem() == "tame: this data cannot be used", "the next one of this name has"
    (shop.folder.parent / "taught.log").unlink()
    assert again.problem() == ""


def test_one_study_trains_at_a_time(tmp_path):
    shop = Workshop(tmp_path / "runs", fit=WAITS)
    shop.add("bee")
    shop.add("wasp")
    fill(shop)
    shop.train(30.0)
    try:
        with pytest.raises(UsageError, match="already"):
            shop.train(30.0)
    finally:
        shop._trains.kill()
        shop._trains.wait()


def test_a_server_that_starts_again_knows_what_it_has_begun(tmp_path):
    shop = Workshop(tmp_path / "runs", fit=WAITS)
    for name in ("bee", "wasp"):
        shop.add(name)
    fill(shop)
    shop.train(30.0)
    again = Workshop(tmp_path / "runs", fit=FAILS)
    try:
        assert again.is_training
        assert (again.study, again.problem()) == (None, "")
        with pytest.raises(UsageError, match="already"):
            again.train(30.0)
    finally:
        shop._trains.kill()
        shop._trains.wait()
    assert not again.is_training
    assert again.problem() == "it ended without a word"
    again.train(30.0)
    again._trains.wait(30)
    assert Workshop(tmp_path / "runs", fit=FAILS).problem() == "tame: this data cannot be used"


def test_the_pages_take_pictures_and_refuse_all_else(tmp_path):
    with serving(tmp_path, fit=FAILS) as own:
        head = {"Origin": f"http://{own.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
        for name in ("bee", "wasp"):
            assert own.change("/api/teach/class", json.dumps({"name": name}).encode())[0] == 200
        content = picture(1)
        place = f"/api/teach/class/{BEE}/{digest(content)}"
        assert own.request(place, method="PUT", body=content, **head)[0] == 201
        assert json.loads(own.request(place, method="PUT", body=content, **head)[2]) == {"there": "bee", "class": "bee"}
        assert json.loads(own.request(f"/api/teach/class/{BEE}/have?most=0")[2]) == {"have": []}
        assert json.loads(own.request(f"/api/teach/class/{BEE}/have?most=5")[2]) == {"have": [digest(content)]}
        assert own.request(place, method="PUT", body=content)[0] == 403
        assert own.request(place, method="PUT", body=b"x" * 100, **head)[0] == 409
        assert own.request(f"/api/teach/class/{BEE}/..", method="PUT", body=content, **head)[0] == 400
        assert own.request(f"/api/teach/class/{BEE}/nonsense", method="PUT", body=content, **head)[0] == 400
        status, headers, body = own.request(f"{place}/thumbnail")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert body != content
        assert own.change("/api/teach/train", b'{"seconds": 60}')[0] == 409
        assert own.change("/api/teach/train", b'{"seconds": "long"}')[0] == 400
        page = own.request("/teach")[2].decode()
        assert "<td>bee</td>" in page
    with serving(tmp_path, is_read_only=True, fit=FAILS) as own:
        assert own.change("/api/teach/class", b'{"name": "fly"}')[0] == 403
        assert own.request(place, method="PUT", body=content, **{**head, "Origin": f"http://{own.host}"})[0] == 403


def test_a_picture_that_is_too_large_is_not_taken(tmp_path):
    with serving(tmp_path, fit=FAILS) as own:
        own.change("/api/teach/class", b'{"name": "bee"}')
        begun = time.monotonic()
        head = (
            f"PUT /api/teach/class/{BEE}/{'0' * 64} HTTP/1.1\r\nHost: {own.host}\r\nCookie: {own.cookie}\r\n"
            "X-Tame: 1\r\n"
            f"Origin: http://{own.host}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 1000000000\r\n\r\n"
        )
        assert own.raw(head.encode()).split()[1] == b"413"
        assert time.monotonic() - begun < 10


def test_a_class_that_is_added_meanwhile_takes_no_pictures_of_another(shop):
    key = shop.classes()[0].id
    shop.add("ant")
    put(shop, key, picture(1))
    assert {row.name: row.count for row in shop.classes()} == {"ant": 0, "bee": 1, "wasp": 0}


FIRST = "0123456789ab"


def record(shop, *, recordings):
    """So many recordings of each class, three pictures each."""
    for number, key in enumerate((BEE, WASP)):
        for seed in range(3 * recordings):
            put(shop, key, picture(1000 + 100 * number + seed), recording=f"{number}{seed // 3:011d}")


def test_a_recording_is_known_by_the_names_of_its_pictures(shop):
    put(shop, BEE, picture(1), recording=FIRST)
    put(shop, BEE, picture(2), recording=FIRST)
    put(shop, BEE, picture(3))
    assert [(row.count, row.recordings, row.groups) for row in shop.classes()] == [(3, 1, 2), (0, 0, 0)]
    assert set(shop.have(BEE)) == {digest(picture(seed)) for seed in (1, 2, 3)}
    assert put(shop, BEE, picture(1), recording="ffffffffffff") == "bee"
    with pytest.raises(UsageError, match="not the number of a recording"):
        put(shop, BEE, picture(4), recording="../../x")


def test_too_few_recordings_are_refused_with_the_reason(shop):
    record(shop, recordings=2)
    assert "bee comes from 2 recordings, and needs 3 at least" in shop.refusal(shop.classes())
    record(shop, recordings=3)
    assert shop.refusal(shop.classes()) == ""


ECHOES = (sys.executable, "-c", "import sys; sys.exit(' '.join(sys.argv[1:]))")


def told_to(shop):
    """What a study of this shop is begun with."""
    shop.train(60.0, Knobs(epochs=7, batch_size=16, rate=0.05))
    shop._trains.wait(30)
    return shop.problem()


def test_a_study_is_given_the_folder_and_the_knobs_or_where_some_is_recorded_a_list(tmp_path):
    shop = Workshop(tmp_path / "runs", fit=ECHOES)
    shop.add("bee")
    shop.add("wasp")
    fill(shop)
    said = told_to(shop)
    assert said.startswith(str(shop.folder))
    assert said.endswith("--set epochs=7 --set batch_size=16 --set optimizer.lr=0.05")
    record(shop, recordings=3)
    said = told_to(shop)
    assert "pictures.csv --image picture --target class --column class=category --groups recording" in said
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs/taught/pictures.csv").read_text())))
    assert len(rows) == 2 * (LEAST + 9)
    assert all((tmp_path / "runs/taught" / row["picture"]).is_file() for row in rows)
    assert Counter(row["recording"] for row in rows)[f"of 0{0:011d}"] == 3


@pytest.mark.parametrize("knobs", [{"epochs": 0}, {"batch_size": -1}, {"rate": -0.1}])
def test_a_knob_that_no_recipe_can_have_is_refused(knobs):
    with pytest.raises(UsageError):
        Knobs(**knobs)


def test_no_recording_lies_on_both_sides_of_the_split(tmp_path):
    """Pictures of one recording differ here, so that nothing but their list holds them together. Classes have names
    that a table alone would take for a number and for a missing value."""
    shop = Workshop(tmp_path / "runs", fit=FAILS)
    for name in ("1", "None"):
        shop.add(name)
        for seed in range(40):
            put(shop, id_of(name), picture(1000 * len(name) + seed), recording=f"{len(name)}{seed // 4:011d}")
    shop.train(30.0)
    shop._trains.wait(30)
    path, *options = shop.data(shop.classes())
    given = dict(zip(options[::2], options[1::2], strict=True))
    name, _, told = given["--column"].partition("=")
    config = StudyConfig(data=path, image=given["--image"], target=given["--target"], groups=given["--groups"],
                         columns={name: told}, backbone="none")  # fmt: skip
    listing = read_list(config)
    assert listing.classes == ("1", "None")
    labels = [each.label for each in listing.pictures]
    groups, _ = named_groups(
        listing.beside["recording"], "recording", given=[""] * 80, values=np.array(labels), classes=listing.classes,
        nouns="pictures",
    )  # fmt: skip
    split = make_split(labels, [""] * 80, groups, classes=listing.classes, folds=None, seed=0)
    sides = {}
    for each, part, fold in zip(listing.pictures, split.part, split.fold, strict=True):
        sides.setdefault(Path(each.id).name.split("-")[0], set()).add((part, fold))
    assert len(sides) == 20
    assert all(len(own) == 1 for own in sides.values())
    assert {part for own in sides.values() for part, _ in own} >= {"train", "test"}


@pytest.mark.parametrize(("count", "seconds"), [(0, 20), (300, 20), (301, 60)])
def test_few_pictures_are_given_a_short_clock(shop, count, seconds):
    for number in range(count):
        (shop.folder / "bee" / f"{number}.jpg").write_bytes(b"\xff\xd8\xff")
    assert proposed_s(shop.classes()) == seconds
