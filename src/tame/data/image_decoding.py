"""One picture from a file to pixels.

Nothing here trusts a file. A picture is opened only if it is a regular file, known by its first bytes, and small enough
by its header; what cannot be read is refused with its reason.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tame.core.errors import require
from tame.core.text import printable
from tame.data.image_depth import UnreadablePicture, as_grey, is_deep, numbers_of, white_in, white_of
from tame.data.jpeg_holes import END_MARK, FILLINGS, has_hole, lacks_scans
from tame.data.regular_files import open_regular

MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 120_000_000  # the largest cameras of phones have 108 million
SURE_PIXELS = 50_000_000  # beyond, a file must be as large as a photograph is, which a bomb never is
PIXELS_A_BYTE = 50  # a photograph has 2 to 20
MAX_ASPECT = 50  # longer side over shorter side
# Brands of ISO/IEC 23008-12 (stills and sequences, of one or several layers) and of AVIF.
HEIC_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 avif avis".split())
CONVERT = "convert it to JPEG or PNG"


def decode(path: str, *, shortest: int | None, bits: int | None = None) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, upright, first frame only, transparency on white.

    shortest: pixels; a picture whose shorter side is longer is shrunk to it (antialiased), none is enlarged. bits: that
    white has in grey pictures of 16 bits whose file does not say it; None where the data set has none.
    Raises UnreadablePicture with the reason. Files up to 100 MB and 120 million pixels are read; those of more than 50
    million where they have a byte for 50 pixels or more.
    """
    with judged_warnings():
        return decode_bytes(read_bytes(path), shortest=shortest, bits=bits)


