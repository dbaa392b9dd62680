"""A language model from its texts to what it writes: fitted, scored over files, delivered, moved, exported."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tame
from tame.app.merged import export_merged
from tame.app.predict import open_model
from tame.app.writing import write
from tame.core.config import LANGUAGE, StudyConfig
from tame.core.errors import DataError, UsageError
from tame.data.split import Split, groups_of
from tame.data.text_copies import near_copies
from tame.kinds.known import kind_of
from tame.kinds.language.commands import Opened, Speed
from tame.kinds.language.plan import Lengths, lengths
from tame.kinds.language.reading import read_texts
from tame.kinds.language.source import _passages, _split
from tiny_language import text_of, tiny, write_model, write_texts

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A finished study of a tiny model."""
    folder = tmp_path_factory.mktemp("language")
    texts, model = write_texts(folder / "texts"), write_model(folder / "model", tiny())
    tame.fit(
        str(texts), task=LANGUAGE, backbone=str(model), trials=2, epochs=2, out=str(folder / "study"), quiet=True
    )  # fmt: skip
    return folder / "study"


@pytest.fixture(scope="module")
def told(fitted):
    return json.loads((fitted / "report.json").read_text())


def test_adapting_is_shown_to_help_over_files(told):
    before = told["baselines"]["dummy"]
    assert told["task"] == LANGUAGE
    assert told["metric"] == "bits_per_character"
    assert told["score"]["value"] < before["value"]
    assert before["difference"]["high"] < 0
    assert "files" in told["score"]["how"]
    assert told["perplexity"]["after"] < told["perplexity"]["before"]


def test_perplexity_and_bits_are_the_same_likelihood(told):
    bits, tokens, characters = told["score"]["value"], told["tokens"], told["characters"]
    assert told["perplexity"]["after"] == pytest.approx(2 ** (bits * characters / tokens), rel=1e-6)


def test_what_is_written_is_told_with_its_copies(told):
    assert told["other"]["characters"] > 0
    assert len(told["written"]) >= 1
    for each in told["written"]:
        assert 0 <= each["known"] <= 1
        assert each["copied"] <= len(each["after"].split()) + 1


def test_the_report_says_that_it_is_no_advice(fitted):
    page = (fitted / "report.html").read_text()
    assert "it is not advice" in page
    assert "What it writes" in page
    assert "it is not advice" in (fitted / "model" / "README.md").read_text() or "advice" in page


