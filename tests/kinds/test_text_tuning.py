"""Fine-tuning of an encoder of texts: it begins where the frozen one is, and what is delivered is what was trained."""

from __future__ import annotations

import csv
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from made_texts import made_encoder
from tame.adjust.portfolio import encoder_tuning
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.data.sources import only_own_texts, take_rows
from tame.data.table_kinds import type_table
from tame.data.table_reading import read_raw
from tame.data.tables import MISSING
from tame.kinds.tables.kind import tuned
from tame.kinds.tables.material import ONE_BY_ONE, TableMaterial
from tame.kinds.tables.prediction import empty_network, judge_rows
from tame.kinds.tables.text_features import FrozenTexts
from tame.kinds.tables.text_tuning import FlatTokens, LowerStates, TunedTexts
from tame.parts.encoders import adapted, features_of, open_encoder, tokens_of
from tame.parts.network import read_network, write_network
from tame.trial.population import Examples, Member
from tame.trial.serial import Serial

CPU = torch.device("cpu")
NUM = 48
WORDS = ("the", "rent", "is", "due", "cat", "sat", "on", "mat", "good", "bad")
pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")


def write(path, num=NUM):
    """Two columns of text of very different lengths, some of them missing, and a number."""
    chance = random.Random(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["title", "body", "size", "label"])
        for i in range(num):
            words = ("good", "bad")[i % 2]
            title = "" if i in (5, 6) else f"the {words} mat number {i} of it"
            body = "" if i in (6, 9) else f"{' '.join(chance.choices(WORDS, k=1 + i % 18))} {words} and {i}"
            out.writerow([title, body, i % 7, words])
    return path


@pytest.fixture
def table(tmp_path):
    return type_table(read_raw(write(tmp_path / "t.csv")), target="label", told={"title": "text", "body": "text"})


@pytest.fixture
def encoder(tmp_path):
    return open_encoder(str(made_encoder(tmp_path / "e")))


@pytest.fixture
def material(table, encoder):
    return TableMaterial(table, device=CPU, frozen=FrozenTexts(encoder, device=CPU))


def examples(folds=3):
    return Examples(torch.arange(NUM) % 2, torch.arange(NUM) // 2 % folds, 2)


def recipe_of(blocks=1, length=16, **changes):
    base = Recipe().but({"table.texts": "encoder", "table.scaling": "standard"})
    own = encoder_tuning(base, blocks=blocks, length=length, epochs=2, seed=0)
    return own.but({"optimizer.lr": 1e-2, **changes})


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("length", [8, 16])
def test_it_begins_with_what_the_frozen_encoder_gives(material, blocks, length):
    recipe = recipe_of(blocks, length)
    for rehearses in (False, True):
        task = material._tuned(recipe, range(NUM), examples(), 0, rehearses=rehearses)
        module = task.build(Member(0, 0, recipe)).eval()
        for rows in (torch.arange(NUM), torch.tensor([6]), torch.tensor([5, 9, 6])):
            with torch.no_grad():
                own = module(task.views(recipe, rows)[0])
            torch.testing.assert_close(own, module.head(task.rows[rows]), rtol=1e-4, atol=1e-5)


def test_frozen_blocks_give_the_same_kept_or_made_for_each_batch(encoder, table):
    texts, codes = table.texts["body"], torch.tensor([3, MISSING, 0, 17, 3])
    tokens = FlatTokens.of(encoder, texts, length=12, device=CPU)
    kept, made = (LowerStates(encoder, tokens, blocks=1, keeps=each) for each in (True, False))
    (states, here), (others, there) = kept.of(codes), made.of(codes)
    assert torch.equal(here, there)
    assert here.sum(dim=1).tolist()[1] == 0
    torch.testing.assert_close(states, others, rtol=1e-4, atol=1e-5)
    assert bool((states[~here] == 0).all())


def trained(material, recipe, fold=0):
    engine = Serial(material.task(recipe, range(NUM), examples(), [fold]))
    population = engine.advance(
        engine.start([Member(0, fold, recipe)]), until=recipe.epochs, watch=lambda _, measured: None
    )
    return engine, population


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_delivered_model_says_what_was_trained_with_the_encoder_that_was_trained(material, tmp_path, blocks):
    recipe = recipe_of(blocks, 12)
    engine, population = trained(material, recipe)
    said = engine.predict(population, torch.arange(NUM))[0]
    network = material.network(engine.task, engine.module(population, 0), recipe, 0, "binary", ("bad", "good"))
    write_network(network, tmp_path / "model")
    shutil.rmtree(tmp_path / "e")
    network = read_network(tmp_path / "model", empty_network)
    assert network.texts.digest != material._frozen.encoder.digest
    rows = [3, 5, 6, 9, 20, 47]
    for cached in (True, False):
        found = material.judge(network, rows, cached=cached)
        torch.testing.assert_close(found, said[rows], rtol=1e-3, atol=1e-4)
        seen = material.seen(network, rows, cached=cached)
        assert seen.shape == (len(rows), engine.task.rows.shape[1])
        assert not torch.allclose(seen, engine.task.rows[rows], atol=1e-3), "not the features of the frozen encoder"
    whole = judge_rows(network, material._table, device=CPU)
    torch.testing.assert_close(whole, said, rtol=1e-3, atol=1e-4)


def test_training_moves_the_last_blocks_and_the_head_alone(material):
    recipe = recipe_of(1)
    before = {name: value.clone() for name, value in material._frozen.encoder.module.state_dict().items()}
    engine, population = trained(material, recipe)
    module = engine.module(population, 0)
    assert isinstance(module, TunedTexts)
    now = adapted(material._frozen.encoder, module.upper.state_dict(), blocks=1).module.state_dict()
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], now[name])}
    assert moved == {"1"}
    for name, value in material._frozen.encoder.module.state_dict().items():
        assert torch.equal(value, before[name]), "the encoder that others still use is as it was"


