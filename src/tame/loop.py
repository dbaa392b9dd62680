"""The loop: test, adjust, monitor, evaluate. The stages meet here, by name and in this order."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tame.adjust.guard import Rest
from tame.adjust.last_stretch import finish, unfinished
from tame.adjust.searcher import searched
from tame.adjust.searchers import SEARCHERS, WHOLE
from tame.core.recipe import TableRecipe
from tame.core.records import Decision, Finding, Trial, TrialState, decision_event
from tame.core.result import Result
from tame.core.result_parts import Delivered
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.study.cases import treat
from tame.study.clock import foretold, in_time, require_room, require_time
from tame.study.delivery import deliver_again
from tame.study.doctor import act, of_space, why_worthless
from tame.study.draft import FIRST_SHARE
from tame.study.earlier import explained
from tame.study.evaluate import evaluate
from tame.study.events import SearchEnded
from tame.study.finalist_cases import with_stopped
from tame.study.finalists import best_trials, finalists
from tame.study.fitting import GOING, epochs_in, fitting
from tame.study.forecast import correct, foretell
from tame.study.heed import heed, heeded
from tame.study.opening import open_data
from tame.study.plan import Plan, make_plan
from tame.study.reserve import SURE, cost_s, reserved_s
from tame.study.session import Study
from tame.study.set_up import examined, try_set_up
from tame.study.state import findings_events
from tame.study.test import test
from tame.study.tuning import fine_tune

PROBED = 5  # recipes that start before the time of an epoch is known
FINISH_SHARE = 0.65  # of the remaining time, for the best recipes of a search that was too slow to finish any


def run(study: Study) -> Result:
    """Runs a study, new or resumed, to its end; returns the result that the report shows."""
    with in_time(study):
        data = open_data(study)
        study.stage(2, "planning the search: measuring what an epoch takes on this machine")
        plan = make_plan(study, data)
        foretell(study, data, plan)
        require_room(study, plan)
        try_set_up(study, plan)
        prepare(study, data, plan)
    study.stage(3, f"searching {plan.words}")
    while True:
        plan = heeded(study, plan)  # what the user asked for meanwhile
        # Without finalists that a kill left running: they continue after the search.
        running = [t for t in study.history.having("running") if t.is_searched or t.is_remedy]
        test(study, plan, running)  # T  train and validate, together
        correct(study, plan)
        found = act(study, plan, monitor(study, plan))  # M  find what is wrong, with evidence; correct the space
        plan = found.plan
        decisions = adjust(study, plan, found.rest)  # A  continue, pause, stop, start, copy
        treated = treat(study, data, plan, decisions, left_s=search_left_s(study, plan))  # M  try remedies, judge them
        changes = [*map(decision_event, decisions), *treated.events]
        study.keep(*findings_events(found.findings), *found.events, *changes)
        forget(study, plan)
        if not treated.goes_on and not any(decision.kind in GOING for decision in decisions):
            break
    study.keep(*findings_events(of_rest(study, plan)))
    heed(study)
    chosen = finalists(study, data, plan)  # E  fresh seeds, stopped in time if they overfit,
    chosen = with_stopped(study, data, plan, chosen)  # then fine-tuning with the remaining time,
    fine_tune(study, data, plan, chosen)
    study.keep(*findings_events(of_delivered(study, plan)))
    return evaluate(study, data, plan, chosen)  # the sealed test, once


def run_delivery(study: Study) -> Delivered:
    """Delivers the model of a finished study again."""
    data = open_data(study)
    prepare(study, data, make_plan(study, data))
    return deliver_again(study, data)


def prepare(study: Study, data: Data, plan: Plan) -> None:
    """Computes the features that recipes start from, or reads them from the cache, if this kind of data has any."""
    features = KINDS.get(data.kind).features
    if features is None or not plan.sizes:
        return
    study.stage(2, f"computing features at {', '.join(map(str, plan.sizes))} pixels (or reading them from the cache)")
    for size in plan.sizes:
        features.prepare(study.worker, plan.search.base, size=size)


def adjust(study: Study, plan: Plan, rest: Rest | None) -> list[Decision]:
    """The next decisions for the trials; none once the search has used its time.

    rest: the estimated gain of continuing; if it is too small and the user asked for it, the search ends too.
    """
    if study.state.search_ended is not None:
        return []
    if study.state.stop_asked:
        return end_search(study, "you stopped the search")
    if study.is_over:
        return end_search(study, "the time for the search is used up")
    if study.config.stop_search_early and rest is not None and rest.is_worthless:
        return end_search(study, why_worthless(rest), worthless=True)
    decide = SEARCHERS.get(study.config.search)
    decisions = decide(study.history, plan.space, study.config.seed, config=plan.search)
    decisions = explained(decisions, plan.reasons)
    if not study.history.trials:
        return first_round(study, plan, decisions)
    going = fitting(plan, study.state, decisions, search_left_s(study, plan))
    if any(decision.kind in GOING for decision in going) or not any(d.kind in GOING for d in decisions):
        return going
    ended = last_stretch(study, plan) if not plan.sizes else []
    if ended:
        return [*ended, *pauses(study, "not enough time left to continue", but={decision.trial for decision in ended})]
    return end_search(study, "the search has used its time")


def search_left_s(study: Study, plan: Plan) -> float:
    """Seconds left for the search, minus time for finalists and, without a backbone, for finishing its best recipes."""
    left = plan.search_until_s - study.used_s - reserved_s(study, plan)
    return left if plan.sizes else left - study.state.epoch_s * unfinished(study.history)


def first_round(study: Study, plan: Plan, decisions: list[Decision]) -> list[Decision]:
    """The first recipes to start: only a few with a clock, because the rehearsal may be far off.

    The first one that is solved at once is among them: on a machine so slow that no network is trained in time, it is
    what can be delivered. Heads on a backbone take little time, and a search that trains every recipe to the end checks
    the clock in between. Raises BudgetError if there is no time for any.
    """
    if study.config.clock_s is None or plan.sizes:
        return decisions
    require_time(study, plan)
    if study.config.search in WHOLE:
        return decisions
    each_s = plan.search.rungs[0] * foretold(study.state).mean_s
    left, ready, first = FIRST_SHARE * (study.left_s - plan.end_s), set[TableRecipe](), list[Decision]()
    solved = next((each for each in decisions if is_solved(plan, each)), None)
    for each in decisions:
        table = plan.search.base.table if each.recipe is None else each.recipe.table
        cost_s = each_s + plan.inputs_s * (table not in ready)
        if len(first) < PROBED and (cost_s <= left or not first or each is solved):
            left -= cost_s
            ready.add(table)
            first.append(each)
    return first


def is_solved(plan: Plan, decision: Decision) -> bool:
    """Whether a recipe is whole after the first epoch, where others have more."""
    return decision.recipe is not None and decision.recipe.is_single and not plan.search.base.is_single


def last_stretch(study: Study, plan: Plan) -> list[Decision]:
    """The best trials to train to the end when a search runs out of time: as many as leave time for one fresh seed of
    the best and the default. If that leaves time for none, or no seed fits, the seed is dropped."""
    left, fresh_s = study.left_s - plan.end_s, cost_s(study, plan, 1, 1)
    ended = finish(study.history, epochs=epochs_in(study.state, left - SURE * fresh_s))
    if ended or (left > fresh_s and study.history.having("complete")):
        return ended
    left -= cost_s(study, plan, 1, 0)
    ended = finish(study.history, epochs=epochs_in(study.state, FINISH_SHARE * left))
    return ended or finish(study.history, epochs=epochs_in(study.state, left / SURE), enough=1)


def end_search(study: Study, reason: str, *, worthless: bool = False) -> list[Decision]:
    """Ends the search: pauses its trials for good."""
    ended = SearchEnded(used_s=study.used_s, reason=reason, worthless=worthless)
    study.keep(ended, *map(decision_event, pauses(study, reason)))
    if worthless:
        study.watcher.note(f"the search stops early: {reason}")
    return []


def pauses(study: Study, reason: str, *, but: Collection[int] = ()) -> list[Decision]:
    """Decisions that pause running trials, except `but`; trials at their last epoch are complete."""
    return [
        Decision("complete", t.number, "all epochs are trained", t.epochs)
        if t.epochs >= t.recipe.epochs
        else Decision("pause", t.number, reason, t.epochs)
        for t in study.history.having("running")
        if t.number not in but
    ]


def monitor(study: Study, plan: Plan) -> list[Finding]:
    """Findings in trials that were trained to the end or diverged, each examined once, and in the space."""
    known = {finding.trial for finding in study.state.findings}
    found: list[Finding] = []
    for trial in searched(study.history):
        ended = trial.state == "diverged" or (trial.state == "running" and trial.epochs >= trial.recipe.epochs)
        if ended and trial.number not in known:
            found += examined(study, plan, trial)
    return found + of_space(study)


def of_rest(study: Study, plan: Plan) -> list[Finding]:
    """Findings in the trials of the search that were stopped or paused before their end."""
    return _unexamined(study, plan, searched(study.history), ("stopped", "paused"))


def of_delivered(study: Study, plan: Plan) -> list[Finding]:
    """Findings in what was trained after the search: the finalists, one of which is delivered, and a fine-tuned one."""
    own = [trial for trial in study.history.trials.values() if trial.may_be_delivered]
    return _unexamined(study, plan, own, ("complete", "paused", "diverged"))


def _unexamined(study: Study, plan: Plan, trials: Iterable[Trial], states: Collection[TrialState]) -> list[Finding]:
    """Findings in the trials in one of these states that have none yet."""
    known = {finding.trial for finding in study.state.findings if finding.code != "fine_tuning"}
    every = [trial for trial in trials if trial.state in states and trial.number not in known]
    return [finding for trial in every for finding in examined(study, plan, trial)]


def forget(study: Study, plan: Plan) -> None:
    """Drops the weights of trials that will not continue; a head that is needed later is trained again."""
    kept = best_trials(study, plan, 1)
    trials = study.history.trials.values()
    going_on = [t.number for t in trials if t.state in ("running", "paused") or t in kept or t.may_be_delivered]
    going_on += [t.parent for t in trials if t.parent is not None and t.state == "running" and not t.trained]
    gone = [number for number in study.history.trials if number not in going_on]
    study.worker.forget(gone, keep=going_on)
