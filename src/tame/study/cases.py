"""The doctor acts: what may help the best trials is tried beside them, compared with them, and kept if it helps.

A case is a finding about a trial, the patient, and remedies that each differ from it in one field. They train the same
epochs with the same seeds, folds and batches as the patient beside them; where their shapes allow it, all of them are
one population. Compared is what would be delivered, at a temperature: that alone makes overconfidence good again, and
what does no more than that is no remedy. Everything is decided from the events so far, so that a study that was killed
decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tame.adjust.searcher import searched
from tame.core.config import LANGUAGE, default_metric
from tame.core.errors import UsageError
from tame.core.recipe import Recipe, Value
from tame.core.records import LOST, REMEDY, Decision, Event, Finding, Trial, decision_event
from tame.core.rng import stream_seed
from tame.core.space import field_of, parse_dimension
from tame.evaluate.over_seeds import difference_over_seeds, holm
from tame.evaluate.score import REGRESSION, Judged, losses
from tame.evaluate.temperature import tempered
from tame.kinds.kind import Data
from tame.monitor.prescriptions import Changed, changes_against, is_alike
from tame.report.case_words import came_of_it, change_words, tries
from tame.study.case_rows import row_of
from tame.study.events import Outcome, Prescribed, Remedied, Tried, event_of
from tame.study.finalist import validation
from tame.study.finalists import best_trials
from tame.study.fitting import GOING, epochs_in
from tame.study.plan import Plan
from tame.study.reserve import FIELDS
from tame.study.session import Study
from tame.study.set_up import unexplained
from tame.study.space import space_of
from tame.study.state import Case, State

SHARE = 0.2  # of all epochs of the search, those of remedies among them, that remedies may train
SEEDS = 3  # of each remedy, and of the patient beside it
PATIENTS = 3  # trials that are treated while the search goes on
MOST_REMEDIES = 4  # of one case
FROM, LEAST_EPOCHS = 0.3, 5  # share and number of epochs from which on a trial is examined
CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Treated:
    """What the doctor did in a round. goes_on: whether it has more to do in the next one."""

    events: list[Event]
    goes_on: bool


def treat(study: Study, data: Data, plan: Plan, decisions: Sequence[Decision], *, left_s: float) -> Treated:
    """Judges the remedies that were trained; if there are none, prescribes some for the best trials.

    decisions: those of the search in this round, whose trials are numbered first; left_s: seconds that the search has
    left. Nothing is stored here, so that the caller can store everything at once.
    """
    if not study.config.doctor:
        return Treated([], False)
    events: list[Event] = []
    open_cases = [case for case in study.state.cases if case.remedied is None]
    for case in open_cases:
        events += _judge(study, data, plan, case)
    if not open_cases:
        events += _prescribe(study, data, plan, decisions, left_s=left_s)
    return Treated(events, bool(events))


# Whom, and against what


def patients(state: State, count: int) -> list[Trial]:
    """The trials that are treated: those with the lowest validation losses so far, wherever on their curves.

    A trial that a kept remedy has improved is not treated again: the remedy is in its place.
    """
    better = {each.against for each in state.kept_remedies}
    found = [
        trial
        for trial in (*searched(state.history), *state.kept_remedies)
        if trial.state in ("running", "paused", "complete")
        and trial.parent is None  # a copy has no recipe from which it could be trained again
        and trial.number not in better
        and trial.epochs >= max(LEAST_EPOCHS, FROM * trial.recipe.epochs)
        and math.isfinite(_lowest(trial))
    ]
    return sorted(found, key=lambda t: (_lowest(t), t.number))[:count]


def _lowest(trial: Trial) -> float:
    return min((p.valid_loss for p in trial.curve.points if p.valid_loss is not None), default=math.inf)


def _prescribe(study: Study, data: Data, plan: Plan, decisions: Sequence[Decision], *, left_s: float) -> list[Event]:
    """The events that start remedies, as many as there are epochs for.

    What costs no training, to stop in time, is left to the finalists, whose seeds show more than one.
    """
    goes_on = any(decision.kind in GOING for decision in decisions)
    number = max(study.history.trials, default=-1) + 1 + sum(each.recipe is not None for each in decisions)
    left, treated = _allowed(study, left_s), {(c.prescribed.patient, c.prescribed.code) for c in study.state.cases}
    events: list[Event] = []
    for patient in patients(study.state, PATIENTS if goes_on else FIELDS[0][0]):
        for finding in unexplained(study, plan, patient):
            if any(patient.number == known and is_alike(finding.code, code) for known, code in treated):
                continue
            changes = [each for each in changes_for(study, data, patient, finding) if not each.is_free]
            if not changes:
                continue
            found = _paid(study, patient, finding, changes, number, left=left)
            if found is None and not goes_on:
                found = _on_one_seed(study, plan, patient, finding, changes, number, left=left)
            if found is not None:
                case, own = found
                number, left = number + len(case.trials), left - case.epochs
                events += own
            break  # one finding of a trial at a time, the first one
    return events


def changes_for(study: Study, data: Data, patient: Trial, finding: Finding) -> list[Changed]:
    """What may be tried against a finding, the first to try first. What the user set stays, and in ranges that the user
    gave; those of TAME are a guess, unless they must not be widened."""
    space, own, recipe = space_of(study.state), study.config, patient.recipe
    num = round(len(data.rows) * (1 - 1 / data.split.folds)) if data.split.folds > 1 else len(data.split.rows("train"))
    asked = {field_of(parse_dimension(text)[0]) for text in own.space}
    return changes_against(
        recipe, finding, space, steps=recipe.steps(num), fixed=[name.removeprefix("recipe.") for name in own.set],
        free=[field for field in space.fields if field not in asked] if own.widen else [],
    )  # fmt: skip


def _allowed(study: Study, left_s: float) -> float:
    """The epochs that remedies may still train: a share of those of the search, within the time that is left."""
    spent = sum(case.prescribed.epochs for case in study.state.cases)
    allowed = SHARE / (1 - SHARE) * sum(trial.trained for trial in searched(study.history)) - spent
    if study.is_over:
        return 0.0
    return allowed if math.isinf(left_s) else min(allowed, epochs_in(study.state, left_s))


def stop_of(trial: Trial, patience: int) -> tuple[int, int] | None:
    """The best epoch of a trial, and the one after which early stopping would have ended it.

    None if it would still go on, or if a loss is not finite.
    """
    best, lowest = 0, math.inf
    for point in trial.curve.points:
        if point.valid_loss is None:
            return None
        if point.valid_loss < lowest:
            best, lowest = point.epoch, point.valid_loss
        elif point.epoch - best >= patience:
            return best, point.epoch
    return (best, trial.epochs) if best and trial.epochs >= trial.recipe.epochs else None


def _paid(
    study: Study, patient: Trial, finding: Finding, changes: Sequence[Changed], number: int, *, left: float
) -> tuple[Prescribed, list[Event]] | None:  # fmt: skip
    """The remedies that are trained, as many as fit into the epochs that are left; None if not even one does."""
    seeds = [patient.recipe.seed, *(stream_seed(study.config.seed, "remedy", i) % 2**31 for i in range(SEEDS - 1))]
    epochs = patient.recipe.epochs
    num = min(MOST_REMEDIES, int(left / epochs) // SEEDS - 1)
    good = [change for change in changes if num > 0 and _trains(study, patient.recipe, change)][:num]
    if not good:
        return None
    # The patient too is trained again: its weights may be gone, and beside its remedies it is judged as they are.
    beside = tuple(range(number, number + SEEDS))
    tried = tuple(
        _tried(patient, change, tuple(range(number + i * SEEDS, number + (i + 1) * SEEDS)))
        for i, change in enumerate(good, 1)
    )
    starts = _starts(patient, beside, None, seeds, reason=f"the recipe of trial {patient.number}, beside its remedies")
    for own, change in zip(tried, good, strict=True):
        reason = f"{_named(patient, change)} against {finding.code} of trial {patient.number}"
        starts += _starts(patient, own.trials, change, seeds, reason=reason)
    case = _case_of(patient, finding, tried, beside=beside, epochs=epochs * len(starts))
    study.watcher.note(tries(row_of(Case(case))))
    return case, [*map(decision_event, starts), event_of(case)]


def _on_one_seed(
    study: Study, plan: Plan, patient: Trial, finding: Finding, changes: Sequence[Changed], number: int, *, left: float,
) -> tuple[Prescribed, list[Event]] | None:  # fmt: skip
    """The remedies of a search that was too short to repeat its patients: trained once, with the patient's own seed,
    and compared with it. What helps is a candidate, which the finalists try on fresh seeds.

    None of a patient that was not trained to its end, and if not even one remedy fits into the epochs that are left.
    """
    again = 0 if patient in best_trials(study, plan, 1) else patient.best_epoch  # its weights were dropped
    num = min(MOST_REMEDIES, int((left - again) / patient.recipe.epochs))
    if patient.epochs < patient.recipe.epochs or num < 1:
        return None
    good = [change for change in changes if _trains(study, patient.recipe, change)][:num]
    if not good:
        return None
    tried = tuple(_tried(patient, change, (number + i,)) for i, change in enumerate(good))
    starts: list[Decision] = []
    for own, change in zip(tried, good, strict=True):
        reason = f"{_named(patient, change)} against {finding.code} of trial {patient.number}"
        starts += _starts(patient, own.trials, change, [patient.recipe.seed], reason=reason)
    case = _case_of(patient, finding, tried, beside=(), epochs=again + patient.recipe.epochs * len(starts))
    study.watcher.note(tries(row_of(Case(case))))
    return case, [*map(decision_event, starts), event_of(case)]


def _starts(
    patient: Trial, numbers: Sequence[int], change: Changed | None, seeds: Sequence[int], *, reason: str
) -> list[Decision]:  # fmt: skip
    """The starts of these trials but the patient: its recipe with each seed, and with a change if there is one."""
    changes: dict[str, Value] = {} if change is None else {change.field: change.to}
    return [
        Decision("start", number, reason, patient.recipe.epochs, patient.recipe.but({**changes, "seed": seed}), REMEDY,
                 patient.number)
        for number, seed in zip(numbers, seeds, strict=True)
    ]  # fmt: skip


def _named(patient: Trial, change: Changed) -> str:
    return change_words(change.field, patient.recipe.flat()[change.field], change.to)


def _trains(study: Study, recipe: Recipe, change: Changed) -> bool:
    """Whether a change can be trained, and does anything in this recipe."""
    try:
        study.worker.check([recipe.but({change.field: change.to})], given=[change.field])
    except UsageError:
        return False
    return True


def _case_of(
    patient: Trial, finding: Finding, tried: tuple[Tried, ...], *, beside: tuple[int, ...], epochs: int
) -> Prescribed:  # fmt: skip
    return Prescribed(
        code=finding.code, seen=finding.title, epoch=patient.epochs, evidence=finding.evidence,
        patient=patient.number, beside=beside, tried=tried, epochs=epochs,
    )  # fmt: skip


def _tried(patient: Trial, change: Changed, trials: tuple[int, ...]) -> Tried:
    before = patient.recipe.flat()[change.field]
    return Tried(field=change.field, before=before, after=change.to, trials=trials, is_free=change.is_free)


# What came of it


def _judge(study: Study, data: Data, plan: Plan, case: Case) -> list[Event]:
    """The events that keep what helped and stop the rest."""
    own, trials = case.prescribed, study.history.trials
    lost: dict[int, Lost] = {}

    def lost_of(trial: Trial) -> Lost:
        if trial.number not in lost:
            lost[trial.number] = lost_in(validation(study, data, plan, trial), seed=study.config.seed)
        return lost[trial.number]

    outcomes = []
    for tried in own.tried:
        pairs = [(trials[a], trials[b]) for a, b in zip(tried.trials, own.beside or (own.patient,), strict=True)]
        outcomes.append(compared(tried.trials[0], pairs, lost_of))
    outcomes = with_verdicts(outcomes, one_seed=not own.beside)
    remedied = Remedied(trial=own.first, outcomes=tuple(outcomes))
    for line in came_of_it(row_of(replace(case, remedied=remedied))):
        study.watcher.note(line)
    kept = {each.trial for each in outcomes if each.kept}
    ends = [_end(trials[number], own, is_kept=number in kept) for number in own.trials]
    return [*(decision_event(end) for end in ends if end is not None), event_of(remedied)]


@dataclass(frozen=True, slots=True)
class Lost:
    """The loss (n,) of each validation example, on the scale of the curves, and its group if it has one."""

    each: np.ndarray
    groups: np.ndarray | None


def lost_in(judged: Judged, *, seed: int) -> Lost:
    """The loss as it would be delivered: at the temperature that the examples of other folds give."""
    (fair,) = tempered([judged], seed=seed)[1]
    if fair.task == REGRESSION:
        return Lost(losses("rmse", fair) / max(float(fair.target.var()), 1e-300), fair.groups)
    own = default_metric(LANGUAGE) if fair.task == LANGUAGE else "log_loss"
    return Lost(losses(own, fair), fair.groups)


def compared(first: int, pairs: Sequence[tuple[Trial, Trial]], lost_of: Callable[[Trial], Lost]) -> Outcome:
    """A remedy beside its patient, seed by seed. first: the remedy's first trial; pairs: remedy and patient."""
    if any(t.state not in LOST and t.state != "complete" and t.epochs < t.until for pair in pairs for t in pair):
        return Outcome(trial=first, verdict="not finished")
    if pairs[0][0].state in LOST:  # the one that would be the candidate
        return Outcome(trial=first, verdict="diverged")
    sound = [pair for pair in pairs if all(trial.state not in LOST for trial in pair)]
    seeds = [(lost_of(remedy), lost_of(patient)) for remedy, patient in sound]
    if len(seeds) < min(2, len(pairs)) or len(seeds[0][0].each) < 2:
        return Outcome(trial=first, verdict="no real difference")
    apart = np.stack([remedy.each - patient.each for remedy, patient in seeds])
    found, chance = difference_over_seeds(apart, seeds[0][0].groups)
    return Outcome(trial=first, verdict="no real difference", difference=found, chance=chance)


