"""The exercise without code: parts without copies across them, faults that are really made, bets that are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_ground import made_album, made_tutor
from tame.core.errors import UsageError
from tame.learn.answers import answer
from tame.learn.exercise import USUAL, Exercise, How
from tame.learn.of_augment import WAYS
from tame.learn.of_bees import FAULTS, NAMES, exercise_of


@pytest.fixture(scope="module")
def tutor():
    return made_tutor()


def test_the_parts_are_disjoint_and_divide_no_copies(tutor):
    own = exercise_of(tutor)
    rows = np.concatenate([own.train, own.valid, own.exam])
    assert sorted(rows.tolist()) == list(range(len(own.y)))
    assert own.pairs
    assert own.divided(own.fifths(own.groups)) == 0


def test_groups_are_the_right_way_to_split(tutor):
    assert answer(tutor, "split", {"by": "groups"})["right"]
    found = answer(tutor, "split", {"by": "pictures"})
    assert not found["right"]
    assert found["divided"]["groups"] == 0
    with pytest.raises(UsageError, match="did you mean 'groups'"):
        answer(tutor, "split", {"by": "group"})


def test_a_training_repeats_and_starts_at_the_loss_of_its_first_weights(tutor):
    own = exercise_of(tutor)
    few = How(USUAL.but({"epochs": 2}))
    again = Exercise(made_album(), None).trained(few)
    assert own.trained(few).points == again.points
    assert own.trained(few).first == pytest.approx(own.guessed, abs=0.2)
    assert own.trained(replace(few, raw=True)).first > 1.5 * own.guessed


def test_early_stopping_keeps_the_best_epoch(tutor):
    own = exercise_of(tutor)
    stopped = How(USUAL.but({"epochs": 12, "regularize.early_stopping": 2}))
    found = own.trained(stopped)
    losses = [point[2] for point in found.points]
    kept = -np.log(np.exp(own.judged(found.outputs.double().numpy(), own.valid).outputs)).min()
    assert np.isfinite(kept)
    assert min(losses) <= losses[-1]


def test_the_first_curve_is_named_as_the_doctor_does(tutor):
    assert len(answer(tutor, "first", {})["curve"]["points"]) == USUAL.epochs
    verdict = answer(tutor, "read", {"answer": "good"})["verdict"]
    assert answer(tutor, "read", {"answer": verdict})["right"]


def test_every_fault_is_told_without_its_name_and_found_by_it(tutor):
    names = []
    for place in range(len(FAULTS)):
        told = answer(tutor, "story", {"place": place})["told"]
        found = answer(tutor, "found", {"place": place, "answer": "matrix"})
        names.append(found["name"])
        assert NAMES[found["name"]] not in told
        assert answer(tutor, "found", {"place": place, "answer": found["name"]})["right"]
        assert found["right"] == (found["name"] == "matrix")
        assert found["check"]
        assert found["fixed"]
    assert sorted(names) == sorted(FAULTS)
    with pytest.raises(UsageError, match="5 faults"):
        answer(tutor, "story", {"place": 5})


def test_a_bet_is_right_by_the_interval(tutor):
    found = answer(tutor, "change", {"change": "plain descent", "bet": "worse"})
    assert found["low"] <= found["value"] <= found["high"]
    real = found["low"] > 0 or found["high"] < 0
    assert real == (found["outcome"] != "no real difference")
    assert found["right"] == (found["outcome"] == "worse")
    for bad in ({"change": "nothing", "bet": "worse"}, {"change": "plain descent", "bet": "great"}):
        with pytest.raises(UsageError):
            answer(tutor, "change", bad)


def test_the_doctor_changes_one_field_that_the_loop_knows(tutor):
    found = answer(tutor, "doctor", {"bet": "better"})
    if found["finding"] is not None:
        assert found["field"] in USUAL.flat()
        assert found["low"] <= found["value"] <= found["high"]


def test_only_turns_make_nines_of_sixes(tutor):
    found = {way: answer(tutor, "relabels", {"way": way}) for way in WAYS}
    assert [way for way in WAYS if found[way]["right"]] == ["turn"]
    assert set(answer(tutor, "augmented", {})["strips"]) == set(WAYS)
    with pytest.raises(UsageError, match="did you mean 'turn'"):
        answer(tutor, "relabels", {"way": "turns"})


@pytest.mark.parametrize("album", [
    replace(made_album(), classes=("one",), y=np.zeros(40, dtype=np.int64)), made_album(each=4, copies=0),
])  # fmt: skip
def test_too_few_classes_or_pictures_are_refused(album):
    with pytest.raises(UsageError, match="are needed"):
        Exercise(album, None)
