"""Texts are read in the encoding that they show, in one form, and whatever is not a text is refused with its reason."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.data.texts import MOST_BYTES, UnreadableText, digest_of, normalised, on_encodings, read_text, text_of

SAID = "Müller said: “cafés”, 5 €"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-32", "utf-32"), ("cp1252", "cp1252")],
)
def test_a_text_is_the_same_in_every_encoding(encoding, named):
    found = text_of(SAID.encode(encoding))
    assert found.content == SAID
    assert found.encoding == named
    assert found.digest == text_of(SAID.encode()).digest


@pytest.mark.parametrize("end", ["le", "be"])
def test_utf_16_is_known_by_its_mark_in_both_orders_of_bytes(end):
    mark = {"le": b"\xff\xfe", "be": b"\xfe\xff"}[end]
    assert text_of(mark + SAID.encode(f"utf-16-{end}")).content == SAID


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing but blanks"),
        (b" \n\t\r\n ", "nothing but blanks"),
        (b"\xef\xbb\xbf", "nothing but blanks"),
        (b"some\0bytes and many others that are no text", "NUL bytes"),
        (SAID.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xef\xbb\xbfcaf\xe9", "begins as UTF-8 and is not"),
        (b"\xff\xfea", "begins as UTF-16"),
        ("é".encode() + b"\xe9t\xe9", "neither UTF-8"),
        (b"caf\x81", "nor entirely in cp1252"),
        (b"\xef\xbb\xbfa\0b", "NUL characters"),
        (b"%PDF-1.7 ...", "a PDF; save its text as .txt"),
        (b"PK\x03\x04rest", "office document"),
        (b"{\\rtf1 rest}", "rich text"),
    ],
)
def test_what_is_not_a_text_is_refused_with_its_reason(data, why):
    with pytest.raises(UnreadableText, match=why.replace("(", r"\(").replace(".", r"\.")):
        text_of(data)


def test_composed_and_decomposed_letters_and_ends_of_lines_are_one():
    one, other = "é\nline", unicodedata.normalize("NFD", "é") + "\r\nline"
    assert one != other
    assert text_of(one.encode()).digest == text_of(other.encode()).digest


@given(st.text())
def test_the_form_of_a_text_is_final(text):
    once = normalised(text)
    assert normalised(once) == once
    assert len(digest_of(once)) == 32


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_refused_in_words(data):
    found, why = "", ""
    try:
        found = text_of(data).content
    except UnreadableText as problem:
        why = str(problem)
    assert bool(found.strip()) != bool(why)
    assert "\0" not in found
    assert "\n" not in why


def test_a_file_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(SAID.encode("cp1252"))
    assert read_text(str(tmp_path / "a.txt")).content == SAID


def test_links_pipes_folders_and_large_files_are_not_read(tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "empty.txt").touch()
    with open(tmp_path / "large.txt", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    said = {
        "link.txt": "a link", "pipe.txt": "a pipe", "folder.txt": "a folder", "empty.txt": "an empty file",
        "large.txt": "beyond the limit of 20 MB", "none.txt": "cannot be opened",
    }  # fmt: skip
    for name, why in said.items():
        with pytest.raises(UnreadableText, match=why):
            read_text(str(tmp_path / name))


def test_a_guessed_encoding_is_said():
    assert on_encodings(["utf-8", "utf-16"]) == []
    assert on_encodings(["cp1252"])[0].startswith("1 text is not UTF-8 and read as cp1252")
    assert on_encodings(["cp1252", "utf-8", "cp1252"])[0].startswith("2 texts are")
