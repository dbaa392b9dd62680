"""Teaching: what is dropped lies in an ordinary folder, and nothing that is no picture gets there."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from PIL import Image

from served_pages import serving
from tame.core.errors import UsageError
from tame.pages.workshop import LEAST, Workshop, id_of

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


def put(shop, key, content):
    return shop.put(key, digest(content), content)


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


def test_only_an_empty_class_is_taken_away(shop):
    put(shop, BEE, picture(1))
    with pytest.raises(UsageError, match="delete them yourself"):
        shop.remove(BEE)
    shop.remove(WASP)
    assert [row.name for row in shop.classes()] == ["bee"]
    with pytest.raises(UsageError, match="no such class"):
        put(shop, "0" * 12, picture(1))


def test_training_is_refused_with_the_reason(shop, tmp_path):
    assert "bee has 0 pictures" in shop.refusal()
    assert "two classes" in Workshop(tmp_path / "none", fit=FAILS).refusal()
    fill(shop)
    assert shop.refusal() == ""
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
    assert shop.refusal() == "", "it can be tried again"


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


def test_the_pages_take_pictures_and_refuse_all_else(tmp_path):
    with serving(tmp_path, fit=FAILS) as own:
        head = {"Origin": f"http://{own.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
        for name in ("bee", "wasp"):
            assert own.change("/api/teach/class", json.dumps({"name": name}).encode())[0] == 200
        content = picture(1)
        place = f"/api/teach/class/{BEE}/{digest(content)}"
        assert own.request(place, method="PUT", body=content, **head)[0] == 201
        assert json.loads(own.request(place, method="PUT", body=content, **head)[2]) == {"there": "bee"}
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
