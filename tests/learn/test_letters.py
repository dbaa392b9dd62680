"""The tiny language model: what it gains and forgets is measured on letters that it was not trained on."""

from __future__ import annotations

import math

import pytest
import torch

from made_ground import made_tutor
from tame.core.errors import UsageError
from tame.learn.answers import answer
from tame.learn.letters import Letters, contracts


@pytest.fixture(scope="module")
def letters():
    own = Letters(steps=40)
    own.finish()
    return own


def test_contracts_are_drawn_alike_from_a_seed():
    assert contracts() == contracts()
    assert contracts() != contracts(seed=1)
    assert "shall" in contracts()


def test_nothing_that_is_judged_is_trained_on(letters):
    for text in (letters.everyday, letters.contracts):
        trained = {tuple(own) for own in text.train.tolist()}
        assert len(text.held) > 3
        assert sum(tuple(own) in trained for own in text.held.tolist()) == 0


def test_bits_are_those_of_each_letter_in_a_plain_loop(letters):
    model, blocks = letters.model, letters.contracts.held[:2]
    lost = 0.0
    for block in blocks:
        shares = torch.log_softmax(model(block[None, :-1])[0, 0].detach().double(), dim=1)
        lost -= sum(float(shares[place, block[place + 1]]) for place in range(len(block) - 1))
    own = Letters(steps=40)
    own.model, own.num_done = model, 40
    own.contracts = type(own.contracts)(own.contracts.train, blocks)
    assert own.bits(model).contracts == pytest.approx(lost / math.log(2) / (len(blocks) * (blocks.shape[1] - 1)), 1e-4)


def test_training_and_adapting_lower_the_bits_of_what_is_trained_on(letters):
    assert letters.before.bits.everyday < Letters(steps=40).bits(Letters().model).everyday
    whole = letters.adapt("all weights", factor=3.0, steps=30)
    thin = letters.adapt("adapters", factor=1.0, steps=30)
    assert whole.bits.contracts < letters.before.bits.contracts
    assert thin.bits.contracts < letters.before.bits.contracts
    assert thin.num_trained < 0.3 * whole.num_trained
    assert letters.bits(letters.model) == letters.before.bits, "the model itself stays as it is"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"way": "adapter"}, "did you mean 'adapters'"), ({"factor": 0.0}, "times the usual"),
        ({"factor": math.nan}, "times the usual"), ({"steps": 0}, "steps"), ({"steps": 10_000}, "steps"),
    ],
)  # fmt: skip
def test_an_adaptation_that_cannot_be_is_refused(letters, changes, words):
    asked = {"way": "adapters", "factor": 1.0, "steps": 5} | changes
    with pytest.raises(UsageError, match=words):
        letters.adapt(asked["way"], factor=asked["factor"], steps=asked["steps"])


def test_which_text_was_written_after_is_told_from_the_texts_alone(letters):
    tutor = made_tutor()
    tutor.letters = letters
    written = letters.adapt("all weights", factor=1.0, steps=60).written
    for place, pair in enumerate(answer(tutor, "pairs", {})["pairs"]):
        assert len(set(pair["texts"])) == 2
        found = [answer(tutor, "which", {"pair": place, "after": choice})["right"] for choice in (0, 1)]
        assert sorted(found) == [False, True]
        after = pair["texts"][found.index(True)]
        assert after == written[place]
    for bad in ({"pair": 99, "after": 0}, {"pair": 0, "after": 2}):
        with pytest.raises(UsageError):
            answer(tutor, "which", bad)
