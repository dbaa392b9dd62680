"""One text from a file or a cell to Unicode.

Nothing here trusts a file. A text is read only if it is a regular file of a limited size and holds no NUL bytes; what
cannot be read is refused with its reason. Texts are kept in one form, so that equal texts have equal digests.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tame.core.errors import DataError, require
from tame.data.regular_files import open_regular

MOST_BYTES = 20_000_000  # of a file: three times the Bible
ENDINGS = frozenset({".txt", ".text", ".md"})
ROLES: Mapping[str, str] = {  # of folders, by their names in small letters
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
OTHER_ENDINGS = frozenset({".pdf", ".doc", ".docx", ".odt", ".rtf", ".html", ".htm", ".epub"})  # hold texts, inside
_MARKS = {  # the longer first: UTF-32 begins as UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
# What other programs write, by the first bytes, and how its text is had.
_OTHERS = {
    b"%PDF-": "a PDF; save its text as .txt, with pdftotext for example",
    b"PK\x03\x04": "an archive or an office document (.docx, .odt); save its text as .txt",
    b"\xd0\xcf\x11\xe0": "an old office document (.doc); save its text as .txt",
    b"{\\rtf": "rich text (.rtf); save it as plain text",
}
_LETTERS_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")


class UnreadableText(DataError):
    """One file that cannot be used as a text. The message is the reason, one line without the path."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is trained on.

    content: in Unicode's composed form (NFC), with "\\n" at the ends of lines and without a byte order mark; encoding:
    of its file (utf-8, utf-8-sig, utf-16, utf-32 or cp1252); digest: as of `digest_of`.
    """

    content: str
    encoding: str
    digest: str


def read_text(path: str) -> Text:
    """The text in a file of up to 20 MB. Raises UnreadableText with the reason."""
    with open_regular(path, error=UnreadableText, most_bytes=MOST_BYTES) as file:
        try:
            data = file.read(MOST_BYTES)
        except OSError as problem:
            raise UnreadableText(f"cannot be read: {problem.strerror}") from None
    return text_of(data)


def text_of(data: bytes) -> Text:
    """The text in these bytes: Unicode by its mark, else UTF-8, else cp1252 if nothing in it is UTF-8.

    Raises UnreadableText for what is not a text, and for one with nothing but blanks.
    """
    for start, what in _OTHERS.items():
        require(not data.startswith(start), what, error=UnreadableText)
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")
    content = _decoded(data, encoding) if encoding else None
    if content is None:
        require(b"\0" not in data, _on_nul(data), error=UnreadableText)
        content, encoding = _without_mark(data)
    require("\0" not in content, "it holds NUL characters, so it is not a text", error=UnreadableText)
    content = normalised(content)
    require(bool(content.strip()), "nothing but blanks", error=UnreadableText)
    return Text(content, encoding, digest_of(content))


def normalised(text: str) -> str:
    """The text in the form in which texts are compared and trained on: NFC, with "\\n" at the ends of lines.

    >>> normalised("cafe\\u0301\\r\\n") == "caf\\u00e9\\n"
    True
    """
    return unicodedata.normalize("NFC", text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def digest_of(text: str) -> str:
    """BLAKE2 of a text, 16 bytes as hexadecimal digits. Lone surrogates, which cells may hold, count as themselves."""
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).hexdigest()


def on_encodings(encodings: Iterable[str]) -> list[str]:
    """What is to be said of the encodings in which texts were found, in sentences."""
    guessed = sum(encoding == "cp1252" for encoding in encodings)
    if not guessed:
        return []
    said = "1 text is" if guessed == 1 else f"{guessed:,} texts are"
    return [f"{said} not UTF-8 and read as cp1252 (Western European); look at letters with accents"]


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as problem:
        said = f"it begins as {encoding.removesuffix('-sig').upper()} and is not, at byte {problem.start:,}"
        raise UnreadableText(f"{said}; save it as UTF-8") from None


def _without_mark(data: bytes) -> tuple[str, str]:
    """The text of bytes that begin with no mark, and its encoding."""
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as problem:
        place = f"byte 0x{data[problem.start]:02X} at {problem.start:,}"
    # Letters that UTF-8 does read would be garbled by cp1252, so a mixture of both is refused.
    mixture = _LETTERS_BEYOND_ASCII.search(data.decode("utf-8", errors="replace")) is not None
    try:
        require(not mixture, "", error=UnreadableText)
        return data.decode("cp1252"), "cp1252"
    except (UnicodeDecodeError, UnreadableText):
        raise UnreadableText(f"neither UTF-8 ({place}) nor entirely in cp1252; save it as UTF-8") from None


def _on_nul(data: bytes) -> str:
    """Why bytes with NUL among them are not read."""
    start = data[:200]
    if start.count(0) * 3 > len(start):
        return "it looks like UTF-16 without a byte order mark; save it as UTF-8"
    return "it holds NUL bytes, so it is not a text"
