"""Folders of pictures: every bad file is skipped with its reason, every good one comes out upright and RGB."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import random
import stat
import struct
import subprocess
import sys
import time
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tame.core.errors import DataError
from tame.data.cache import ArrayCache
from tame.data.images import (
    Skipped,
    UnreadablePicture,
    close_pairs,
    decode,
    load_pixels,
    perceptual_hash,
    printable,
    scan,
    write_skipped,
)


def scene(seed: int = 0, *, width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture that is different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def pixels_of(path: Path, content: bytes, *, shortest: int | None = None) -> np.ndarray:
    path.write_bytes(content)
    return decode(str(path), shortest=shortest)


def fill(folder: Path, count: int = 2, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(encode(scene(seed + number)))
    return folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    fill(tmp_path / "pets" / "cats", seed=0)
    fill(tmp_path / "pets" / "dogs", seed=10)
    return tmp_path / "pets"


def reasons(folder: Path) -> dict[str, str]:
    return {item.id: item.reason for item in scan(folder).skipped}


# Which folders are classes, and which are parts


def test_class_folders_are_classes_in_the_order_of_their_names(pets):
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert [picture.id for picture in listing.pictures] == ["cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png"]
    assert [picture.label for picture in listing.pictures] == [0, 0, 1, 1]
    assert {picture.part for picture in listing.pictures} == {""}
    assert listing.parts == listing.notes == listing.skipped == ()
    first = listing.pictures[0]
    assert first.path == str(pets.resolve() / "cats" / "0.png")
    assert first.size_bytes == Path(first.path).stat().st_size
    assert len(first.digest) == 32


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Validation", "Test"), ("training", "valid", "")]
)
def test_parts_are_honoured_under_their_usual_names(names, tmp_path):
    for name, part in zip(names, ("train", "val", "test"), strict=True):
        for number, animal in enumerate(("bees", "ants")):
            if name:
                fill(tmp_path / name / animal, seed=10 * number + len(part))
    listing = scan(tmp_path)
    assert listing.classes == ("ants", "bees")
    assert listing.parts == tuple(part for name, part in zip(names, ("train", "val", "test"), strict=True) if name)
    assert all(picture.part for picture in listing.pictures)


def test_a_folder_named_as_test_plays_no_other_part(tmp_path):
    for part in ("train", "val", "test"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    listing = scan(tmp_path, test="val")
    assert listing.parts == ("train", "test")
    assert {picture.part for picture in listing.pictures if picture.id.startswith("val/")} == {"test"}
    assert not any(picture.id.startswith("test/") for picture in listing.pictures)
    assert any("not used" in note and "test" in note for note in listing.notes)
    both = scan(tmp_path, val="test", test="val")
    assert both.parts == ("train", "val", "test")


def test_any_folder_beside_plain_classes_can_be_the_test(pets):
    fill(pets / "holdout" / "cats", seed=20)
    fill(pets / "holdout" / "dogs", seed=30)
    listing = scan(pets, test="holdout")
    assert listing.classes == ("cats", "dogs")
    assert listing.parts == ("train", "test")


def test_a_test_folder_beside_plain_classes_is_no_class(pets):
    fill(pets / "test" / "cats", seed=20)
    fill(pets / "test" / "dogs", seed=30)
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert listing.parts == ("train", "test")


def test_classes_may_be_called_like_parts(tmp_path):
    for seed, name in enumerate(("train", "car", "test")):
        fill(tmp_path / name, seed=10 * seed)
    listing = scan(tmp_path)
    assert listing.classes == ("car", "test", "train")
    assert listing.parts == ()


def test_an_unlabelled_test_folder_is_left_out_with_a_note(pets):
    fill(pets / "test")
    pets.rename(pets.parent / "all")
    top = pets.parent / "all"
    (top / "train").mkdir()
    for name in ("cats", "dogs"):
        (top / name).rename(top / "train" / name)
    listing = scan(top)
    assert listing.parts == ("train",)
    assert any("no class folders" in note for note in listing.notes)


def test_folders_inside_a_class_count_as_the_class(pets):
    fill(pets / "cats" / "tabby" / "young", count=3, seed=50)
    listing = scan(pets)
    assert listing.classes == ("cats", "dogs")
    assert sum(picture.label == 0 for picture in listing.pictures) == 5
    assert "3 pictures of class 'cats'" in listing.notes[0]


def test_a_folder_beside_the_parts_is_left_out_with_a_note(tmp_path):
    for folder in ("train", "extra"):
        fill(tmp_path / folder / "ants")
        fill(tmp_path / folder / "bees", seed=5)
    listing = scan(tmp_path)
    assert listing.parts == ("train",)
    assert listing.notes == ("not used, since they play no part: extra",)


def test_what_systems_leave_behind_is_not_seen(pets):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg"):
        (pets / "cats" / name).write_bytes(b"x")
    fill(pets / "__MACOSX" / "cats")
    fill(pets / ".cache")
    listing = scan(pets)
    assert len(listing.pictures) == 4
    assert listing.skipped == listing.notes == ()


def test_files_that_are_no_pictures_by_name_are_counted_in_a_note_and_never_run(pets):
    for name in ("random.py", "csv.py", "torch.py"):
        (pets / name).write_text("raise SystemExit('was imported')")
        (pets / "cats" / name).write_text("raise SystemExit('was imported')")
    (pets / "cats" / "readme").write_text("hello")
    listing = scan(pets)
    assert len(listing.pictures) == 4
    assert listing.skipped == ()
    assert listing.notes == ("7 files are no pictures by their extension: 6 .py, 1 without one",)
    code = (
        "import sys; from pathlib import Path; from tame.data.images import scan; print(len(scan(Path('.')).pictures))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=pets, capture_output=True, text=True, check=True)
    assert done.stdout == "4\n"


def test_reading_pictures_loads_no_torch():
    code = "import sys, tame.data.images; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_part_that_lacks_a_class_gets_a_note(tmp_path):
    for part, animals in (("train", "abc"), ("val", "ab")):
        for seed, name in enumerate(animals):
            fill(tmp_path / part / name, seed=seed)
    assert scan(tmp_path).notes == ("the part val lacks the classes c",)


# What cannot be learnt from


def refused(folder: Path, **names: str) -> str:
    with pytest.raises(DataError) as caught:
        scan(folder, **names)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_folder_a_file_and_a_loop_are_refused(tmp_path):
    assert "no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "file.zip").write_bytes(b"x")
    assert "is a file" in refused(tmp_path / "file.zip")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "no folder" in refused(tmp_path / "loop")


def test_a_folder_without_pictures_is_refused_with_the_right_layout(tmp_path):
    assert "ants/1.jpg" in refused(tmp_path)
    for number in range(300):
        (tmp_path / f"empty{number}").mkdir()
    assert "300 folders hold no pictures" in refused(tmp_path)
    (tmp_path / "empty1" / "table.csv").write_text("a,b")
    assert "1 .csv" in refused(tmp_path)
    (tmp_path / "empty1" / "0.jpg").write_bytes(b"")
    assert "empty1/0.jpg: an empty file" in refused(tmp_path)


def test_pictures_without_class_folders_are_refused(tmp_path):
    assert "no class folders" in refused(fill(tmp_path / "flat"))
    fill(tmp_path / "parts" / "train")
    fill(tmp_path / "parts" / "val")
    assert "train/ holds no class folders" in refused(tmp_path / "parts")


def test_a_stray_picture_beside_class_folders_is_skipped(pets):
    (pets / "stray.png").write_bytes(encode(scene(99)))
    assert reasons(pets) == {"stray.png": "lies in no class folder"}


def test_one_class_is_refused_and_the_data_set_inside_is_offered(pets, tmp_path):
    message = refused(tmp_path)
    assert "only one class, 'pets'" in message
    assert f"did you mean {pets.resolve()}?" in message
    (pets / "dogs" / "0.png").write_bytes(b"")
    (pets / "dogs" / "1.png").write_bytes(b"")
    message = refused(pets)
    assert "only one class, 'cats'" in message
    assert "classes of which nothing can be read: dogs" in message


def test_a_part_that_is_not_there_is_refused_with_the_nearest_name(tmp_path):
    for part in ("train", "holdout"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "did you mean 'holdout'?" in refused(tmp_path, test="hold_out")
    assert "no folder named '../x'" in refused(tmp_path, val="../x")
    assert "val and test" in refused(tmp_path, val="holdout", test="holdout")
    (tmp_path / "empty" / "ants").mkdir(parents=True)
    assert "the val folder holds no pictures" in refused(tmp_path, val="empty")


def test_parts_without_a_train_are_refused(tmp_path):
    for part in ("val", "test"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "nothing to train on" in refused(tmp_path)


def test_two_folders_for_one_part_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        fill(tmp_path / part / "ants")
        fill(tmp_path / part / "bees", seed=5)
    assert "val, valid could each be the part val" in refused(tmp_path)
    assert scan(tmp_path, val="valid").parts == ("train", "val")


def test_a_class_that_only_the_test_has_is_refused(tmp_path):
    for part, animals in (("train", "ab"), ("test", "abz")):
        for seed, name in enumerate(animals):
            fill(tmp_path / part / name, seed=seed)
    assert "classes that lie in test but not in train: z" in refused(tmp_path)


@pytest.mark.parametrize("twins", [("cat", "Cat"), ("café", unicodedata.normalize("NFD", "café")), ("a", "a ")])
def test_classes_that_look_the_same_are_refused(twins, tmp_path):
    for seed, name in enumerate(twins):
        fill(tmp_path / name, seed=seed)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system holds both names to be one")
    message = refused(tmp_path)
    assert all(ascii(name) in message for name in twins)


# Files that are not what they seem


def test_names_of_any_bytes_become_printable_and_stay_unique(pets):
    names = [b"a\nb.png", b"a\\nb.png", b"q\"'.png", b"-rf.png", b"\xff\xfe.png", "\x80.png".encode(), b"%2e..%2f.png",
             "🐈.png".encode(), b"x" * 251 + b".png", b"CON.png", "\u202egnp.png".encode()]  # fmt: skip
    for number, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(pets / "cats") + b"/" + name)).write_bytes(encode(scene(100 + number)))
    script = pets / "<img src=x onerror=alert(1)>.jpg"
    fill(script, seed=200)
    listing = scan(pets)
    ids = [picture.id for picture in listing.pictures]
    assert len(set(ids)) == len(ids) == 4 + len(names) + 2
    assert all(name.isprintable() for name in (*ids, *listing.classes))
    assert "cats/\\xff\\xfe.png" in ids
    assert all(decode(picture.path, shortest=8).shape == (8, 12, 3) for picture in listing.pictures)


@given(one=st.text(), two=st.text())
def test_printable_texts_are_equal_only_for_equal_texts(one, two):
    assert printable(one).isprintable()
    assert (printable(one) == printable(two)) == (one == two)
    assert printable(os.fsdecode(b"\x80")) != printable("\x80")


def test_what_is_no_regular_file_is_skipped_without_waiting(pets, tmp_path):
    os.mkfifo(pets / "cats" / "pipe.jpg")
    (pets / "cats" / "self.jpg").symlink_to("self.jpg")
    (pets / "cats" / "gone.jpg").symlink_to("nowhere.jpg")
    (pets / "cats" / "zero.jpg").symlink_to("/dev/zero")
    (pets / "cats" / "passwd.jpg").symlink_to("/etc/passwd")
    (pets / "cats" / "up").symlink_to("..")
    fill(tmp_path / "pets-of-others")
    (pets / "cats" / "beside.png").symlink_to(tmp_path / "pets-of-others" / "0.png")
    (pets / "dogs" / "inside.png").symlink_to("../cats/0.png")
    (pets / "birds").symlink_to("cats")
    (pets / "cats" / "phone.heic").write_bytes(b"x")
    start = time.perf_counter()
    listing = scan(pets)
    assert time.perf_counter() - start < 30  # it waits for no writer, and reads no endless file
    found = {item.id: item.reason for item in listing.skipped}
    assert found.pop("cats/pipe.jpg") == "a pipe and not a file"
    assert found.pop("cats/phone.heic") == ".heic files cannot be read; convert it to JPEG or PNG"
    for name in ("self", "gone"):
        assert found.pop(f"cats/{name}.jpg") == "a link that leads nowhere"
    for name in ("zero.jpg", "passwd.jpg", "beside.png"):
        assert found.pop(f"cats/{name}") == "a link that leaves the data folder; such links are not followed"
    for name in ("cats/up", "birds"):
        assert found.pop(name) == "a link to a folder; such links are not followed"
    assert not found
    by_id = {picture.id: picture for picture in listing.pictures}
    assert by_id["dogs/inside.png"].digest == by_id["cats/0.png"].digest
    assert by_id["dogs/inside.png"].label == 1


def test_decode_opens_neither_links_nor_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    fill(tmp_path / "x")
    (tmp_path / "link.png").symlink_to(tmp_path / "x" / "0.png")
    for name, reason in (("pipe", "a pipe"), ("link", "a link"), ("gone", "cannot be opened: No such file")):
        with pytest.raises(UnreadablePicture, match=reason):
            decode(str(tmp_path / f"{name}.png"), shortest=8)
    with pytest.raises(UnreadablePicture, match="a device"):
        decode("/dev/zero", shortest=8)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_skipped(pets):
    (pets / "cats" / "0.png").chmod(0)
    (pets / "cats" / "inner").mkdir(mode=0)
    assert "Permission denied" in reasons(pets)["cats/0.png"]
    assert "Permission denied" in reasons(pets)["cats/inner"]


def test_a_file_beyond_the_size_limit_is_skipped_unread(pets):
    with open(pets / "cats" / "big.png", "wb") as file:
        file.truncate(100_000_001)
    assert reasons(pets) == {"cats/big.png": "100000001 bytes are beyond the limit of 100 MB"}


JPEG = encode(scene(width=320, height=240), "JPEG", quality=90)
PNG = encode(scene(width=64, height=64))
BAD = {
    "nothing": (b"", "an empty file"),
    "text": (b"This is a text.\n" * 20, "no picture by its first bytes"),
    "html": (b"\n<!DOCTYPE html><html>404</html>", "an HTML page"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "pdf": (b"%PDF-1.7\n", "a PDF file"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
    "photoshop": (b"8BPS\0\1", "a Photoshop file"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC or AVIF"),
    "pickle": (b"\x80\x04\x95", "no picture by its first bytes"),
    "ppm": (b"P6 8 8 255\n" + b"\0" * 192, "no picture by its first bytes"),
    "cut jpeg": (JPEG[: len(JPEG) * 9 // 10], "truncated"),
    "jpeg header": (JPEG[:200], "cannot be decoded"),
    "jpeg start": (JPEG[:4], "cannot be decoded"),
    "flipped png": (PNG[:90] + bytes([PNG[90] ^ 1]) + PNG[91:], "cannot be decoded"),
    "cut png": (PNG[: len(PNG) // 2], "truncated"),
    "png bomb": (png(size=(12_000, 12_000)), "12000 x 12000 pixels are beyond the limit of 50 million"),
    "larger png bomb": (png(size=(20_000, 20_000)), "beyond the limit"),
    "largest png bomb": (png(size=(2**31 - 1, 2**31 - 1)), "beyond the limit"),
    "gif bomb": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0;", "cannot be decoded|beyond the limit"),
    "bmp bomb": (b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 60_000, 60_000, 1, 24, *[0] * 6), "the limit"),
    "one pixel": (encode(scene(width=1, height=1)), "1 x 1 pixels show nothing"),
    "line": (encode(scene(width=1, height=900)), "1 x 900 pixels show nothing"),
    "strip": (encode(scene(width=2, height=101)), "2 x 101 pixels are a strip, longer than 50:1"),
    "float tiff": (encode(Image.new("F", (8, 8)), "TIFF"), "no known white"),
    "text bomb": (
        png(png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))), png_chunk(b"IDAT", b"")),
        "Decompressed data too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_one_line_that_says_why(name, tmp_path):
    content, reason = BAD[name]
    with pytest.raises(UnreadablePicture, match=reason) as caught:
        pixels_of(tmp_path / f"{name}.png", content, shortest=32)
    assert len(str(caught.value).splitlines()) == 1
    assert str(tmp_path) not in str(caught.value)


SAMPLES = {
    "JPEG": JPEG,
    "PNG": PNG,
    "GIF": encode(scene().convert("P"), "GIF"),
    "BMP": encode(scene(), "BMP"),
    "WEBP": encode(scene(), "WEBP"),
    "TIFF": encode(scene(), "TIFF", compression="tiff_lzw"),
    "palette": encode(scene().quantize(16)),
    "exif": encode(scene(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_file_is_a_picture_or_unreadable_and_nothing_else(name, tmp_path):
    chance = random.Random(name)
    for _ in range(80):
        content = bytearray(SAMPLES[name])
        for _ in range(chance.choice((1, 3, 10))):
            content[chance.randrange(min(len(content), 400))] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        with contextlib.suppress(UnreadablePicture):
            found = pixels_of(tmp_path / "damaged", bytes(content), shortest=16)
            assert found.dtype == np.uint8
            assert found.shape[2] == 3
            assert min(found.shape[:2]) <= 16


# Pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_back_every_pixel(kind, tmp_path):
    image = scene()
    options = {"lossless": True} if kind == "WEBP" else {}
    found = pixels_of(tmp_path / "x", encode(image, kind, **options))
    np.testing.assert_array_equal(found, np.asarray(image))
    assert found.flags.writeable


@given(
    width=st.integers(2, 90),
    height=st.integers(2, 90),
    shortest=st.integers(2, 60),
    kind=st.sampled_from(["PNG", "JPEG"]),
)
@settings(max_examples=40, deadline=None)
def test_the_shorter_side_is_shrunk_to_the_limit_and_none_is_enlarged(width, height, shortest, kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / "x"
    found = pixels_of(path, encode(scene(width=width, height=height), kind), shortest=shortest)
    assert min(found.shape[:2]) == min(width, height, shortest)
    scale = max(1.0, min(width, height) / shortest)
    assert abs(found.shape[0] - height / scale) <= 0.5 + 1e-9
    assert abs(found.shape[1] - width / scale) <= 0.5 + 1e-9


def test_a_big_jpeg_decoded_small_looks_like_one_decoded_in_full(tmp_path):
    image = scene(width=1200, height=900)
    small = pixels_of(tmp_path / "x.jpg", encode(image, "JPEG", quality=95), shortest=100)
    full = np.asarray(image.resize((133, 100), Image.Resampling.BICUBIC), dtype=int)
    assert np.abs(small - full).mean() < 3  # of 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(kind, orientation, tmp_path):
    upright = scene(width=48, height=32)
    ways = Image.Transpose
    stored_by = {1: None, 2: ways.FLIP_LEFT_RIGHT, 3: ways.ROTATE_180, 4: ways.FLIP_TOP_BOTTOM, 5: ways.TRANSPOSE,
                 6: ways.ROTATE_90, 7: ways.TRANSVERSE, 8: ways.ROTATE_270}[orientation]  # fmt: skip
    stored = upright if stored_by is None else upright.transpose(stored_by)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels_of(tmp_path / "x", encode(stored, kind, exif=exif, quality=95))
    assert found.shape == (32, 48, 3)
    assert np.abs(found.astype(int) - np.asarray(upright)).mean() < 4  # of 255


def test_broken_exif_does_not_cost_the_picture(tmp_path):
    content = encode(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert pixels_of(tmp_path / "x", content).shape == (32, 48, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bit(kind, tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = pixels_of(tmp_path / "x", encode(Image.fromarray(ramp), kind))
    np.testing.assert_array_equal(found, np.round(ramp / 257).astype(np.uint8)[..., None].repeat(3, axis=2))
    assert found.min() == 0
    assert found.max() == 255


def test_16_bit_colour_keeps_its_brightness(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 32896, 0) * 8 for _ in range(8))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    assert pixels_of(tmp_path / "x", content)[3, 3].tolist() == [255, 128, 0]


def half_seen(mode: str) -> bytes:
    """A black picture whose left half cannot be seen."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    image.paste((200, 0, 0, 0), (0, 0, 4, 8))
    if mode == "P":
        flat = Image.new("P", (8, 8), 1)
        flat.putpalette([200, 0, 0, 0, 0, 0])
        flat.paste(0, (0, 0, 4, 8))
        return encode(flat, transparency=0)
    if mode == "RGB":
        flat = Image.new("RGB", (8, 8))
        flat.paste((200, 0, 0), (0, 0, 4, 8))
        return encode(flat, transparency=(200, 0, 0))
    return encode(image.convert(mode))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
