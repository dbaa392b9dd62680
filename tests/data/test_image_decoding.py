"""One picture from bytes to pixels: every bad file is refused with its reason, every good one upright and RGB."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from made_pictures import JPEG, PNG, encode, fill, png, png_chunk, scene
from tame.data.image_decoding import decode, decode_bytes, largest_number
from tame.data.image_depth import UnreadablePicture


def pixels_of(path: Path, content: bytes, *, shortest: int | None = None) -> np.ndarray:
    path.write_bytes(content)
    return decode(str(path), shortest=shortest)


def test_decode_opens_neither_links_nor_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    fill(tmp_path / "x")
    (tmp_path / "link.png").symlink_to(tmp_path / "x" / "0.png")
    for name, reason in (("pipe", "a pipe"), ("link", "a link"), ("gone", "cannot be opened: No such file")):
        with pytest.raises(UnreadablePicture, match=reason):
            decode(str(tmp_path / f"{name}.png"), shortest=8)
    with pytest.raises(UnreadablePicture, match="a device"):
        decode("/dev/zero", shortest=8)


BAD = {
    "nothing": (b"", "an empty file"),
    "text": (b"This is a text.\n" * 20, "no picture by its first bytes"),
    "html": (b"\n<!DOCTYPE html><html>404</html>", "an HTML page"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "pdf": (b"%PDF-1.7\n", "a PDF file"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
    "photoshop": (b"8BPS\0\1", "a Photoshop file"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC or AVIF"),
    "heic of a burst": (b"\0\0\0\x18ftyphevc\0\0\0\0", "HEIC or AVIF"),
    "pickle": (b"\x80\x04\x95", "no picture by its first bytes"),
    "ppm": (b"P6 8 8 255\n" + b"\0" * 192, "no picture by its first bytes"),
    "cut jpeg": (JPEG[: len(JPEG) * 9 // 10], "truncated"),
    "jpeg header": (JPEG[:200], "cannot be decoded"),
    "jpeg start": (JPEG[:4], "cannot be decoded"),
    "flipped png": (PNG[:90] + bytes([PNG[90] ^ 1]) + PNG[91:], "cannot be decoded"),
    "cut png": (PNG[: len(PNG) // 2], "truncated"),
    "png bomb": (png(size=(12_000, 12_000)), "12000 x 12000 pixels are beyond the limit of 120 million"),
    "smaller png bomb": (png(size=(9_000, 9_000)), "9000 x 9000 pixels in [0-9]+ bytes are not a photograph"),
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


@given(
    seed=st.integers(0, 999), quality=st.integers(30, 95), progressive=st.booleans(), marks=st.integers(0, 2),
    lost=st.integers(1, 2), shortest=st.sampled_from([None, 20]),
)  # fmt: skip
@settings(max_examples=40)
def test_a_jpeg_that_lacks_only_its_end_mark_is_read(seed, quality, progressive, marks, lost, shortest):
    content = encode(
        scene(seed, width=70, height=50), "JPEG", quality=quality, progressive=progressive, restart_marker_rows=marks
    )
    assert content.endswith(b"\xff\xd9")
    whole = decode_bytes(content, shortest=shortest)
    assert np.array_equal(decode_bytes(content[:-lost], shortest=shortest), whole)


@given(seed=st.integers(0, 999), share=st.floats(0.3, 0.97), progressive=st.booleans())
@settings(max_examples=40)
def test_a_jpeg_that_was_cut_is_refused(seed, share, progressive):
    content = encode(scene(seed, width=160, height=120), "JPEG", quality=90, progressive=progressive)
    with pytest.raises(UnreadablePicture, match="truncated"):
        decode_bytes(content[: int(share * len(content))], shortest=None)


def test_a_progressive_jpeg_that_was_cut_between_its_scans_is_refused():
    content = encode(scene(1, width=160, height=120), "JPEG", quality=90, progressive=True)
    scans = [place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for place in scans[1:]:
        table = content.rindex(b"\xff\xc4", 0, place)
        for cut in (place, place + 5, table):
            with pytest.raises(UnreadablePicture, match="truncated"):
                decode_bytes(content[:cut], shortest=None)


@given(
    seed=st.integers(0, 999), quality=st.integers(40, 95), progressive=st.booleans(), optimize=st.booleans(),
    marks=st.integers(0, 1), share=st.floats(0.1, 0.9), end=st.sampled_from([b"", b"\xff\xd9"]),
)  # fmt: skip
@settings(max_examples=60)
def test_a_jpeg_with_zeros_where_data_was_is_refused(seed, quality, progressive, optimize, marks, share, end):
    content = encode(
        scene(seed, width=160, height=120), "JPEG", quality=quality, progressive=progressive, optimize=optimize,
        restart_marker_rows=marks,
    )  # fmt: skip
    assert decode_bytes(content, shortest=40).shape == (40, 53, 3)
    start = content.index(b"\xff\xda") + 20
    at = start + int(share * (len(content) - start - 100))
    cut = content[:at] + bytes(len(content) - at - len(end)) + end
    with pytest.raises(UnreadablePicture, match="cannot be decoded"):
        decode_bytes(cut, shortest=40)


def test_of_small_holes_behind_which_a_jpeg_goes_on_nine_in_ten_are_found():
    """Behind a few the code falls back into step, and ends where the last pixel does."""
    found, chance = 0, random.Random(0)
    for seed in range(60):
        content = encode(scene(seed, width=160, height=120), "JPEG", quality=chance.randint(40, 95))
        start = content.index(b"\xff\xda") + 20
        at = start + int(chance.uniform(0.1, 0.9) * (len(content) - start - 100))
        try:
            decode_bytes(content[:at] + bytes(90) + content[at + 90 :], shortest=40)
        except UnreadablePicture:
            found += 1
    assert found >= 54


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 30, 30)])
def test_plain_areas_are_no_holes_though_their_code_is_zeros(colour, progressive):
    image = Image.new("RGB", (1200, 1200), colour)
    image.paste(scene(1, width=100, height=100), (700, 300))
    content = encode(image, "JPEG", optimize=True, progressive=progressive)
    assert bytes(32) in content
    assert decode_bytes(content, shortest=None).shape == (1200, 1200, 3)
    assert decode_bytes(content + bytes(500), shortest=None).shape == (1200, 1200, 3)  # of a disk's last block


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8688, 5792)])
def test_photographs_of_large_cameras_are_read(size):
    image = scene(3, width=362, height=241).resize(size, Image.Resampling.BILINEAR)
    noise = np.random.default_rng(0).integers(0, 40, (64, 64, 3), dtype=np.uint8)
    grain = np.tile(noise, (size[1] // 64 + 1, size[0] // 64 + 1, 1))[: size[1], : size[0]]
    content = encode(Image.fromarray(np.asarray(image) // 2 + grain), "JPEG", quality=75)
    found = decode_bytes(content, shortest=64)
    assert min(found.shape[:2]) == 64


def deep_png(numbers, *chunks):
    """A PNG file of 16 bits a value. numbers: (H, W) grey or (H, W, 3); chunks: what else it says, kind and content."""
    height, width = numbers.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if numbers.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, own)
        for kind, own in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def deep_tiff(numbers, **tags):
    """A TIFF file of 16 bits a value with further tags, by number."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info[int(name.removeprefix("tag"))] = value
        info.tagtype[int(name.removeprefix("tag"))] = 3  # SHORT
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "TIFF", tiffinfo=info)
    return file.getvalue()


