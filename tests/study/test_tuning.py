"""What is fine-tuned with the time that is left, and what of the clock is kept for it."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest

import tame
from made_texts import made_encoder
from plans import plain_plan
from tame.adjust.portfolio import encoder_tuning
from tame.adjust.searcher import SearchConfig
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import FINE_TUNED
from tame.core.space import Float, Space
from tame.data.split import Sealed, Split
from tame.kinds.kind import Data, Tuning
from tame.study.draft import TuningPlan, draft
from tame.study.plan import TUNE_EPOCHS
from tame.study.tuning import _begun, varied

SPACE = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True)})
COSTS = {3: 1.5, 2: 1.25, 1: 1.0}  # of an epoch, by the number of blocks


def tuning():
    def recipes(data, head, sizes, *, epochs, seed):
        return [
            (encoder_tuning(head, blocks=blocks, length=64, epochs=epochs, seed=seed), cost)
            for blocks, cost in COSTS.items()
        ]

    return Tuning(recipes, part="block", of="the encoder")


def begun(*, left_s, clock_s=100.0, epoch_s=1.0, to_the_end=False, stop_asked=False, sealed=0, folds=1):
    """What would begin where an epoch of the cheapest recipe takes so long, and so many seconds are left."""
    asked = []

    def rehearse(recipe, *, folds):
        asked.append(recipe.model.unfrozen)
        return SimpleNamespace(epoch_s=epoch_s * COSTS[recipe.model.unfrozen])

    study = SimpleNamespace(
        config=SimpleNamespace(clock_s=clock_s, limit={}), left_s=left_s, state=SimpleNamespace(stop_asked=stop_asked),
        worker=SimpleNamespace(rehearse=rehearse),
    )  # fmt: skip
    plan = plain_plan(
        SearchConfig(base=Recipe()), SPACE, None, epoch_s=epoch_s, end_s=5.0, tunes=True, to_the_end=to_the_end
    )
    data = SimpleNamespace(
        num_runs=folds + 1, split=SimpleNamespace(folds=folds), sealed=SimpleNamespace(rows=range(sealed)),
        rows=range(1000),
    )  # fmt: skip
    best = SimpleNamespace(trials=[SimpleNamespace(recipe=Recipe(), is_finalist=False)], from_trial=4)
    return _begun(study, data, plan, best, tuning()), asked


@pytest.mark.parametrize(
    ("left_s", "blocks", "epochs"),
    [
        (200.0, 3, 8),  # more add little
        (24.0, 3, 6),
        (22.0, 2, 6),
        (18.0, 1, 6),
        (11.0, 1, 2),
    ],
)
def test_as_many_blocks_are_trained_as_there_is_time_for_enough_epochs(left_s, blocks, epochs):
    found, asked = begun(left_s=left_s)
    assert (found.recipe.model.unfrozen, found.recipe.epochs) == (blocks, epochs)
    assert "trial 4" in found.why
    assert asked[-1] == blocks
    # One network is trained on all examples only where it is delivered, and what is judged again takes time as well.
    assert found.later_s >= COSTS[blocks] * epochs


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"left_s": 8.0}, "no time for 2 epochs of fine-tuning: 3 s were left for it"),
        ({"left_s": 60.0, "clock_s": None}, "without --time"),
        ({"left_s": 60.0, "to_the_end": True}, "would take most of the time"),
        ({"left_s": 60.0, "stop_asked": True}, "you stopped the search"),
    ],
)
def test_where_nothing_is_fine_tuned_it_is_said_why(changes, why):
    found, _ = begun(**changes)
    assert found.recipe is None
    assert why in found.why


@pytest.mark.parametrize("rate", [5e-4, 2e-4])
def test_half_the_rate_is_half_of_that_of_the_first_training(rate):
    first = Recipe().but({"model.unfrozen": 2, "optimizer.lr": rate})
    (halved,) = [changes["optimizer.lr"] for changes, why in varied(first) if why == "half the rate"]
    assert halved == rate / 2


def test_what_judging_the_test_part_again_takes_is_left():
    few, many = (begun(left_s=18.0, sealed=rows)[0] for rows in (0, 4000))
    assert many.recipe.epochs < few.recipe.epochs


def test_the_clock_keeps_what_fine_tuning_needs_before_its_end():
    split = Split(("train", "val", "test"), (-1, 0, -1), 1, "")
    data = Data(
        "table", "binary", "accuracy", ("a", "b"), ("0", "1", "2"), np.array([0, 1, -1]), split, Sealed((2,), (0,))
    )
    config = StudyConfig(data="x.csv", target="y", time_s=100.0)
    plain, kept, short = (
        draft(config, data, None, used_s=0.0, tuning=each)
        for each in (None, TuningPlan(0.5, 30.0), TuningPlan(9.0, 0.0))
    )
    assert kept.end_s == plain.end_s + 30
    assert kept.search_until_s == plain.search_until_s - 30
    assert (kept.tunes, kept.to_the_end, kept.tuning_s, kept.epoch_s) == (True, False, 30.0, 0.5)
    assert (short.tunes, short.to_the_end, short.end_s) == (True, True, plain.end_s)
    assert not plain.tunes


@pytest.mark.slow
def test_a_study_of_texts_fine_tunes_their_encoder_or_says_why_not(tmp_path):
    pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
    chance = random.Random(0)
    words = ("the", "rent", "is", "due", "cat", "sat", "on", "mat")
    with open(tmp_path / "t.csv", "w", encoding="utf-8") as file:
        file.write("note,label\n")
        for i in range(120):
            own = [chance.choice(words) for _ in range(7)]
            own.insert(chance.randrange(7), ("good", "bad")[i % 2])
            file.write(f"{' '.join(own)} {i},{i % 2}\n")
    folder = made_encoder(tmp_path / "e")
    tame.fit(tmp_path / "t.csv", target="label", time_s=30, backbone=str(folder), quiet=True, out=tmp_path / "s")
    result = json.loads((tmp_path / "s" / "report.json").read_text(encoding="utf-8"))
    told = result["fine_tuning"]
    assert told["why"]
    if told.get("trial") is not None:
        assert result["fine_tuning"]["difference"]["n"] == 96, "of all examples that are not sealed"
    tuned = [t for t in tame.show(tmp_path / "s")["trials"] if t["origin"] == FINE_TUNED]
    if tuned and tuned[0]["recipe"]["epochs"] == TUNE_EPOCHS[1]:
        every = varied(Recipe.from_flat(tuned[0]["recipe"]))
        others = [
            {name: t["recipe"][name] for name in changes} for t, (changes, _) in zip(tuned[1:], every, strict=False)
        ]
        assert others, "there is time for more than one"
        assert others == [dict(changes) for changes, _ in every[: len(others)]]
    html = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "Fine-tuning" in html