@pytest.mark.parametrize("shortest", [None, 4])
def test_what_is_transparent_becomes_white(mode, shortest, tmp_path):
    found = pixels_of(tmp_path / "x", half_seen(mode), shortest=shortest)
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, -1].tolist() == [0, 0, 0]


def test_other_modes_become_rgb(tmp_path):
    one_bit = pixels_of(tmp_path / "x", encode(Image.fromarray(np.eye(8, dtype=bool))))
    np.testing.assert_array_equal(one_bit[..., 0], np.eye(8) * 255)
    grey = pixels_of(tmp_path / "x", encode(scene().convert("L")))
    assert (grey[..., 0] == grey[..., 2]).all()
    cmyk = pixels_of(tmp_path / "x", encode(Image.new("RGB", (16, 16), (250, 20, 20)).convert("CMYK"), "JPEG"))
    assert np.abs(cmyk[8, 8].astype(int) - [250, 20, 20]).max() < 8


def test_only_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), (0, 0, 5 * n)) for n in range(30)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert pixels_of(tmp_path / "x", content).max() <= 2


def test_the_content_counts_and_not_the_extension(tmp_path):
    assert pixels_of(tmp_path / "x.gif", PNG).shape == (64, 64, 3)
    noted = PngImagePlugin.PngInfo()
    noted.add_text("Comment", "x" * 5000, zip=True)
    assert pixels_of(tmp_path / "x.png", encode(scene(), pnginfo=noted)).shape == (32, 48, 3)