def ramp(largest):
    return np.linspace(0, largest, 400).round().astype(np.uint16).reshape(20, 20)


def as_bright(content, numbers, white, **options):
    found = decode_bytes(content, shortest=None, **options)[..., 0]
    return np.abs(found - 255 * numbers.astype(float) / white).max() <= 0.5


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("largest", [200, 255, 1000, 4095, 4096, 65535])
def test_white_is_what_the_data_set_says_whatever_the_picture_holds(bits, largest):
    numbers = ramp(largest)
    for content in (deep_png(numbers), deep_tiff(numbers)):
        if largest < 2**bits:
            assert as_bright(content, numbers, 2**bits - 1, bits=bits)
        else:
            with pytest.raises(UnreadablePicture, match=f"those of the pictures that were trained on {bits}"):
                decode_bytes(content, shortest=None, bits=bits)


@pytest.mark.parametrize("largest", [255, 4095, 4096, 65535])
def test_without_a_data_set_white_is_known_only_of_numbers_that_need_all_bits(largest):
    content = deep_png(ramp(largest))
    assert largest_number(content) == largest
    if largest > 4095:
        assert as_bright(content, ramp(largest), 65535)
    else:
        with pytest.raises(UnreadablePicture, match="nothing says whether that is white; save it with 8 bits"):
            decode_bytes(content, shortest=None)


def test_a_file_that_says_what_is_white_is_believed_whatever_the_data_set_says():
    bare, wide = ramp(4000), (ramp(4095) * 16.0037).round().astype(np.uint16)
    dark = np.repeat(np.arange(0, 200, dtype=np.uint16) * 16, 2).reshape(20, 20)  # stretched from 12 bits
    said = (b"sBIT", b"\x0c")
    for bits in (None, 8, 12, 16):
        assert as_bright(deep_png(bare, said), bare, 4095, bits=bits)
        assert as_bright(deep_png(wide, said), wide, 65535, bits=bits)
        assert as_bright(deep_png(dark, said), dark, 65535, bits=bits)
        assert as_bright(deep_tiff(bare, tag281=4095), bare, 4095, bits=bits)
        assert largest_number(deep_png(bare, said)) is None
        assert largest_number(deep_tiff(bare, tag281=4095)) is None
    assert (
        largest_number(deep_tiff(bare, tag281=4000)) == 4000
    )  # the largest number of this picture, which says nothing


def test_a_tiff_of_16_bits_in_which_0_is_white_is_no_negative():
    numbers = ramp(65535)
    file = deep_tiff(numbers)
    place = file.index(struct.pack("<HHI", 262, 3, 1))  # PhotometricInterpretation
    turned = file[: place + 8] + struct.pack("<H", 0) + file[place + 10 :]
    assert as_bright(turned, 65535 - numbers, 65535)


def test_other_pictures_have_no_numbers_of_16_bits():
    assert [largest_number(each) for each in (JPEG, PNG, b"", b"no picture", deep_png(ramp(300))[:90])] == [None] * 5


def test_colours_of_12_bits_in_16_are_refused_and_not_black():
    numbers = np.linspace(0, 4095, 1200).astype(np.uint16).reshape(20, 20, 3)
    with pytest.raises(UnreadablePicture, match="12 of 16 bits"):
        decode_bytes(deep_png(numbers), shortest=None)
    assert decode_bytes(deep_png(numbers * 16), shortest=None).max() >= 254