@contextlib.contextmanager
def judged_warnings() -> Iterator[None]:
    """While it lasts, Pillow's warnings about odd tags beside good pixels are not heard; one about a bomb is an error.

    Entered by the calling thread only: filters are the whole process's before Python 3.14.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def open_picture(path: str) -> io.BufferedReader:
    """The file of a picture. Raises UnreadablePicture as `open_regular`."""
    return open_regular(path, error=UnreadablePicture, most_bytes=MAX_FILE_BYTES)


def read_bytes(path: str) -> bytes:
    """What a file holds. Raises UnreadablePicture."""
    with open_picture(path) as file:
        return _read(file, MAX_FILE_BYTES)


def read_part(path: str, offset: int, size: int) -> bytes:
    """The picture that lies at this place of a file that holds many. Raises UnreadablePicture."""
    with open_regular(path, error=UnreadablePicture) as file:
        file.seek(offset)
        return _read(file, min(size, MAX_FILE_BYTES))


def read_start(path: str, offset: int) -> bytes:
    """The first bytes of the picture that lies at this place of a file. Raises UnreadablePicture."""
    return read_part(path, offset, 32)


def _read(file: io.BufferedReader, most: int) -> bytes:
    try:
        return file.read(most)
    except OSError as problem:
        raise UnreadablePicture(f"cannot be read: {problem.strerror}") from None


def decode_bytes(data: bytes, *, shortest: int | None, bits: int | None = None) -> np.ndarray:
    """As `decode`, of the bytes of a file. A JPEG that lacks nothing but its end mark is read."""
    # Not Image.open: it loads plugins of formats that are not wanted, and its limit on pixels is the process's.
    # The reader is chosen by the first bytes, and the size in the header is judged before anything is decoded.
    plugin = _plugin(data)
    try:
        found = _decoded(plugin, data, shortest, bits)
    except UnreadablePicture:
        raise
    except Exception as problem:  # Pillow's plugins raise a dozen kinds for a broken file
        whole = _without_end_mark(data, shortest) if plugin is JpegImagePlugin.JpegImageFile else None
        if whole is None:
            raise UnreadablePicture(_why(problem)) from None
        found = whole
    if plugin is JpegImagePlugin.JpegImageFile and has_hole(data, _jpeg):
        raise UnreadablePicture("cannot be decoded: truncated, and zeros stand where the rest of the picture was")
    return found


def largest_number(data: bytes) -> int | None:
    """The largest number of a grey picture of 16 bits whose file does not say what is white; None for any other."""
    try:
        with _plugin(data)(io.BytesIO(data), "") as image:
            _check_size(image.size, len(data))
            if not is_deep(image):
                return None
            image.load()
            numbers = numbers_of(image)
            return int(numbers.max()) if white_in(image, numbers, data) is None else None
    except Exception:  # of the many kinds that Pillow raises: whoever decodes it says what is wrong
        return None


def of_image(image: Image.Image, *, shortest: int | None, bits: int | None = None) -> np.ndarray:
    """As `decode`, of a picture that Pillow holds, whatever its mode. Raises UnreadablePicture."""
    _check_size(image.size, MAX_FILE_BYTES)
    try:
        # Colours of 16 bits are seen before it is loaded, as in a file; afterwards Pillow has 8 of them.
        wide = isinstance(image, ImageFile.ImageFile) and _has_wide_colours(image)
        image.load()
        orientation = _orientation(image)
        plain = _on_white(_to_8_bit(image, b"", bits, wide=wide))
    except UnreadablePicture:
        raise
    except Exception as problem:  # as in `decode_bytes`: a file that Pillow has opened is read only now
        raise UnreadablePicture(_why(problem)) from None
    upright = plain if orientation is None else plain.transpose(orientation)
    return np.array(_shrink(upright, shortest, upright.size))


def deep_numbers(image: Image.Image) -> np.ndarray | None:
    """(H, W) uint16, upright, of a picture that Pillow holds and that does not say what is white; None for others."""
    try:
        _check_size(image.size, MAX_FILE_BYTES)
        if not is_deep(image):
            return None
        image.load()
        numbers, orientation = numbers_of(image), _orientation(image)
        if white_in(image, numbers, b"") is not None:
            return None
    except UnreadablePicture:
        raise
    except Exception as problem:
        raise UnreadablePicture(_why(problem)) from None
    return numbers if orientation is None else np.asarray(Image.fromarray(numbers).transpose(orientation))


def _jpeg(data: bytes) -> np.ndarray:
    return _decoded(JpegImagePlugin.JpegImageFile, data, None, None)


def _decoded(plugin: type[ImageFile.ImageFile], data: bytes, shortest: int | None, bits: int | None) -> np.ndarray:
    with plugin(io.BytesIO(data), "") as image:
        _check_size(image.size, len(data))
        whole = image.size  # reducing while decoding rounds up, which must not change the picture's shape
        wide = isinstance(image, PngImagePlugin.PngImageFile | TiffImagePlugin.TiffImageFile) and _has_wide_colours(
            image
        )
        if shortest is not None:
            image.draft(None, (2 * shortest, 2 * shortest))  # a JPEG is decoded at 1/2, 1/4 or 1/8 of its size
        image.load()
        orientation = _orientation(image)
        plain = _shrink(_to_8_bit(image, data, bits, wide=wide), shortest, whole)
    plain = _on_white(plain)
    return np.array(plain if orientation is None else plain.transpose(orientation))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _why(problem: Exception) -> str:
    lines = str(problem).splitlines()
    return f"cannot be decoded: {printable(lines[0])[:160] if lines else type(problem).__name__}"


def _without_end_mark(data: bytes, shortest: int | None) -> np.ndarray | None:
    """The picture of a JPEG that ends too soon, where all of its pixels are there; None where some are not.

    Whatever follows the last pixel is passed over by a decoder. So a picture that is whole comes out the same with
    other bytes behind it, and one that was cut does not.
    """
    own = data.rstrip(b"\xff")
    try:
        if lacks_scans(own):
            return None
        found = _decoded(JpegImagePlugin.JpegImageFile, own + END_MARK, shortest, None)
        for filling in FILLINGS:
            again = _decoded(JpegImagePlugin.JpegImageFile, own + filling + END_MARK, shortest, None)
            if not np.array_equal(found, again):
                return None
    except Exception:  # of the many kinds that Pillow raises: then more is missing than a mark
        return None
    return found


def _plugin(data: bytes) -> type[ImageFile.ImageFile]:
    """The reader for what the first bytes say, whatever the file's name says. Raises UnreadablePicture."""
    readers: dict[bytes, type[ImageFile.ImageFile]] = {
        b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile, b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
        b"GIF87a": GifImagePlugin.GifImageFile, b"GIF89a": GifImagePlugin.GifImageFile,
        b"BM": BmpImagePlugin.BmpImageFile, b"II*\0": TiffImagePlugin.TiffImageFile,
        b"MM\0*": TiffImagePlugin.TiffImageFile,
    }  # fmt: skip
    for start, reader in readers.items():
        if data.startswith(start):
            return reader
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    head = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    others = {
        b"<!doctype html": "an HTML page", b"<html": "an HTML page", b"<svg": "an SVG drawing", b"<?xml": "an XML file",
        b"%pdf": "a PDF file", b"%!ps": "a PostScript file", b"8bps": "a Photoshop file",
    }  # fmt: skip
    what = next((name for start, name in others.items() if head.startswith(start)), "no picture by its first bytes")
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        raise UnreadablePicture(f"a HEIC or AVIF picture inside; {CONVERT}")
    raise UnreadablePicture(f"{what}, not JPEG, PNG, WebP, BMP, GIF or TIFF")