# Many pictures, and the cache


def test_pixels_come_from_the_cache_the_second_time(pets, tmp_path):
    (pets / "cats" / "twin.png").write_bytes((pets / "cats" / "0.png").read_bytes())
    (pets / "dogs" / "bad.png").write_bytes(PNG[:80])
    (pets / "dogs" / "text.jpg").write_bytes(b"hello")
    pictures = scan(pets).pictures
    told: list[tuple[int, int]] = []
    cache = ArrayCache(tmp_path / "cache")
    loaded = load_pixels(pictures, shortest=16, cache=cache, on_progress=lambda *at: told.append(at))
    assert [picture.id for picture in loaded.pictures] == [
        p.id for p in pictures if p.id[5:] not in ("bad.png", "text.jpg")
    ]
    assert [item.id for item in loaded.skipped] == ["dogs/bad.png", "dogs/text.jpg"]
    assert told[-1] == (7, 7)
    assert told == sorted(told)
    for picture, array in zip(loaded.pictures, loaded.arrays, strict=True):
        np.testing.assert_array_equal(array, decode(picture.path, shortest=16))
        assert not array.flags.writeable
    for picture in loaded.pictures:
        Path(picture.path).unlink()
    again = load_pixels(loaded.pictures, shortest=16, cache=ArrayCache(tmp_path / "cache"))
    assert again.pictures == loaded.pictures
    for one, two in zip(again.arrays, loaded.arrays, strict=True):
        np.testing.assert_array_equal(one, two)
    other = load_pixels(loaded.pictures, shortest=8, cache=cache)
    assert len(other.skipped) == len(loaded.pictures)
    assert "No such file" in other.skipped[0].reason


