"""Before the search, a network of the user's own is tried for a moment: what is wrong with it is told at once."""

from __future__ import annotations

import math

from tame.core.records import Finding, Trial
from tame.monitor.probes import EXPLAINED, beside_set_up, judge, of_set_up
from tame.monitor.rules import examine
from tame.study.events import SetUpProbed
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.state import findings_events

LEAST_S, MOST_S = 0.5, 2.0  # that it may take in any case, and at most
SHARE = 0.02  # of what the study is going to take


def try_set_up(study: Study, plan: Plan) -> None:
    """Keeps what a rehearsal of the default recipe shows, once a study, and tells what is wrong.

    TAME's own networks are not tried: they cannot have these faults but by their rate, which their curves show.
    """
    if study.config.model is None or study.state.set_up is not None or study.history.trials:
        return
    study.stage(2, "trying the model on a few examples")
    base = plan.search.base
    probed = study.worker.probe(base, folds=[0], limit_s=limit_s(study))
    found = judge(probed, base, plan.facts)
    not_run = tuple(each.probe for each in probed.not_run)
    study.keep(SetUpProbed(wall_s=probed.wall_s, not_run=not_run), *findings_events(found))
    for finding in found:
        if finding.severity != "info" and finding.code not in study.config.muted:
            study.watcher.note(f"{finding.title}; {finding.change}")


def limit_s(study: Study) -> float:
    """Seconds that a rehearsal may take."""
    forecast = study.state.forecast
    all_s = study.left_s
    if math.isinf(all_s) and forecast is not None and forecast.all_s is not None:
        all_s = forecast.all_s
    return min(MOST_S, max(LEAST_S, SHARE * all_s))


def examined(study: Study, plan: Plan, trial: Trial) -> list[Finding]:
    """What is wrong with a trial by its curve, beside what is wrong with the set-up of the study."""
    return beside_set_up(examine(trial, plan.facts), of_set_up(study.state.findings))


def unexplained(study: Study, plan: Plan, trial: Trial) -> list[Finding]:
    """Of these, what the set-up does not explain: only that can be helped by another recipe."""
    return [finding for finding in examined(study, plan, trial) if EXPLAINED not in finding.evidence]
