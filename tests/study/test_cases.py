"""The doctor acts: remedies are tried beside their patient, compared with it over seeds, kept or stopped, and a kill
anywhere changes nothing."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

import tame
from command_line import tame_here
from measurers import TOGETHER
from tame.app.run import fit_study, resume_study
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Curve, Decision, Point, Trial, curve_event, decision_event, early_stop_event
from tame.evaluate.outcomes import outcomes
from tame.evaluate.score import judged_from, losses
from tame.monitor.prescriptions import is_treated
from tame.study.cases import SEEDS, SHARE, Lost, compared, lost_in, patients, stop_of, with_verdicts
from tame.study.doctor import with_outcomes
from tame.study.events import Outcome, Prescribed, Remedied, Tried, event_of
from tame.study.finalist import epochs_on_all
from tame.study.session import Study
from tame.study.state import Silent, State, read_state

SMALL = {"model.width": 32, "model.depth": 2, "model.norm": "none", "table.numbers": "plain", "model.dropout": 0.0}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Configs of studies on a table whose labels are mostly noise, so that a network learns its rows by heart."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    x = rng.normal(size=(240, 12)).round(3)
    labels = np.where(x[:, 0] + 2.0 * rng.normal(size=240) > 0, "yes", "no")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [[*(f"c{i}" for i in range(12)), "label"], *([*row, y] for row, y in zip(x, labels, strict=True))]
        )

    def config(folder, **more):
        about = {"trials": 36, "epochs": 14, "seed": 2, "search": "random", "set": SMALL, **more}
        return StudyConfig(data=str(path), target="label", out=str(folder), folds=2, **{"doctor": True, **about})

    patch = pytest.MonkeyPatch()
    patch.setenv("TAME_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setattr("tame.trial.choose.Rehearsals", lambda: TOGETHER)  # the same engine in every study
    yield config
    patch.undo()


@pytest.fixture(scope="module")
def treated(make, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "whole"
    result = fit_study(make(folder), Silent(), inline=True)
    return folder, result, read_state(folder)[1]


def paid(state):
    """The cases whose remedies and patients were trained with several seeds."""
    return [case for case in state.cases if case.prescribed.beside and not case.prescribed.tried[0].is_free]


def on_one(state):
    """The cases whose remedies were trained with the seed of their patient alone."""
    return [case for case in state.cases if not case.prescribed.beside and not case.prescribed.tried[0].is_free]


def test_cases_are_opened_and_every_one_is_judged(treated):
    _, result, state = treated
    assert state.cases
    assert paid(state), "there were epochs enough for a remedy that is trained"
    for case in state.cases:
        assert is_treated(case.prescribed.code)
        assert case.remedied is not None
        assert [each.trial for each in case.remedied.outcomes] == [each.trials[0] for each in case.prescribed.tried]
    assert len(result.cases) == len(state.cases)


def test_a_remedy_differs_from_the_patient_beside_it_in_one_field(treated):
    state = treated[2]
    for case in paid(state):
        trials, own = state.history.trials, case.prescribed
        assert len(own.beside) == SEEDS
        patient = trials[own.patient].recipe
        assert trials[own.beside[0]].recipe == patient
        for tried in own.tried:
            for ill, better in zip(own.beside, tried.trials, strict=True):
                before, after = trials[ill].recipe.flat(), trials[better].recipe.flat()
                assert {name for name in after if after[name] != before[name]} == {tried.field}
                assert (before[tried.field], after[tried.field]) == (tried.before, tried.after)
        seeds = [trials[number].recipe.seed for number in own.beside]
        assert len(set(seeds)) == SEEDS
        assert all(trials[number].against == own.patient for number in own.trials)


def test_what_helped_is_complete_and_the_rest_is_stopped(treated):
    state = treated[2]
    trials = state.history.trials
    kept = {trial.number for trial in state.kept_remedies}
    assert kept
    for case in (*paid(state), *on_one(state)):
        for number in case.prescribed.trials:
            assert trials[number].state == ("complete" if number in kept else "stopped")
    for case in state.cases:
        for each in case.remedied.outcomes:
            assert each.kept or each.verdict != "helped"
            assert not each.kept or each.difference.value < 0
        own = [each for each in case.remedied.outcomes if each.kept and each.verdict != "helped"]
        assert len(own) <= (case in on_one(state)), "only of one seed, and the best of them"


def test_a_search_too_short_for_three_seeds_tries_remedies_on_the_seed_of_the_patient(make, tmp_path):
    fit_study(make(tmp_path / "study", trials=8, epochs=20, set={**SMALL, "optimizer.lr": 3e-3}), Silent(), inline=True)
    state = read_state(tmp_path / "study")[1]
    trials = state.history.trials
    assert on_one(state)
    assert not paid(state)
    for case in on_one(state):
        own, patient = case.prescribed, trials[case.prescribed.patient]
        again = own.epochs - patient.recipe.epochs * len(own.tried)
        assert again in (0, patient.recipe.epochs), "the patient, if its weights were gone"
        for tried, outcome in zip(own.tried, case.remedied.outcomes, strict=True):
            (number,) = tried.trials
            assert trials[number].recipe == patient.recipe.but({tried.field: tried.after})
            assert trials[number].against == patient.number
            assert outcome.difference.how == "paired over the same examples, one seed of each"
    spent = sum(case.prescribed.epochs for case in state.cases)
    assert spent <= SHARE * (spent + sum(trial.trained for trial in trials.values() if trial.is_searched))
    page = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert f"with the seed of trial {on_one(state)[0].prescribed.patient}" in page


def test_remedies_take_a_fifth_of_the_epochs_at_most(treated):
    trials = treated[2].history.trials.values()
    spent = sum(trial.trained for trial in trials if trial.is_remedy)
    assert 0 < spent <= SHARE * (spent + sum(trial.trained for trial in trials if trial.is_searched))


def test_remedies_stay_out_of_what_mattered_and_of_the_worth_of_the_rest(treated):
    _, result, state = treated
    remedies = {number for number, trial in state.history.trials.items() if trial.is_remedy}
    assert remedies
    assert not remedies & {each.number for each in outcomes(state.history, result.space)}
    assert state.worth.recipes == sum(trial.is_searched for trial in state.history.trials.values())
    assert result.trials == state.worth.recipes


def test_the_finding_tells_what_came_of_it_and_the_page_shows_it(treated):
    folder, result, state = treated
    told = [finding for finding in with_outcomes(state) if "weight decay" in finding.outcome]
    assert told
    assert any(f"kept{end}" in f"{told[0].outcome}; " for end in (" as a candidate; ", "; "))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What the doctor tried" in page
    assert "case-0-patient" in page
    assert json.loads((folder / "report.json").read_text())["cases"]
    shown = tame_here("show", folder, cache=folder.parent)
    said = " ".join(shown.stdout.split())
    assert "Tried: weight decay" in said
    assert "runs of remedies" in said
    assert len(result.cases) == len(state.cases)


def told_of(state):
    """All that a study decided and measured, without seconds."""
    trials = {
        number: (t.recipe, t.origin, t.reason, t.state, t.curve, t.kept_epoch, t.against, t.last_reason)
        for number, t in state.history.trials.items()
    }
    return trials, state.cases, state.finalists, [finding.title for finding in state.findings]


class KilledError(BaseException):
    """What no code of a study catches."""


MOMENTS = {  # which writing of events the kill comes at, and whether before or after it is stored
    "before the first remedy": ("prescribed", 0, False),
    "after the first remedy": ("prescribed", 0, True),
    "before one that is trained": ("trained one", 0, False),
    "after one that is trained": ("trained one", 0, True),
    "before the verdict": ("remedied alone", 0, False),
    "after the verdict": ("remedied alone", 0, True),
}


def is_the_moment(kinds, events, wanted):
    if wanted == "trained one":
        return any(event.kind == "prescribed" and event.data["epochs"] for event in events)
    if wanted == "remedied alone":
        return "remedied" in kinds and "prescribed" not in kinds
    return wanted in kinds


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_study_that_was_killed_comes_to_the_same_cases(moment, treated, make, tmp_path, monkeypatch):
    wanted, _, after = MOMENTS[moment]
    write = Study._append
    done = []

    def kills(self, events):
        if not done and is_the_moment({event.kind for event in events}, events, wanted):
            done.append(moment)
            if after:
                write(self, events)
            raise KilledError
        return write(self, events)

    monkeypatch.setattr(Study, "_append", kills)
    with pytest.raises(KilledError):
        fit_study(make(tmp_path / "study"), Silent(), inline=True)
    assert done
    resume_study(tmp_path / "study", Silent(), inline=True)
    assert told_of(read_state(tmp_path / "study")[1]) == told_of(treated[2])


def test_killed_while_remedies_train_it_comes_to_the_same_cases(treated, make, tmp_path):
    first = paid(treated[2])[0].prescribed.trials

    class Kills(Silent):
        def point(self, trial, point):
            if trial == first[-1] and point.epoch == 5:
                raise KilledError

    with pytest.raises(KilledError):
        fit_study(make(tmp_path / "study"), Kills(), inline=True)
    resume_study(tmp_path / "study", Silent(), inline=True)
    (trials, cases, *rest), (wanted, own, *others) = map(told_of, (read_state(tmp_path / "study")[1], treated[2]))
    # Those that had ended are not trained again, so the others have less company, which their last digits may show.
    assert {number: (*each[:4], *each[5:]) for number, each in trials.items()} == {
        number: (*each[:4], *each[5:]) for number, each in wanted.items()
    }
    for number, each in trials.items():
        losses = [point.valid_loss for point in each[4].points]
        assert losses == pytest.approx([point.valid_loss for point in wanted[number][4].points], rel=1e-5)
    assert [case.prescribed for case in cases] == [case.prescribed for case in own]
    assert [[(e.verdict, e.kept) for e in case.remedied.outcomes] for case in cases] == [
        [(e.verdict, e.kept) for e in case.remedied.outcomes] for case in own
    ]
    assert rest == others


def test_without_the_doctor_a_study_only_watches(make, treated, tmp_path):
    result = fit_study(make(tmp_path / "study", doctor=False), Silent(), inline=True)
    state = read_state(tmp_path / "study")[1]
    assert (state.cases, result.cases) == ([], ())
    assert not any(trial.is_remedy for trial in state.history.trials.values())
    assert "doctor" not in result.command
    assert "--doctor" in treated[1].command
    searched = [t for t in state.history.trials.values() if t.is_searched]
    beside = [t for t in treated[2].history.trials.values() if t.is_searched]
    assert [(t.recipe, t.curve) for t in searched] == [(t.recipe, t.curve) for t in beside], "the search is the same"


def test_the_free_remedy_is_what_training_with_it_gives(make, tmp_path):
    """Early stopping changes nothing before it stops: the curve and the best epoch are those of a training with it."""
    fit_study(make(tmp_path / "doctor", trials=1, epochs=30), Silent(), inline=True)
    state = read_state(tmp_path / "doctor")[1]
    (case,) = state.cases
    lead = state.history.trials[case.prescribed.first]
    assert (case.prescribed.epochs, lead.trained) == (0, 0)
    patience = lead.recipe.regularize.early_stopping
    with_it = make(
        tmp_path / "early", trials=1, epochs=30, doctor=False, set={**SMALL, "regularize.early_stopping": patience}
    )
    fit_study(with_it, Silent(), inline=True)
    trained = {t.recipe: t for t in read_state(tmp_path / "early")[1].history.trials.values() if t.is_finalist}
    stopped = [
        t for t in state.history.trials.values() if t.reason.startswith(f"the recipe of trial {lead.number} again")
    ]
    assert len(stopped) == len(trained) == 3
    for copy in stopped:
        own = trained[copy.recipe]
        assert (copy.curve, copy.kept_epoch, copy.epochs) == (own.curve, own.kept_epoch, own.epochs)
        assert copy.kept_epoch < copy.epochs


@pytest.fixture(scope="module")
def untreated(make, tmp_path_factory):
    """A study whose finalists overfit while the search had nothing treated."""
    folder = tmp_path_factory.mktemp("studies") / "finals"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tame.study.cases.FROM", 2.0)  # of the epochs, which no trial reaches
        fit_study(make(folder, trials=2, epochs=24), Silent(), inline=True)
    return folder, read_state(folder)[1]


def test_finalists_that_overfit_are_stopped_in_time(untreated):
    folder, state = untreated
    assert state.cases
    trials = state.history.trials
    for case in state.cases:
        own, (outcome,) = case.prescribed, case.remedied.outcomes
        assert own.epochs == 0
        assert all(trials[number].is_finalist for number in own.beside)
        assert outcome.kept == (outcome.verdict == "helped")
        assert outcome.difference.how == "paired over the same examples and seeds"
        lead = trials[own.first]
        copies = [t for t in trials.values() if t.reason.startswith(f"the recipe of trial {lead.number} again")]
        assert [t.against for t in copies] == list(own.beside)
        for copy in copies:
            patient = trials[copy.against]
            assert copy.recipe == patient.recipe.but(
                {"regularize.early_stopping": lead.recipe.regularize.early_stopping}
            )
            assert copy.curve == patient.curve.upto(copy.epochs)
            assert (copy.kept_epoch, copy.epochs) == stop_of(patient, copy.recipe.regularize.early_stopping)
            assert copy.loss < patient.loss
    result = json.loads((folder / "report.json").read_text())
    kept = {case.prescribed.first for case in state.cases if case.remedied.outcomes[0].kept}
    dropped = {case.prescribed.first for case in state.cases} - kept
    assert {each["from_trial"] for each in result["finalists"]} & kept == kept
    assert not {each["from_trial"] for each in result["finalists"]} & dropped


@pytest.mark.sampled(1)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_the_finalists_it_comes_to_the_same_result(after, untreated, make, tmp_path, monkeypatch):
    write, done = Study._append, []

    def kills(self, events):
        if not done and any(event.kind == "prescribed" for event in events):
            done.append(True)
            if after:
                write(self, events)
            raise KilledError
        return write(self, events)

    monkeypatch.setattr(Study, "_append", kills)
    monkeypatch.setattr("tame.study.cases.FROM", 2.0)
    with pytest.raises(KilledError):
        fit_study(make(tmp_path / "study", trials=2, epochs=24), Silent(), inline=True)
    resume_study(tmp_path / "study", Silent(), inline=True)
    assert told_of(read_state(tmp_path / "study")[1]) == told_of(untreated[1])


def test_what_the_user_fixed_is_not_changed(make, tmp_path):
    fixed = {**SMALL, "regularize.early_stopping": 0}
    fit_study(make(tmp_path / "study", trials=2, epochs=20, set=fixed), Silent(), inline=True)
    assert read_state(tmp_path / "study")[1].cases == [], "and for others there are no epochs"


# The parts


def curve(*losses):
    return Curve(tuple(Point(i + 1, 1.0 / (i + 1), loss, 0.5) for i, loss in enumerate(losses)))


def trial(number, *losses, state="complete", epochs=None, origin="random", against=None):
    recipe = Recipe().but({"epochs": epochs or max(len(losses), 1)})
    return Trial(number, recipe, origin, "", state, recipe.epochs, curve(*losses), against=against)


@pytest.mark.parametrize(
    ("losses", "epochs", "patience", "found"),
    [
        ((3, 2, 1, 2, 2, 2), 6, 3, (3, 6)),
        ((3, 2, 1, 2, 2, 0.5), 6, 2, (3, 5)),  # it would have stopped before the better one
        ((3, 2, 1, 1, 1), 5, 2, (3, 5)),  # as low is not lower
        ((3, 2, 1, 2), 9, 3, None),  # it might still improve
        ((3, 2, 1, 2), 4, 3, (3, 4)),
        ((3, None, 1), 3, 1, None),
        ((), 3, 1, None),
    ],
)
def test_where_early_stopping_would_have_ended_a_trial(losses, epochs, patience, found):
    assert stop_of(trial(0, *losses, epochs=epochs), patience) == found


def events_of(*trials):
    for own in trials:
        kind = Decision("start", own.number, "", own.until, own.recipe, own.origin, own.against)
        yield decision_event(kind)
        yield curve_event(own.number, own.curve.points)
        if own.state != "running":
            yield decision_event(Decision({"complete": "complete", "paused": "pause"}[own.state], own.number, ""))


def state_of(*trials, events=()):
    state = State()
    for event in (*events_of(*trials), *events):
        state.after(event)
    return state


def test_patients_are_the_trials_whose_lowest_loss_is_lowest():
    overfitting = trial(0, 3, 1, 2, 4, 6)
    good, bad, short = trial(1, 3, 2, 2, 2, 2), trial(2, 9, 9, 9, 9, 9), trial(3, 0, 0, epochs=60, state="paused")
    running = trial(4, 3, 2.5, 2.5, 2.5, 2.5, 2.5, epochs=20, state="running")
    state = state_of(overfitting, good, bad, short, running)
    assert [t.number for t in patients(state, 3)] == [0, 1, 4]
    assert [t.number for t in patients(state, 9)] == [0, 1, 4, 2], "not one that has hardly begun"


def case_events(first, patient, *, kept):
    tried = Tried(field="model.dropout", before=0.0, after=0.3, trials=(first,))
    outcome = Outcome(trial=first, verdict="helped" if kept else "hurt", kept=kept)
    return [
        event_of(Prescribed(code="overfitting", patient=patient, beside=(patient,), tried=(tried,))),
        event_of(Remedied(trial=first, outcomes=(outcome,))),
    ]


@pytest.mark.parametrize("kept", [True, False])
def test_a_remedy_that_helped_takes_the_place_of_its_patient(kept):
    patient, remedy = trial(0, 5, 4, 3, 4, 5), trial(1, 5, 4, 2, 2, 2, origin="remedy", against=0)
    state = state_of(patient, remedy, events=case_events(1, 0, kept=kept))
    assert [t.number for t in patients(state, 3)] == ([1] if kept else [0])
    assert [t.number for t in state.kept_remedies] == ([1] if kept else [])


def test_a_remedy_takes_nothing_from_its_patient_and_a_free_one_its_curve():
    patient = trial(0, 3, 1, 2, 4, 6)
    starts = Decision("start", 1, "", 5, patient.recipe, "remedy", 0)
    copies = Decision("copy", 2, "", 4, patient.recipe, "remedy", 0)
    state = state_of(patient, events=[decision_event(starts), decision_event(copies), early_stop_event(2, 2)])
    begun, free = state.history.trials[1], state.history.trials[2]
    assert (begun.curve, begun.inherited, begun.parent, begun.against) == (Curve(), 0, None, 0)
    assert (free.curve, free.trained, free.parent, free.against) == (patient.curve.upto(4), 0, None, 0)
    assert (free.state, free.kept_epoch, free.loss) == ("complete", 2, 1)
    assert state.epochs == 5


def of_gain(gain, *, noise=0.1, seeds=3, states=("complete",) * 3, epochs=5):
    """A remedy whose losses are lower by `gain`, seed by seed."""
    rng = np.random.default_rng(0)
    pairs, lost = [], {}
    for i in range(seeds):
        ill = trial(i, *[1.0] * 5)
        better = trial(10 + i, *[1.0] * epochs, epochs=5, state=states[i])
        pairs.append((better, ill))
        base = rng.exponential(1, 80)
        lost |= {i: Lost(base, None), 10 + i: Lost(base - gain + rng.normal(0, noise, 80), None)}
    return compared(10, pairs, lambda own: lost[own.number])


def judged_at(*, sure):
    """What a network says of two classes: right of three in four examples, and as sure of itself of all."""
    truth, place = np.arange(200) % 2, np.arange(200)
    said = np.where(place % 8 < 6, truth, 1 - truth)
    logits = np.where(said[:, None] == np.arange(2), sure / 2, -sure / 2)
    return judged_from("binary", [str(i) for i in place], truth, logits)


def test_what_only_makes_a_network_less_sure_of_itself_is_no_remedy():
    """Delivered, both have a temperature; of two that mistake the same examples, neither is better."""
    unsure, sure = (lost_in(judged_at(sure=sure), seed=0).each for sure in (1.0, 9.0))
    raw = [losses("log_loss", judged_at(sure=sure)).mean() for sure in (1.0, 9.0)]
    assert raw[1] > 3 * raw[0]
    assert sure.mean() == pytest.approx(unsure.mean(), rel=0.02)


def test_the_loss_of_numbers_is_that_of_the_curves():
    own = np.linspace(0, 2, 30)
    judged = judged_from("regression", [str(i) for i in range(30)], own, own[:, None] + 0.5)
    assert lost_in(judged, seed=0).each == pytest.approx(np.full(30, 0.25 / own.var()))


def verdicts(*gains, one_seed, seeds):
    found = [of_gain(gain, noise=1.0, seeds=seeds) for gain in gains]
    return [(each.verdict, each.kept) for each in with_verdicts(found, one_seed=one_seed)]


def test_on_one_seed_the_best_of_those_that_lowered_the_loss_is_a_candidate():
    few = (0.1, 0.15, -0.1)
    nothing = "no real difference"
    assert verdicts(*few, one_seed=True, seeds=1) == [(nothing, False), (nothing, True), (nothing, False)]
    assert verdicts(*few, one_seed=False, seeds=3) == [(nothing, False)] * 3
    assert verdicts(-0.1, one_seed=True, seeds=1) == [(nothing, False)]
    assert verdicts(0.1, 2.0, one_seed=True, seeds=1) == [(nothing, False), ("helped", True)]


def test_what_is_trained_on_all_examples_stops_between_as_many_epochs_and_as_many_steps():
    def data(folds):
        return SimpleNamespace(split=SimpleNamespace(folds=folds))

    stopped = replace(trial(0, *[1.0] * 20), kept_epoch=10)
    assert epochs_on_all(data(2), stopped) == 8
    assert epochs_on_all(data(5), stopped) == 9
    assert epochs_on_all(data(1), stopped) == 10
    assert epochs_on_all(data(2), replace(stopped, kept_epoch=1)) == 1
    assert epochs_on_all(data(5), trial(0, *[1.0] * 20)) == 20


def test_a_lower_loss_beyond_chance_helped_and_a_higher_one_hurt():
    found, worse, same = with_verdicts([of_gain(0.2), of_gain(-0.2), of_gain(0.0)])
    assert (found.verdict, found.kept) == ("helped", True)
    assert (worse.verdict, worse.kept) == ("hurt", False)
    assert (same.verdict, same.kept) == ("no real difference", False)
    nearly = replace(of_gain(0.2), chance=0.03)
    assert with_verdicts([nearly])[0].kept
    assert not with_verdicts([nearly, nearly])[0].kept, "after it was raised for the other remedies"


@pytest.mark.parametrize(
    ("states", "epochs", "verdict"),
    [
        (("diverged",) * 3, 5, "diverged"),
        (("diverged", "complete", "complete"), 5, "diverged"),  # that one would be the candidate
        (("complete", "diverged", "diverged"), 5, "no real difference"),  # one seed shows nothing
        (("running", "complete", "complete"), 3, "not finished"),
        (("paused",) * 3, 3, "not finished"),
    ],
)
def test_a_remedy_that_diverged_or_was_cut_short_is_not_kept(states, epochs, verdict):
    found = of_gain(0.9, states=states, epochs=epochs)
    assert (found.verdict, found.kept, found.difference) == (verdict, False, None)


def test_one_seed_that_diverged_leaves_the_others_to_tell():
    assert of_gain(0.3, states=("complete", "diverged", "complete")).difference.value == pytest.approx(-0.3, abs=0.05)


# A wide module of the user's own on a few noisy rows


CLASSES, COLUMNS = 10, 64


def noisy_rows(rng, n, weights):
    """Rows whose class a linear rule tells, beside noise that is as large."""
    x = rng.normal(size=(n, COLUMNS))
    y = (x @ weights + 8 * rng.normal(size=(n, CLASSES))).argmax(axis=1)
    return x.astype(np.float32), y


def wide_module():
    return nn.Sequential(nn.Linear(COLUMNS, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES))


@pytest.mark.slow
def test_what_the_doctor_kept_is_delivered_and_better_than_guessing(tmp_path, monkeypatch):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(COLUMNS, CLASSES))
    x, y = noisy_rows(rng, 400, weights)
    study = tame.fit(
        (x, y), model=wide_module, trials=1, epochs=40, seed=0, doctor=True, out=str(tmp_path / "study"), quiet=True
    )
    patient, *_ = study.result["cases"]
    assert patient["code"] in ("overfitting", "overconfident")
    (remedy,) = patient["remedies"]
    assert (remedy["field"], remedy["kept"]) == ("regularize.early_stopping", True)
    stopped = study.result["winner"]["from_trial"] == remedy["trials"][0]
    assert stopped or study.result["temperature"]["value"] > 1, (
        "its probabilities are corrected in one way or the other"
    )
    losses = [each["valid_loss"] for each in study.curves().to_dict("records") if each["trial"] == 0]
    assert losses[-1] > 1.5 * min(losses), "without it, the last epoch would have been delivered"
    fresh, truth = noisy_rows(rng, 4000, weights)
    outputs = study.outputs(fresh)
    log_loss = float(-np.log(outputs[np.arange(len(truth)), truth]).mean())
    assert log_loss < math.log(CLASSES), f"guessing has {math.log(CLASSES):.2f}"