def test_a_file_that_changed_after_the_scan_is_skipped(pets, tmp_path):
    pictures = scan(pets).pictures
    (pets / "cats" / "0.png").write_bytes(PNG)
    loaded = load_pixels(pictures, shortest=16, cache=ArrayCache(tmp_path / "cache"))
    assert loaded.skipped == (Skipped("cats/0.png", "the file has changed since it was listed"),)


def test_no_pictures_load_as_nothing(tmp_path):
    loaded = load_pixels([], shortest=8, cache=ArrayCache(tmp_path))
    assert loaded.pictures == loaded.arrays == loaded.skipped == ()


# What looks alike


@given(seed=st.integers(0, 10_000), quality=st.integers(50, 95), scale=st.floats(0.7, 1.4))
@settings(max_examples=40, deadline=None)
def test_the_hash_survives_encoding_again_and_a_slight_resize(seed, quality, scale):
    image = scene(seed, width=160, height=120)
    size = (round(160 * scale), round(120 * scale))
    changed = Image.open(io.BytesIO(encode(image.resize(size, Image.Resampling.BICUBIC), "JPEG", quality=quality)))
    one, two = (perceptual_hash(np.asarray(each)) for each in (image, changed))
    assert 0 <= one < 2**64
    assert (one ^ two).bit_count() <= 6


