"""What the doctor says of a rehearsal: each judge from plain numbers, causes before symptoms, no contradictions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tame.core.codes import CODES
from tame.core.probed import Batches, FirstLoss, NotRun, OneBatch, Probed, Reach, Steps, Units, Weights
from tame.core.recipe import Recipe
from tame.core.records import Finding
from tame.monitor.case import Facts
from tame.monitor.floor import floor_of
from tame.monitor.probes import CONTRADICTS, EXPLAINS, JUDGES, SILENCES, beside_set_up, judge, of_set_up
from tame.monitor.rules import RULES

CLASSES = Facts(
    task="multiclass", num_classes=5, num_valid=100, metric="accuracy", higher_is_better=True, dummy=0.2,
    dummy_error=0.04, guess_loss=math.log(5),
)  # fmt: skip
NUMBERS = replace(CLASSES, task="regression", num_classes=1, metric="rmse", higher_is_better=False)
LAYERS = tuple(Weights(name=f"{i}.weight", size=0.1, gradient=0.01, update=1e-4) for i in range(6))
STEPS = Steps(
    count=5,
    first=1.6,
    last=1.5,
    without=(),
    frozen=(),
    frozen_of=0,
    numbers=100,
    weights=LAYERS,
    spread=0.3,
    spread_before=0.2,
)
SOUND = Probed(
    batches=Batches(norms=("norm",), batch=32, last=12),
    first_loss=FirstLoss(loss=1.7, guess=math.log(5), outputs=0.3, inputs=1.0),
    units=(Units(name="1", count=32, dead=3),), steps=STEPS,
    reach=Reach(low=-2.0, high=2.0, is_floored=False, is_capped=False),
    one_batch=OneBatch(examples=8, constant=1.6, perfect=0.0, lowest=0.7, rates=(3e-3,), steps=30),
)  # fmt: skip


def with_steps(**changes):
    return replace(SOUND, steps=replace(STEPS, **changes))


def weights(*gradients, size=0.1, update=1e-4):
    named = enumerate(gradients)
    return tuple(Weights(name=f"{i}.weight", size=size, gradient=each, update=update) for i, each in named)


def within(low, high, of="", missed=0.0, *, floored=True, capped=True):
    reach = Reach(low=low, high=high, is_floored=floored, is_capped=capped, of=of, missed=missed)
    return replace(SOUND, reach=reach)


def first(loss, guess=math.log(5), inputs=1.0):
    return replace(SOUND, first_loss=FirstLoss(loss=loss, guess=guess, outputs=9.0, inputs=inputs))


def one_batch(lowest, constant=1.6, perfect=0.0):
    one = OneBatch(examples=8, constant=constant, perfect=perfect, lowest=lowest, rates=(3e-3, 3e-2), steps=30)
    return replace(SOUND, one_batch=one)


FAULTY = {
    "squashed_outputs": within(0.0, 1.0, "probabilities"),
    "large_first_loss": first(40.0),
    "cannot_overfit_batch": one_batch(1.59),
    "no_gradient": with_steps(without=("a.weight", "a.bias")),
    "frozen_parameters": with_steps(frozen=("a.weight",), frozen_of=60),
    "dead_units": replace(SOUND, units=(Units(name="1", count=32, dead=32),)),
    "constant_outputs": with_steps(spread=1e-9, spread_before=0.0),
    "vanishing_gradients": with_steps(weights=weights(1e-9, 1e-7, 1e-5, 1e-3, 1e-2, 1e-1)),
    "exploding_gradients": with_steps(weights=weights(1e5, 1e4, 1e3, 10, 1, 0.1)),
    "update_ratio": with_steps(weights=weights(*[0.01] * 6, update=1e-8)),
    "small_batch_norm": replace(SOUND, batches=Batches(norms=("norm",), batch=4, last=4)),
    "not_probed": replace(SOUND, reach=None, not_run=(NotRun("reach", "the 2 s for it were over"),)),
}


def codes(probed, facts=CLASSES, recipe=None):
    return [finding.code for finding in judge(probed, recipe or Recipe(), facts)]


def test_a_sound_network_is_left_alone():
    assert codes(SOUND) == []
    assert codes(SOUND, NUMBERS) == []
    assert codes(Probed()) == [], "what was not measured is not judged"


@pytest.mark.parametrize("name", JUDGES.names())
def test_every_judge_names_its_fault_alone(name):
    (found,) = judge(FAULTY[name], Recipe(), CLASSES)
    assert found.code == name
    assert CODES[name].family == "set-up"
    assert found.trial is None
    assert found.title
    assert found.evidence
    assert found.change
    assert found.confidence
    assert judge(FAULTY[name], Recipe(), CLASSES) == [found]
    assert Finding(**found.to_json()) == found, "it can be kept and read again"


def test_the_floor_is_named_and_depends_on_how_far_outputs_may_differ():
    (found,) = judge(within(0.0, 1.0, "probabilities"), Recipe(), CLASSES)
    assert found.evidence["floor"] == pytest.approx(math.log(1 + 4 / math.e), rel=1e-2)
    (found,) = judge(within(-1.0, 1.0), Recipe(), CLASSES)
    assert found.evidence["floor"] == pytest.approx(floor_of(5, 2.0), rel=1e-2)
    assert floor_of(3, 700.0) == pytest.approx(0.0, abs=1e-12)


def test_outputs_that_are_bounded_on_one_side_are_a_warning_and_log_probabilities_do_no_harm():
    (found,) = judge(within(0.0, 3.0, capped=False), Recipe(), CLASSES)
    assert (found.code, found.severity) == ("squashed_outputs", "warning")
    (found,) = judge(within(-3.0, 0.0, "log-probabilities", floored=False), Recipe(), CLASSES)
    assert (found.code, found.severity) == ("squashed_outputs", "info")
    assert codes(within(-1.0, 1.0), recipe=Recipe().but({"loss.name": "hinge"})) == []


def test_bounded_outputs_of_a_regression_matter_only_where_targets_lie_beyond():
    assert codes(within(0.0, 1.0, missed=0.6), NUMBERS) == ["squashed_outputs"]
    assert codes(within(0.0, 1.0, missed=0.0), NUMBERS) == []


@pytest.mark.parametrize(
    ("loss", "said"), [(1.9, []), (4.0, []), (6.0, ["large_first_loss"]), (None, ["large_first_loss"])]
)
def test_a_first_loss_is_compared_with_that_of_outputs_of_zero(loss, said):
    assert codes(first(loss)) == said


def test_a_large_first_loss_is_blamed_on_large_inputs_where_they_are_large():
    assert "inputs are large" in judge(first(40.0, inputs=300.0), Recipe(), CLASSES)[0].title
    assert "weights are too large" in judge(first(40.0), Recipe(), CLASSES)[0].title
    assert "weights are too large" in judge(first(40.0, inputs=None), Recipe(), CLASSES)[0].title


def test_examples_that_have_one_answer_are_not_to_be_learned_by_heart():
    assert codes(one_batch(1.6, constant=0.0)) == []
    assert codes(one_batch(None)) == ["cannot_overfit_batch"]


@pytest.mark.parametrize(
    ("update", "last", "said"),
    [(1e-6 * 0.1, 1.5, "warning"), (0.05 * 0.1, 1.5, None), (0.3 * 0.1, 1.5, "info"), (0.3 * 0.1, 2.5, "warning"),
     (2.0 * 0.1, 1.5, "warning"), (0.3 * 0.1, None, "warning")],
)  # fmt: skip
def test_steps_are_compared_with_the_size_of_the_weights(update, last, said):
    found = judge(with_steps(weights=weights(*[0.01] * 6, update=update), last=last), Recipe(), CLASSES)
    assert [each.severity for each in found] == ([said] if said else [])


def test_a_gradient_that_is_not_finite_explodes():
    found = judge(with_steps(weights=weights(None, 0.01, 0.01)), Recipe(), CLASSES)
    assert [each.code for each in found] == ["exploding_gradients"]


def test_a_last_batch_of_one_is_told_for_information():
    (found,) = judge(replace(SOUND, batches=Batches(norms=("n",), batch=32, last=1)), Recipe(), CLASSES)
    assert (found.code, found.severity) == ("small_batch_norm", "info")
    assert codes(replace(SOUND, batches=Batches(norms=(), batch=1, last=1))) == []


def test_a_cause_is_told_without_what_follows_from_it():
    dead = replace(
        with_steps(spread=0.0, spread_before=0.0, without=("0.weight",), weights=weights(0.0, 0.0, 0.01)),
        units=FAULTY["dead_units"].units, one_batch=one_batch(1.6).one_batch,
    )  # fmt: skip
    assert codes(dead) == ["dead_units"]
    info = replace(within(-3.0, 0.0, "log-probabilities", floored=False), one_batch=one_batch(1.6).one_batch)
    assert codes(info) == ["squashed_outputs", "cannot_overfit_batch"], "information explains nothing"


def test_silences_name_what_there_is_and_no_two_silence_each_other():
    assert set(SILENCES) | {other for own in SILENCES.values() for other in own} <= set(JUDGES.names())
    assert not [(a, b) for a, own in SILENCES.items() for b in own if a in SILENCES.get(b, ())]
    curves = {other for table in (EXPLAINS, CONTRADICTS) for own in table.values() for other in own}
    assert curves <= set(RULES.names())


# Beside findings about curves -----------------------------------------------------------------------------------------


def curve(code):
    return Finding(code, code, "warning", {"n": 3}, change="do", trial=4, confidence="high")


def test_a_curve_that_the_set_up_explains_names_it_and_another_cause_is_not_blamed():
    set_up = judge(FAULTY["squashed_outputs"], Recipe(), CLASSES)
    found = beside_set_up([curve("no_better_than_dummy"), curve("rate_too_low"), curve("overfitting")], set_up)
    assert [each.code for each in found] == ["no_better_than_dummy", "overfitting"]
    assert found[0].evidence == {"n": 3, "explained_by": "TAME201"}
    assert found[0].change.startswith("first see TAME201: ")
    assert found[1] == curve("overfitting")


def test_information_about_the_set_up_changes_nothing_about_curves():
    some = [curve("no_better_than_dummy"), curve("rate_too_low")]
    assert beside_set_up(some, judge(FAULTY["frozen_parameters"], Recipe(), CLASSES)) == some
    assert beside_set_up(some, []) == some


def test_of_a_studys_findings_those_about_the_set_up_are_known():
    set_up = judge(FAULTY["dead_units"], Recipe(), CLASSES)
    assert of_set_up([curve("overfitting"), *set_up, replace(set_up[0], trial=3)]) == set_up
