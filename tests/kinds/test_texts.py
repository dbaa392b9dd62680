"""Folders of texts by class: what is read, what is skipped with its reason, and what is refused with a cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError
from tame.data.sources import table_of_texts, texts_of
from tame.kinds.known import kind_of
from tame.kinds.texts.source import _read, _require_enough, listed


def made(root: Path, files: dict[str, bytes | str]) -> StudyConfig:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return StudyConfig(data=str(root))


def test_a_folder_of_texts_is_a_kind_of_its_own(tmp_path):
    assert kind_of(made(tmp_path / "a", {"x/1.txt": "one", "y/2.md": "two"})).name == "texts"
    assert kind_of(made(tmp_path / "b", {"x/1.txt": "one", "y/2.png": "two"})).name == "images"
    with pytest.raises(UsageError, match="the name of its folder"):
        kind_of(StudyConfig(data=str(tmp_path / "a"), target="label"))


def test_files_have_their_class_and_part_and_others_are_counted(tmp_path):
    config = made(tmp_path, {
        "train/a/1.txt": "one", "train/a/deep/2.txt": "two", "train/b/3.TXT": "three", "test/b/4.txt": "four",
        "train/b/notes.pdf": "%PDF-1.4", "loose.txt": "five",
    })  # fmt: skip
    files, notes = listed(config)
    assert [(file.id, file.label, file.part) for file in files] == [
        ("train/a/1.txt", "a", "train"), ("train/a/deep/2.txt", "a", "train"), ("train/b/3.TXT", "b", "train"),
        ("test/b/4.txt", "b", "test"),
    ]  # fmt: skip
    assert any("1 .pdf" in note and "pdftotext" in note for note in notes)
    assert any("have no class" in note for note in notes)


def test_a_named_part_takes_the_place_of_the_usual_one(tmp_path):
    config = made(tmp_path, {f"{part}/{label}/1.txt": part for part in ("train", "old") for label in "ab"})
    files, _ = listed(StudyConfig(data=config.data, test="old"))
    assert {file.part for file in files} == {"train", "test"}
    with pytest.raises(DataError, match="no folder 'older'"):
        listed(StudyConfig(data=config.data, test="older"))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a/1.txt": "one"}, "no two classes of texts .* all are of 'a'"),
        ({"1.txt": "one", "2.txt": "two"}, "put each text into a folder"),
        ({"test/a/1.txt": "one", "test/b/1.txt": "two"}, "no train/"),
        ({"train/a/1.txt": "1", "train/b/1.txt": "2", "test/c/1.txt": "3"}, "no text of train/ has: 'c'"),
        ({"a/1.txt": "one", "b/2.docx": "PK"}, "pdftotext"),
    ],
)
def test_folders_without_two_classes_are_refused_with_what_would_help(tmp_path, files, why):
    with pytest.raises(DataError, match=why):
        listed(made(tmp_path, files))


def test_encodings_are_mixed_freely_and_what_is_no_text_is_skipped(tmp_path):
    config = made(tmp_path, {
        "a/1.txt": "café", "a/2.txt": "café".encode("cp1252"), "a/3.txt": "café".encode("utf-16"),
        "a/4.txt": "\ufeffcafé", "a/5.txt": b"\0\1\2", "a/6.txt": "", "b/1.txt": "tea", "b/2.txt": "  \n",
        "b/3.txt": "more tea",
    })  # fmt: skip
    (tmp_path / "b" / "link.txt").symlink_to(tmp_path / "a" / "1.txt")
    files, _ = listed(config)
    found = _read(files)
    assert [content for content, file in zip(found.contents, found.files, strict=True) if file.label == "a"] == [
        "café"
    ] * 4
    assert len(set(found.digests[:4])) == 1
    reasons = {each.id: each.reason for each in found.skipped}
    assert "NUL" in reasons["a/5.txt"]
    assert "empty" in reasons["a/6.txt"]
    assert "blanks" in reasons["b/2.txt"]
    assert "link" in reasons["b/link.txt"]
    _require_enough(files, found)


def test_a_class_that_cannot_be_read_is_named(tmp_path):
    config = made(tmp_path, {"a/1.txt": b"\0", "a/2.txt": b"\0", "b/1.txt": "one"})
    files, _ = listed(config)
    with pytest.raises(DataError, match="2 of the 2 texts of 'a' cannot be read"):
        _require_enough(files, _read(files))


def test_texts_that_are_the_same_are_one_text():

    table = table_of_texts(["one", "two", "one"])
    assert table.texts["text"] == ("one", "two")
    assert np.array_equal(table.values["text"], [0, 1, 0])
    assert texts_of(table) == ["one", "two", "one"]