def _check_size(size: tuple[int, int], size_bytes: int) -> None:
    short, long = sorted(size)
    text = f"{size[0]} x {size[1]} pixels"
    limit = f"beyond the limit of {MAX_PIXELS // 10**6} million"
    require(short * long <= MAX_PIXELS, f"{text} are {limit}", error=UnreadablePicture)
    sure = short * long <= max(SURE_PIXELS, PIXELS_A_BYTE * size_bytes)
    bomb = f"{text} in {size_bytes:,} bytes are not a photograph; save it smaller"
    require(sure, bomb, error=UnreadablePicture)
    require(short >= 2, f"{text} show nothing", error=UnreadablePicture)
    require(long <= MAX_ASPECT * short, f"{text} are a strip, longer than {MAX_ASPECT}:1", error=UnreadablePicture)


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """How a stored picture is turned upright. A TIFF has been turned already when it was loaded."""
    try:
        tag = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF beside good pixels is common, and every viewer shows such a picture as it is stored
        return None
    ways = Image.Transpose
    return {
        2: ways.FLIP_LEFT_RIGHT, 3: ways.ROTATE_180, 4: ways.FLIP_TOP_BOTTOM, 5: ways.TRANSPOSE,
        6: ways.ROTATE_270, 7: ways.TRANSVERSE, 8: ways.ROTATE_90,
    }.get(tag)  # fmt: skip


def _has_wide_colours(image: ImageFile.ImageFile) -> bool:
    """Whether the file has colours of 16 bits each, of which Pillow keeps the upper 8. Asked before it is loaded."""
    return any(";16" in str(each.args) and image.mode in ("RGB", "RGBA", "LA") for each in image.tile)


def _to_8_bit(image: Image.Image, data: bytes, bits: int | None, *, wide: bool = False) -> Image.Image:
    """The image in mode RGB, or RGBA if some of it can be seen through. wide: its file has 16 bits a colour.

    data: the bytes of its file, b"" where they are not known; bits: as of `decode`.
    """
    if is_deep(image):
        numbers = numbers_of(image)
        image = as_grey(numbers, white_in(image, numbers, data) or white_of(numbers, bits))
    if image.mode in ("I", "F"):
        raise UnreadablePicture(f"pixels of mode {image.mode} have no known white; save it with 8 or 16 bits")
    if wide and max(high for _, high in _extremes(image)) < 2 ** (8 - 4):
        raise UnreadablePicture("its colours use 12 of 16 bits or fewer, and would come out black; save it with 8 bits")
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _extremes(image: Image.Image) -> list[tuple[int, int]]:
    """The smallest and largest value of each colour."""
    colours = image.convert("RGB") if image.mode != "RGB" else image
    found: list[tuple[int, int]] = [(int(low), int(high)) for low, high in colours.getextrema()]  # type: ignore[misc]
    return found


def _shrink(image: Image.Image, shortest: int | None, whole: tuple[int, int]) -> Image.Image:
    """The picture with its shorter side at most `shortest`. whole: its size before any reduction in decoding."""
    if shortest is None or min(whole) <= shortest:
        return image
    scale = shortest / min(whole)
    size = (max(round(whole[0] * scale), shortest), max(round(whole[1] * scale), shortest))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
