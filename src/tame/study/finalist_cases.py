"""The doctor looks at the finalists: where their fresh seeds overfit, the same trainings stopped in time join them.

Nothing is trained for a longer time than before: the curves of the finalists show at which epoch each seed would have
been stopped, and only the weights of that epoch are made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tame.core.records import FINALIST, REMEDY, Decision, Event, Finding, Trial, decision_event, early_stop_event
from tame.kinds.kind import Data
from tame.monitor.prescriptions import Changed, is_treated
from tame.report.case_words import came_of_it
from tame.study.case_rows import row_of
from tame.study.cases import changes_for, compared, lost_in, stop_of, with_verdicts
from tame.study.events import Outcome, Prescribed, Remedied, Tried, event_of
from tame.study.finalist import Finalist, together, validation
from tame.study.finalists import again, seeds_of
from tame.study.fitting import epochs_in
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.set_up import unexplained
from tame.study.state import Case

ROOMY = 2.0  # times the epochs that are made again, which are trained one by one


def with_stopped(study: Study, data: Data, plan: Plan, chosen: Sequence[Finalist]) -> list[Finalist]:
    """The finalists, and beside those that overfit the same ones stopped in time, if that lowers the loss."""
    found = list(chosen)
    for finalist in chosen if study.config.doctor else ():
        if _known(study, finalist) is None:
            study.keep(*_examine(study, data, plan, finalist))
        case = _known(study, finalist)
        if case is not None and case.remedied is not None and case.remedied.outcomes[0].kept:
            stopped = study.history.trials[case.prescribed.first]
            found.append(together(study, data, plan, stopped, seeds_of(study, stopped)))
    return found


def _known(study: Study, finalist: Finalist) -> Case | None:
    """The case of a finalist, from before a kill."""
    own = tuple(trial.number for trial in finalist.trials)
    return next((case for case in study.state.cases if case.prescribed.beside == own), None)


def _examine(study: Study, data: Data, plan: Plan, finalist: Finalist) -> list[Event]:
    """The events of a finalist that is stopped in time; none if it does not overfit, if the search has found a remedy
    for it, which is then a finalist itself, or if there is no time."""
    patient = study.history.trials[finalist.from_trial]
    found = _finding(study, data, plan, finalist, patient)
    if found is None or any(trial.against == patient.number for trial in study.state.kept_remedies):
        return []
    finding, change = found
    ends = [stop_of(trial, int(change.to)) for trial in finalist.trials]
    stops = [each for each in ends if each is not None and each[0] < each[1]]
    again_s = ROOMY * sum(best for best, _ in stops) * (1 + plan.share_of_all)
    if len(stops) < len(ends) or again_s > epochs_in(study.state, study.left_s - plan.end_s):
        return []
    return _stopped(study, data, plan, finalist, finding, change, stops)


def _finding(
    study: Study, data: Data, plan: Plan, finalist: Finalist, patient: Trial
) -> tuple[Finding, Changed] | None:  # fmt: skip
    """What most fresh seeds of a finalist show, if stopping in time helps against it."""
    fresh = [trial for trial in finalist.trials if trial.is_finalist and trial.state == "complete"]
    if len(fresh) < len(finalist.trials) or patient.parent is not None:
        return None
    shown: dict[str, list[Finding]] = {}
    for trial in fresh:
        for finding in unexplained(study, plan, trial):
            if is_treated(finding.code):
                shown.setdefault(finding.code, []).append(finding)
    for findings in shown.values():
        first = changes_for(study, data, finalist.trials[0], findings[0])[:1]
        if 2 * len(findings) > len(fresh) and first and first[0].is_free:
            return findings[0], first[0]
    return None


def _stopped(
    study: Study, data: Data, plan: Plan, finalist: Finalist, finding: Finding, change: Changed,
    stops: Sequence[tuple[int, int]],
) -> list[Event]:  # fmt: skip
    """The events that stop each seed of a finalist in time, and say what came of it."""
    number = max(study.history.trials) + 1
    patient = study.history.trials[finalist.from_trial]
    recipe = patient.recipe.but({change.field: change.to})
    lead = replace(patient, number=number, recipe=recipe, origin=REMEDY, against=patient.number)
    known = [(point.valid_loss, point.epoch) for point in patient.curve.points if point.valid_loss is not None]
    seeds = [
        replace(trial, number=number + 1 + i, recipe=trial.recipe.but({change.field: change.to}), kept_epoch=best)
        for i, (trial, (best, _)) in enumerate(zip(finalist.trials, stops, strict=True))
    ]
    before = patient.recipe.flat()[change.field]
    tried = Tried(field=change.field, before=before, after=change.to, trials=(number,), is_free=True)
    case = Prescribed(
        code=finding.code, seen=finding.title, epoch=finalist.trials[0].epochs, evidence=finding.evidence,
        patient=patient.number, beside=tuple(trial.number for trial in finalist.trials), tried=(tried,),
    )  # fmt: skip
    outcome = replace(_outcome(study, data, plan, finalist, seeds), trial=number)
    remedied = Remedied(trial=number, outcomes=(outcome,))
    for line in came_of_it(row_of(Case(case, remedied))):
        study.watcher.note(line)
    reason = f"the recipe of trial {patient.number}, stopped in time: its fresh seeds overfit"
    events = [
        decision_event(Decision("copy", number, reason, patient.epochs, recipe, REMEDY, patient.number)),
        early_stop_event(number, min(known)[1]),
    ]
    for trial, seed, (best, last) in zip(finalist.trials, seeds, stops, strict=True):
        copy = Decision("copy", seed.number, again(lead), last, seed.recipe, FINALIST, trial.number)
        events += [decision_event(copy), early_stop_event(seed.number, best)]
    return [*events, event_of(case), event_of(remedied)]


def _outcome(study: Study, data: Data, plan: Plan, finalist: Finalist, seeds: Sequence[Trial]) -> Outcome:
    """Whether the seeds that are stopped in time have a lower loss than those that are not, as delivered."""
    pairs, seed = list(zip(seeds, finalist.trials, strict=True)), study.config.seed
    lost = {t.number: lost_in(validation(study, data, plan, t), seed=seed) for pair in pairs for t in pair}
    (found,) = with_verdicts([compared(seeds[0].number, pairs, lambda trial: lost[trial.number])])
    return found
