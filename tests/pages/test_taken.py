"""What is taken away from a finished study: what it teaches, in words, and its model as one file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import replace

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from made_results import made
from served_pages import serving, unpack
from tame.core.records import Finding
from tame.pages.download import names_of, zipped
from tame.pages.verdict import FITS, SOUND, verdict_of
from tame.study.state import read_state


def number_of(own):
    return json.loads(own.request("/api/studies")[2])["studies"][0]["id"]


def test_the_model_is_a_zip_of_its_folder_and_of_nothing_else(tmp_path):
    folder = unpack("pictures", tmp_path)
    (folder / "model" / "secret.txt").write_text("not of the model")
    with serving(folder.parent) as own:
        status, headers, body = own.request(f"/s/{number_of(own)}/model.zip")
        assert (status, headers["content-type"]) == (200, "application/zip")
        assert "attachment" in headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert {"model/model.safetensors", "model/model.json", "model/README.md"} <= set(names)
            assert not any("secret" in name for name in names)
            for name, digest in read_state(folder)[1].delivered.files.items():
                assert hashlib.sha256(archive.read(f"model/{name}")).hexdigest() == digest


def test_the_zip_is_made_in_pieces(tmp_path):
    folder = unpack("pictures", tmp_path)
    names = names_of(folder, read_state(folder)[1])
    pieces = list(zipped(folder, names))
    largest = max((folder / "model" / name).stat().st_size for name in names)
    assert max(map(len, pieces)) < max(largest, 300_000)
    assert b"".join(zipped(folder, names)) == b"".join(pieces)


def test_a_model_that_is_not_what_was_delivered_is_not_given(tmp_path):
    folder = unpack("pictures", tmp_path)
    (folder / "model" / "model.json").write_text("{}")
    with serving(folder.parent) as own:
        status, _, body = own.request(f"/s/{number_of(own)}/model.zip")
        assert status == 409
        assert "model.json is missing or damaged" in body.decode()


def test_a_link_in_the_place_of_a_model_is_not_followed(tmp_path):
    folder = unpack("pictures", tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    (folder / "model" / "README.md").unlink()
    os.symlink(secret, folder / "model" / "README.md")
    with serving(folder.parent) as own:
        assert b"of somebody else" not in own.request(f"/s/{number_of(own)}/model.zip")[2]


def test_a_study_without_a_model_says_so(tmp_path):
    folder = unpack("stopped", tmp_path)
    with serving(folder.parent) as own:
        status, _, body = own.request(f"/s/{number_of(own)}/model.zip")
        assert status == 409
        assert "no model yet" in body.decode()
        assert own.request(f"/api/s/{number_of(own)}/lesson")[0] == 404


def test_the_lesson_says_what_the_result_says():
    result, _ = made("two_classes")
    plain = replace(result, findings=())
    assert verdict_of(plain).said[0] == SOUND
    for code, words in FITS.items():
        found = replace(result, findings=(Finding(code, "title", "warning", {}),))
        assert verdict_of(found).said[0] == words
    assert verdict_of(plain).knobs["epochs"] == result.winner.recipe["epochs"]
    assert verdict_of(plain).next[-1].startswith("Try it")


def test_the_class_that_is_recognised_worst_is_named_with_its_counts():
    result, _ = made("two_classes")
    worst = min(result.answers.per_class, key=lambda each: each.value)
    said = " ".join(verdict_of(result).said)
    assert f"{worst.name} is recognised worst, {worst.right} of {worst.n} times" in said


def test_a_class_with_too_few_pictures_is_named():
    result, _ = made("two_classes")
    first, second = result.classes
    facts = replace(result.data_facts, counts={"train": {first: 4, second: 60}, "test": {first: 2, second: 20}})
    said = verdict_of(replace(result, data_facts=facts)).next[0]
    assert said == f"Too few pictures of {first} (6); another class has 80."