def test_an_adapted_encoder_has_features_and_a_digest_of_its_own(encoder):
    last = {name: value + 0.1 for name, value in encoder.module.layers[1:].state_dict().items()}
    own = adapted(encoder, last, blocks=1)
    tokens = tokens_of(encoder, ["the good cat"], length=8).ids
    features = [features_of(each, tokens, device=CPU) for each in (encoder, own)]
    assert not np.allclose(*features, atol=1e-3)
    assert own.digest not in (
        encoder.digest,
        adapted(encoder, {**last, "0.norm.bias": last["0.norm.bias"] + 1}, blocks=1).digest,
    )
    assert own.digest == adapted(encoder, last, blocks=1).digest


def test_of_a_few_rows_only_their_texts_are_read(table):
    rows = np.array([6, 3, 9, 3])
    some = only_own_texts(take_rows(table, rows))
    for name in table.texts:
        texts = [None if code < 0 else some.texts[name][code] for code in some.values[name].tolist()]
        own = [None if code < 0 else table.texts[name][code] for code in table.values[name][rows].tolist()]
        assert texts == own
        assert len(some.texts[name]) <= 3


def test_members_are_trained_one_by_one_and_their_number_of_blocks_cannot_be_fixed(material):
    recipe = recipe_of()
    assert not material.stacks(recipe)
    assert material.reason == ONE_BY_ONE
    assert material.lanes(recipe, range(NUM), examples(), [0, 1]) == [[0], [1]]
    assert not material.small(recipe)
    with pytest.raises(UsageError, match="set by fine-tuning"):
        material.check(recipe, examples())
    assert material.tuning_bytes(recipe_of(2), 5) > material.tuning_bytes(recipe_of(1), 5) > 0


def test_recipes_train_the_last_blocks_the_costliest_first():
    data = SimpleNamespace(encoder_blocks=6, shares=None, lengths=(64,), task="regression")
    head = Recipe().but({"model.name": "words", "epochs": 1, "regularize.l2": 0.1})
    found = tuned(data, head, (), epochs=8, seed=3)
    assert [recipe.model.unfrozen for recipe, _ in found] == [3, 2, 1]
    assert [cost for _, cost in found] == sorted([cost for _, cost in found], reverse=True)
    assert found[-1][1] == 1
    for recipe, _ in found:
        assert (recipe.model.name, recipe.table.texts, recipe.input.length) == ("linear", "encoder", 64)
        assert (recipe.regularize.l2, recipe.epochs, recipe.seed) == (0.0, 8, 3)
        assert recipe.loss.label_smoothing == 0, "of numbers there is nothing to smooth"
    reading = Recipe().but({"model.name": "mlp", "table.texts": "encoder", "input.length": 128})
    assert tuned(data, reading, (), epochs=8, seed=3)[0][0].input.length == 128
    assert tuned(SimpleNamespace(encoder_blocks=0, shares=None), head, (), epochs=8, seed=3) == ()
    assert len(tuned(replace_blocks(data, 1), head, (), epochs=8, seed=3)) == 1


def replace_blocks(data, blocks):
    return SimpleNamespace(**{**vars(data), "encoder_blocks": blocks})