def test_plain_pictures_hash_equal_whatever_their_size():
    hashes = {perceptual_hash(np.full((side, 40, 3), 90, np.uint8)) for side in (8, 31, 32, 200)}
    assert len(hashes) == 1


@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 15), max_size=30), limit=st.integers(0, 64))
def test_close_pairs_are_those_of_a_plain_double_loop(hashes, limit):
    slow = [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= limit
    ]
    assert close_pairs(np.array(hashes, dtype=np.uint64), limit=limit) == slow


def test_real_photos_are_listed_decoded_and_told_apart(shared, tmp_path):
    listing = scan(shared / "data" / "ants_bees")
    assert listing.classes == ("ants", "bees")
    assert listing.parts == ("train", "val")
    assert len(listing.pictures) == 396
    assert listing.skipped == listing.notes == ()
    loaded = load_pixels(listing.pictures, shortest=64, cache=ArrayCache(tmp_path))
    assert loaded.skipped == ()
    assert all(min(array.shape[:2]) <= 64 for array in loaded.arrays)
    hashes = np.array([perceptual_hash(array) for array in loaded.arrays], dtype=np.uint64)
    digests = [picture.digest for picture in loaded.pictures]
    close = close_pairs(hashes, limit=6)
    assert all(digests[i] == digests[j] for i, j in close)


# The list of what was skipped


def test_skipped_files_are_listed_for_the_owner_in_a_csv_that_runs_no_formula(tmp_path):
    path = tmp_path / "skipped.csv"
    names = ["=cmd|' /C calc'!A0", "+1", "-rf.jpg", "@x", "\tx", "\rx", 'a"b,c', "plain.jpg", "é\udcff"]
    write_skipped(path, [Skipped(name, "truncated, twice") for name in names])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["picture", "reason"]
    assert [row[0] for row in rows[1:7]] == [f"'{name}" for name in names[:6]]
    assert [row[0] for row in rows[7:]] == ['a"b,c', "plain.jpg", "é\\udcff"]
    write_skipped(path, [])
    assert path.read_bytes() == b"picture,reason\r\n"