def with_verdicts(outcomes: Sequence[Outcome], *, one_seed: bool = False) -> list[Outcome]:
    """The outcomes with what their p-values say, raised for all remedies of the case. A loss is better lower.

    one_seed: where so little shows nothing, the remedy with the lowest loss below that of the patient is kept all the
    same: a candidate like any trial of the search, which fresh seeds of the finalists judge.
    """
    chances = holm([1.0 if each.chance is None else float(each.chance) for each in outcomes])
    found = [_with_verdict(each, chance) for each, chance in zip(outcomes, chances, strict=True)]
    if one_seed and not any(each.kept for each in found):
        lower = [each for each in found if each.difference is not None and each.difference.value < 0]
        best = min(lower, key=_value, default=None)
        found = [replace(each, kept=each is best) for each in found]
    return found


def _value(outcome: Outcome) -> float:
    return math.inf if outcome.difference is None else float(outcome.difference.value)


def _with_verdict(outcome: Outcome, chance: float) -> Outcome:
    if outcome.difference is None:
        return outcome
    if chance >= CHANCE:
        return replace(outcome, chance=chance)
    helped = outcome.difference.value < 0
    return replace(outcome, verdict="helped" if helped else "hurt", kept=helped, chance=chance)


def _end(trial: Trial, case: Prescribed, *, is_kept: bool) -> Decision | None:
    """What becomes of a trial once its case is judged; None of one that is lost."""
    if trial.state in LOST:
        return None
    if is_kept:
        reason = f"it helped against {case.code} of trial {case.patient}: a candidate from here on"
        return Decision("complete", trial.number, reason, trial.epochs)
    return Decision("stop", trial.number, f"the remedies of trial {case.patient} are judged", trial.epochs)
