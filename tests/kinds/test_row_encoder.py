"""Columns of text are trained on: fitted on the training rows alone, the same through a file, delivered with all."""

from __future__ import annotations

import csv
import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import tame
from made_texts import made_encoder
from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError
from tame.core.recipe import Recipe
from tame.data.sources import concat, open_columns, take_rows, write_columns
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import MISSING
from tame.kinds.materials import read_model
from tame.kinds.tables.prediction import judge_rows
from tame.kinds.tables.row_encoder import RowEncoder
from tame.kinds.tables.rows import split_rows
from tame.kinds.tables.source import read_rows
from tame.kinds.tables.text_choice import Asked
from tame.kinds.tables.text_columns import CountedTexts
from tame.kinds.tables.text_features import FrozenTexts, no_encoder, texts_told
from tame.parts.encoders import open_encoder

GOOD = ["good and fine work", "really good stuff here", "fine and good value"]
BAD = ["bad and poor work", "really bad stuff here", "poor and bad value"]


def write(path, num=90, *, empty=(), extra=False):
    """A table of short texts whose words tell the label; texts differ by their number."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["review", *(["stars"] if extra else []), "label"])
        chance = random.Random(0)
        for i in range(num):
            more = " ".join(chance.choice("abcdefgh") * chance.randint(2, 5) for _ in range(5))
            text = "" if i in empty else f"{(GOOD if i % 2 else BAD)[i % 3]} {more} number {i}"
            out.writerow([text, *([i % 7] if extra else []), ("poor", "great")[i % 2]])
    return path


@pytest.fixture
def table(tmp_path):
    return type_table(read_raw(write(tmp_path / "t.csv", empty=(3, 8), extra=True)), target="label")


def recipe(**changes):
    return Recipe().but({"model.name": "mlp", **{name.replace("__", "."): value for name, value in changes.items()}})


def test_a_column_of_texts_is_trained_on_and_its_texts_are_kept_once(table):
    (column, stars) = table.columns
    assert (column.kind, stars.kind, column.missing) == ("text", "number", 2)
    assert (table.values["review"][[3, 8]] == MISSING).all()
    assert table.texts["review"][int(table.values["review"][1])].startswith("really good stuff here ")


def test_texts_are_the_same_through_a_file_of_columns_and_through_the_file_again(table, tmp_path):
    write_columns(tmp_path / "kept.npz", table)
    kept = open_columns(tmp_path / "kept.npz", table.columns)
    again, _ = apply_kinds(read_raw(tmp_path / "t.csv"), table.columns, same=True)
    for other in (kept, again):
        assert other.texts == table.texts
        assert np.array_equal(other.values["review"], table.values["review"])


def test_equal_texts_of_two_tables_have_one_code(table):
    first, second = take_rows(table, np.arange(10)), take_rows(table, np.arange(5, 90))
    second = replace(second, texts={"review": table.texts["review"][::-1]})
    flipped = len(table.texts["review"]) - 1 - second.values["review"]
    second.values["review"][:] = np.where(second.values["review"] == MISSING, MISSING, flipped)
    both = concat([first, second])
    texts = [None if code == MISSING else both.texts["review"][code] for code in both.values["review"].tolist()]
    assert texts[5:10] == texts[10:15]
    assert len(set(both.texts["review"])) == len(both.texts["review"])


@pytest.mark.parametrize("name", ["mlp", "words"])
def test_what_is_fitted_depends_on_the_training_rows_alone_and_survives_a_file(table, name):
    learnt, own = np.arange(60), recipe(model__name=name)
    encoder = RowEncoder.fit(table, learnt, own, counted=CountedTexts(table), featured=no_encoder)
    texts = list(table.texts["review"])
    for code in table.values["review"][60:].tolist():
        texts[code] = "another word altogether"
    other = replace(table, texts={"review": tuple(texts)})
    again = RowEncoder.fit(other, learnt, own, counted=CountedTexts(other), featured=no_encoder)
    restored = RowEncoder.restore(json.loads(json.dumps(encoder.to_json())), encoder.arrays())
    if name == "words":
        first = encoder.sparse(table, None, CountedTexts(table), learnt)
        for each in (again, restored):
            assert abs(first[:60] - each.sparse(table, np.arange(60))).max() < 1e-6
        assert first.shape[1] == encoder.texts[0].tfidf.num_terms + encoder.encoder.layout.width
    else:
        first = encoder.dense(table, None, no_encoder, CountedTexts(table), learnt)
        for each in (again, restored):
            np.testing.assert_allclose(each.dense(table, np.arange(60), no_encoder), first[:60], atol=2e-5)
        assert first.shape == (90, encoder.layout.width)
        assert np.isfinite(first).all()


def test_vectors_are_centred_and_missing_texts_are_marked(table):
    rows = np.arange(90)
    encoder = RowEncoder.fit(table, rows, recipe(), counted=CountedTexts(table), featured=no_encoder)
    (plan,) = encoder.texts
    x = encoder.dense(table, rows, no_encoder)[:, : plan.width]
    assert plan.mark
    assert x[:, -1].nonzero()[0].tolist() == [3, 8]
    assert (x[[3, 8], :-1] == 0).all()
    here = np.delete(x, [3, 8], axis=0)[:, :-1]
    np.testing.assert_allclose(here.mean(axis=0), 0, atol=1e-4)
    assert np.mean(np.square(here[:, :-1])) == pytest.approx(1, rel=1e-3)
    assert here[:, -1].std() == pytest.approx(1, rel=1e-3)


def test_features_of_an_encoder_are_made_once_for_each_text(table, tmp_path, monkeypatch):
    pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
    own = open_encoder(str(made_encoder(tmp_path / "e")))
    frozen = FrozenTexts(own, device=torch.device("cpu"), cache=tmp_path / "cache")
    num, (short, whole) = frozen.cost(table, 8, [10, 24])
    assert num == 88
    assert 0 < whole <= 3 * short
    first = frozen(table, "review", 128)
    assert first.shape == (88, 16)
    monkeypatch.setattr("tame.kinds.tables.text_features.features_of", None)
    again = FrozenTexts(own, device=torch.device("cpu"), cache=tmp_path / "cache")
    assert np.array_equal(again(table, "review", 24), first)
    assert again.cost(table, 8, [24]) == (0, [0.0])
    encoder = RowEncoder.fit(
        table, np.arange(90), recipe(table__texts="encoder"), counted=CountedTexts(table), featured=again
    )
    assert encoder.texts[0].width == 16 + 2


def test_features_that_come_too_late_are_given_up_and_those_that_are_there_kept(table, tmp_path):
    pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
    own = open_encoder(str(made_encoder(tmp_path / "e")))
    frozen = FrozenTexts(own, device=torch.device("cpu"), cache=tmp_path / "cache")
    late = texts_told(table, frozen, Asked((24, 10), make=True, limit_s=-1.0))
    assert late.lengths == ()
    assert texts_told(table, frozen, Asked((24, 10), make=True)).lengths == (24, 10)
    again = FrozenTexts(own, device=torch.device("cpu"), cache=tmp_path / "cache")
    assert texts_told(table, again, Asked((24,), make=True, limit_s=-1.0)).lengths == (24,), "from the cache"


def test_a_study_of_texts_tries_words_and_its_model_judges_anywhere(tmp_path):
    study = tame.fit(
        write(tmp_path / "t.csv", 160),
        target="label",
        trials=3,
        epochs=2,
        backbone="none",
        quiet=True,
        out=tmp_path / "s",
    )
    assert "words" in study.trials("arrow")["recipe.model.name"].to_pylist()
    assert study.score.value > 0.9
    quotes = study.result["quotes"]
    words = {each["label"]: [word["words"] for word in each["words"]] for each in quotes["by_class"]}
    assert set(words["great"]) & {"good", "fine", "really", "work", "stuff", "value", "here"}
    assert [each["id"] for each in quotes["quotes"]] == [each["id"] for each in study.result["mistakes"]]
    assert quotes["cut"] is None
    shutil.move(tmp_path / "s" / "model", tmp_path / "elsewhere")
    network = read_model(tmp_path / "elsewhere")
    write(tmp_path / "new.csv", 40)
    columns = tuple(type_table(read_raw(tmp_path / "t.csv"), target="label").columns)
    later, _ = apply_kinds(read_raw(tmp_path / "new.csv"), columns, beside=("label",))
    found = judge_rows(network, later, device=torch.device("cpu")).argmax(dim=1)
    right = [network.labels[int(k)] for k in found]
    assert np.mean([name == ("poor", "great")[i % 2] for i, name in enumerate(right)]) > 0.9


def test_a_clock_without_time_for_networks_gets_words_alone_and_measures_nothing_before(tmp_path, monkeypatch):
    monkeypatch.setattr("tame.study.plan.PLANNED", 1e6)
    table, asked = write(tmp_path / "t.csv", 160), {"target": "label", "backbone": "none", "quiet": True}
    study = tame.fit(table, time="5m", out=tmp_path / "s", **asked)
    trials = study.trials("arrow")
    assert set(trials["recipe.model.name"].to_pylist()) == {"words"}
    assert len([origin for origin in trials["origin"].to_pylist() if origin != "finalist"]) == 4
    assert study.score.value > 0.9
    assert read_model(tmp_path / "s" / "model").labels == ("great", "poor")


def test_how_many_texts_are_longer_than_what_is_read_is_said(tmp_path):
    path = write(tmp_path / "t.csv", 60)
    config = StudyConfig(data=str(path), target="label")
    assert not any("longer" in note for note in split_rows(read_rows(config).rows, config, kind="table").facts.notes)
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(f"{'word and more ' * times} {times},poor\n" for times in (1500, 1600))
    opened = split_rows(read_rows(config).rows, config, kind="table")
    said = "review: 2 of 62 texts are longer than the 20,000 characters that words are counted in"
    assert said in opened.facts.notes


@pytest.mark.slow
def test_a_study_with_an_encoder_delivers_it(tmp_path):
    pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
    folder = made_encoder(tmp_path / "e")
    write(tmp_path / "t.csv", 160)
    tame.fit(
        tmp_path / "t.csv", target="label", trials=2, epochs=2, backbone=str(folder), quiet=True, out=tmp_path / "s",
        set={"table.texts": "encoder", "model.name": "mlp", "input.length": 10}, ensemble=False,
    )  # fmt: skip
    shutil.rmtree(folder)
    shutil.move(tmp_path / "s" / "model", tmp_path / "elsewhere")
    network = read_model(tmp_path / "elsewhere")
    assert network.texts is not None
    quotes = json.loads((tmp_path / "s" / "report.json").read_text())["quotes"]
    cut, likest = quotes["cut"], [each["likest"] for each in quotes["quotes"]]
    assert (cut["read"], cut["unit"]) == (10, "tokens")
    assert 0 < cut["count"] <= cut["of"]
    assert 0 < cut["trained"] <= cut["of_trained"]
    assert all(-1 <= each["likeness"] <= 1.0001 and each["label"] in ("poor", "great") for each in likest)
    columns = tuple(type_table(read_raw(tmp_path / "t.csv"), target="label").columns)
    table, _ = apply_kinds(read_raw(tmp_path / "t.csv"), columns, beside=("label",))
    assert judge_rows(network, table, device=torch.device("cpu")).isfinite().all()


def test_a_column_can_be_said_to_be_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("kind,label\n" + "\n".join(f"{('red car', 'blue car')[i % 2]},{i % 2}" for i in range(60)))
    raw = read_raw(path)
    assert type_table(raw, target="label").columns[0].kind in ("category", "boolean")
    told = type_table(raw, target="label", told={"kind": "text"})
    assert told.columns[0].kind == "text"
    assert told.texts["kind"] == ("red car", "blue car")


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"backbone": "minilmm"}, "did you mean 'minilm'"),
        ({"backbone": "none", "set": {"input.length": 64}}, "only for texts that an encoder or a language model reads"),
        ({"backbone": "none", "set": {"table.texts": "encoder", "model.name": "mlp"}}, "needs an encoder of texts"),
        ({"backbone": "none", "set": {"model.name": "words", "loss.name": "focal"}}, "not focal"),
    ],
)
def test_settings_that_do_not_fit_texts_are_refused(tmp_path, settings, why):
    with pytest.raises(UsageError, match=why):
        tame.fit(
            write(tmp_path / "t.csv"), target="label", trials=1, epochs=1, quiet=True, out=tmp_path / "s", **settings
        )


def test_settings_of_texts_are_refused_for_a_table_without_any(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,label\n" + "\n".join(f"{i * 0.37:.3f},{i % 2}" for i in range(60)))
    for settings, why in (
        ({"backbone": "minilm"}, "leave out --backbone"),
        ({"set": {"model.name": "words"}}, "a column of text"),
    ):
        with pytest.raises(UsageError, match=why):
            tame.fit(path, target="label", trials=1, epochs=1, quiet=True, out=tmp_path / "s", **settings)


def test_a_table_of_identifiers_alone_is_still_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,label\n" + "\n".join(f"k{i * 7919 % 1000:04},{i % 2}" for i in range(60)))
    with pytest.raises(DataError, match="no column is left"):
        tame.fit(path, target="label", trials=1, epochs=1, quiet=True, out=tmp_path / "s")
