"""Evaluate: a winner chosen on validation, the test part opened once, the delivery, the result."""

from __future__ import annotations

from collections.abc import Sequence

from tame.core.records import Finding
from tame.core.result import Result
from tame.core.rng import stream_seed
from tame.evaluate.score import difference, measure
from tame.kinds.kind import Data
from tame.monitor.remedies import CHANGES
from tame.study.delivery import deliver, open_sealed
from tame.study.finalist import MANY, Finalist, best_of, together
from tame.study.finalists import trained_again
from tame.study.plan import Plan
from tame.study.result import loss_of, make_result
from tame.study.session import Study
from tame.study.state import findings_events

CUT_SHORT = "cut_short"


def evaluate(study: Study, data: Data, plan: Plan, frozen: Sequence[Finalist]) -> Result:
    """The result of a study: the winner chosen on validation, the test part opened once, the model delivered."""
    default = next((f for f in frozen if study.history.trials[f.from_trial].is_default), None)
    own = [*frozen, *_tuned(study, data, plan)]
    winner = _winner(study, data, own)
    study.keep(*findings_events(_cut_short(study, winner, default)))
    study.watcher.phase("opening the test part, once")
    tested = open_sealed(study, data, winner, default)
    delivered = deliver(study, data)
    return make_result(study, data, plan, own, winner, default, tested, delivered)


def _tuned(study: Study, data: Data, plan: Plan) -> list[Finalist]:
    """The fine-tuned trial, if it was kept: under cross-validation trained once more, on all examples too."""
    judged = study.state.tuning_judged
    if judged is None or not judged.kept or judged.trial is None:
        return []
    trial = study.history.trials[judged.trial]
    if len(plan.folds) == 1:
        return [together(study, data, plan, trial, [trial])]
    (found,) = trained_again(study, data, plan, [(trial, [stream_seed(study.config.seed, "finalist", 0) % 2**31])])
    return [found] if found else []


def _winner(study: Study, data: Data, finalists: Sequence[Finalist]) -> Finalist:
    """The finalist with the best metric.

    On few examples the metric is too coarse to choose by: there it is the one of lowest loss among those whose metric
    does not really differ from the best.
    """
    best, seed = best_of(data.metric, finalists), study.config.seed
    if len(best.judged.ids) >= MANY:
        return best
    level = [f for f in finalists if not difference(data.metric, best.judged, f.judged, seed=seed).is_real]
    return min(level or [best], key=lambda f: (measure(loss_of(data.task), f.judged), f.from_trial))


def _cut_short(study: Study, winner: Finalist, default: Finalist | None) -> list[Finding]:
    """That the winner, or the default that it is compared with, did not come to the end of its training."""
    if any(finding.code == CUT_SHORT for finding in study.state.findings):
        return []  # a resumed study has found it before
    asked = {"the winner": winner.trials[0]}
    if default is not None and default is not winner:
        asked["the default recipe, with which the winner is compared,"] = default.trials[0]
    return [
        Finding(
            CUT_SHORT, f"{name} was trained for {trial.epochs} of {trial.recipe.epochs} epochs only", "warning",
            {"trial": trial.number, "epochs": trial.epochs, "of": trial.recipe.epochs}, CHANGES[CUT_SHORT],
        )
        for name, trial in asked.items()
        if trial.state in ("running", "paused") and trial.epochs < trial.recipe.epochs
    ]  # fmt: skip