def test_a_moved_model_writes_the_same(fitted, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(fitted / "model", moved)
    here, there = ("".join(write(each, "the party", tokens=20, seed=4)) for each in (fitted, moved))
    assert here == there != ""
    assert here != "".join(write(fitted, "the party", tokens=20, seed=5))


def test_a_prompt_that_the_model_cannot_see_is_refused(fitted):
    with pytest.raises(UsageError, match="sees 64 at once"):
        "".join(write(fitted, "the party shall pay " * 5, tokens=20))
    with pytest.raises(UsageError, match="--tokens"):
        write(fitted, "the party", tokens=0)


@pytest.mark.parametrize(
    ("prompt", "more", "said"),
    [
        ("The \udcff shall", {}, "not valid UTF-8"), ("the party", {"seed": 10**30}, "the seed must be"),
        ("the party", {"seed": -1}, "the seed must be"), ("the party", {"temperature": 1e-310}, "the temperature"),
        ("the party", {"temperature": math.inf}, "the temperature"), ("the", {"temperature": math.nan}, "temperature"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_with_is_refused(fitted, prompt, more, said):
    with pytest.raises(UsageError, match=said):
        "".join(write(fitted, prompt, tokens=3, **more))


def test_what_is_exported_is_opened_by_transformers(fitted, tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    export_merged(fitted, tmp_path / "merged")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    asked = torch.tensor([tokenizer("the party")["input_ids"]])
    ours = open_model(fitted).module
    with torch.no_grad():
        assert torch.equal(theirs(asked).logits, ours(asked)[0])
    with pytest.raises(UsageError, match="holds something"):
        export_merged(fitted, tmp_path / "merged")


def test_near_copies_stay_on_one_side_of_the_split(tmp_path):
    root = write_texts(tmp_path / "texts", 12)
    own = read_texts(StudyConfig(data=str(root), task=LANGUAGE, backbone="x"))
    pairs = near_copies(own.texts)
    assert pairs == [(0, 1)]
    for seed in range(8):
        split = _split(own, groups_of(len(own.texts), pairs), seed=seed)
        assert split.part[0] == split.part[1]
        assert set(split.part) == {"train", "val", "test"}


def test_given_parts_are_honoured_and_copies_of_the_test_part_put_aside(tmp_path):
    root = write_texts(tmp_path / "texts", 10)
    for part, numbers in (("val", (3, 4)), ("test", (0, 5))):
        (root / part).mkdir()
        for number in numbers:
            (root / f"text {number:02}.txt").rename(root / part / f"text {number:02}.txt")
    own = read_texts(StudyConfig(data=str(root), task=LANGUAGE, backbone="x"))
    split = _split(own, groups_of(len(own.texts), near_copies(own.texts)), seed=0)
    parts = dict(zip(own.names, split.part, strict=True))
    assert parts["test/text 00.txt"] == "test"
    assert parts["val/text 03.txt"] == "val"
    assert parts["text 01.txt"] == "aside"


def test_passages_are_spread_over_files_and_are_whole_blocks():
    split = Split(("train", "val", "val", "test"), (-1, 0, 0, -1), 1, "")
    chosen = Lengths(block=10, slots=3, batch=1, epochs=1, judged={"val": 4, "test": 9})
    found = _passages(split, (100, 55, 5, 30), chosen, seed=0)
    assert len(set(found)) == len(found)
    assert [text for text, _ in found] == [1, 1, 1, 2, 3, 3, 3, 3]
    assert max(number for text, number in found if text == 3) == 3


def test_each_passage_of_a_file_is_judged_as_often_as_any_other():
    split = Split(("train", "val", "test"), (-1, 0, -1), 1, "")
    chosen = Lengths(block=10, slots=3, batch=1, epochs=1, judged={"val": 3, "test": 3})
    counts = np.zeros(20)
    for seed in range(400):
        for text, number in _passages(split, (100, 199, 199), chosen, seed=seed):
            counts[number] += text == 2
    assert counts.sum() == 1200
    assert 30 < counts.min() <= counts.max() < 95, "60 each, title pages and ends among them"


def test_a_slow_model_is_judged_less_often_and_trained_fewer_times():
    split = Split(("train",) * 6 + ("val", "test"), (-1,) * 6 + (0, -1), 1, "")
    opened = Opened(
        name="", digest="", device="cpu", parameters=1, context=512, tokens=(20_000,) * 8, characters=(80_000,) * 8,
        unknown=0.0,
    )  # fmt: skip
    config = StudyConfig(data="x", backbone="x", task=LANGUAGE, time_s=120.0)
    slow = lengths(config, opened, split, lambda block: Speed(200.0, 400.0))
    assert (slow.block, slow.batch, slow.judged["val"], slow.judged["test"]) == (128, 1, 4, 8)
    training_s, judging_s = slow.slots * slow.block / 200, slow.judged["val"] * slow.block / 400
    assert training_s >= 3 * judging_s
    assert slow.runs == 1, "as few as leave each about a hundred steps, and of one nothing is chosen"
    fast = lengths(config, opened, split, lambda block: Speed(9000.0, 20_000.0))
    assert (fast.block, fast.runs) == (256, 6)
    longer = lengths(replace(config, time_s=3600.0), opened, split, lambda block: Speed(200.0, 400.0))
    assert longer.runs > slow.runs or longer.batch > slow.batch


def test_without_a_clock_nothing_is_measured(tmp_path):
    root = write_texts(tmp_path / "texts", 6)
    config = StudyConfig(data=str(root), task=LANGUAGE, backbone="x", trials=2)

    class Model:
        context, tokens = 64, (1000,) * 6

    def measure(length):
        raise AssertionError("a study without a clock repeats on every machine")

    found = lengths(config, Model, Split(("train",) * 4 + ("val", "test"), (-1,) * 6, 1, ""), measure)
    assert (found.block, found.slots) == (64, 63)


def test_files_that_are_not_texts_are_named_with_their_mend(tmp_path):
    root = write_texts(tmp_path / "texts", 6)
    (root / "a.docx").write_bytes(b"PK\x03\x04")
    (root / "b.txt").write_bytes(b"%PDF-1.7 and so on")
    own = read_texts(StudyConfig(data=str(root), task=LANGUAGE, backbone="x"))
    assert [each.id for each in own.skipped] == ["b.txt"]
    assert "pdftotext" in own.skipped[0].reason
    assert any("a.docx" in note and "pandoc" in note for note in own.notes)


def written_table(folder, columns):
    """A table of texts. columns: beside the number of each row."""
    rows = [["number", *"abc"[:columns]]]
    rows += [[str(number), *(text_of(number + 30 * place) for place in range(columns))] for number in range(30)]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*rows, ["30", *[""] * columns]])
    return StudyConfig(data=str(folder / "table.csv"), task=LANGUAGE, backbone="x")


def test_each_row_of_a_column_of_texts_is_a_text(tmp_path):
    config = written_table(tmp_path, columns=1)
    assert kind_of(config).name == "language-model"
    own = read_texts(config)
    assert own.texts == [text_of(number) for number in range(30)]
    assert (own.names[0], own.parts[0]) == ("table.csv:2", "")
    assert any("1 row without a text is not used" in note for note in own.notes)


def test_of_several_columns_of_texts_one_must_be_named(tmp_path):
    config = written_table(tmp_path, columns=2)
    with pytest.raises(UsageError, match="'a' and 'b' hold texts; give one of them with --text"):
        read_texts(config)
    assert read_texts(replace(config, text="b")).texts[0] == text_of(30)
    with pytest.raises(DataError, match="no column named 'bb'; did you mean 'b'"):
        kind_of(config).look_at(replace(config, text="bb"))


def test_a_table_without_texts_is_refused(tmp_path):
    config = written_table(tmp_path, columns=0)
    with pytest.raises(DataError, match=r"has no column of texts: 'number'.*give it with --text"):
        read_texts(config)


def test_one_text_cannot_be_split_and_what_helps_is_said(tmp_path):
    (tmp_path / "book.txt").write_text(text_of(0))
    with pytest.raises(DataError, match=r"holds 1 text that can be read.*write the chapters of a long one into files"):
        read_texts(StudyConfig(data=str(tmp_path), task=LANGUAGE, backbone="x"))


def test_one_text_in_a_file_is_no_table(tmp_path):
    (tmp_path / "book.txt").write_text(text_of(0))
    with pytest.raises(DataError, match=r"book.txt is one text.*give a folder of texts; write the chapters"):
        read_texts(StudyConfig(data=str(tmp_path / "book.txt"), task=LANGUAGE, backbone="x"))


@pytest.mark.parametrize(("train", "val", "test"), [("Train", "validation", "TEST"), ("training", "valid", "testing")])
def test_folders_of_parts_are_known_by_their_usual_names(tmp_path, train, val, test):
    for number, name in enumerate((train, val, test)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{number}.txt").write_text(text_of(number))
    config = StudyConfig(data=str(tmp_path), task=LANGUAGE, backbone="x")
    own = read_texts(config)
    assert dict(zip(own.names, own.parts, strict=True)) == {
        f"{train}/0.txt": "train", f"{val}/1.txt": "val", f"{test}/2.txt": "test",
    }  # fmt: skip
    asked = read_texts(replace(config, test=train))
    assert dict(zip(asked.names, asked.parts, strict=True))[f"{train}/0.txt"] == "test"
    assert dict(zip(asked.names, asked.parts, strict=True))[f"{test}/2.txt"] == ""


def test_a_folder_has_no_column(tmp_path):
    with pytest.raises(UsageError, match="is a folder, of which each file is a text"):
        kind_of(StudyConfig(data=str(tmp_path), task=LANGUAGE, backbone="x", text="a"))


def test_passages_weigh_by_their_characters(told):
    values = np.array([told["score"]["low"], told["score"]["value"], told["score"]["high"]])
    assert (np.diff(values) >= 0).all()
