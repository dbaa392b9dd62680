"""Evaluate: choose the winner on validation, open the test part once, deliver, make the result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.evaluation import Difference
from tame.core.records import Finding, Score
from tame.core.result import Result
from tame.evaluate.score import NUMBERS, Judged, difference, guesses, score
from tame.kinds.kind import Data
from tame.monitor.remedies import CHANGES
from tame.study.consistency import require_consistent
from tame.study.delivery import Tested, deliver, open_sealed
from tame.study.ensemble import Chosen, chosen
from tame.study.events import Judgements
from tame.study.finalist import Finalist, at_temperature, together
from tame.study.judgements import judgements
from tame.study.more_data import more_data
from tame.study.plan import Plan
from tame.study.result import loss_of, make_result, with_findings
from tame.study.score_findings import score_findings
from tame.study.session import Study
from tame.study.state import findings_events
from tame.study.trade import winner_of

CUT_SHORT = "cut_short"
WITHOUT_TWINS = "score_without_twins"


def evaluate(study: Study, data: Data, plan: Plan, frozen: Sequence[Finalist]) -> Result:
    """The result of a study: the winner chosen on validation, the test part opened once, the model delivered."""
    plain = [*frozen, *_tuned(study, data, plan)]
    own = [at_temperature(data, each, seed=study.config.seed) for each in plain]
    default = next((f for f in own[: len(frozen)] if study.history.trials[f.from_trial].is_default), None)
    winner = winner_of(study, data, own, loss=loss_of(data.task))
    decided = chosen(study, data, plain, winner, loss=loss_of(data.task))
    study.keep(*findings_events(_cut_short(study, winner, default)))
    more_data(study, data, plan, next(f for f in plain if f.trials == winner.trials), loss=loss_of(data.task))
    study.stage(5, "opening the test part, once")
    tested = open_sealed(study, data, decided, default)
    if study.state.judgements is None:
        study.keep(_judgements(study, data, decided, tested))
    if all(finding.code != WITHOUT_TWINS for finding in study.state.findings):  # a resumed study has found it before
        study.keep(*findings_events(without_twins(data, tested.winner, seed=study.config.seed)))
    delivered = deliver(study, data)
    result = make_result(study, data, plan, own, decided, default, tested, delivered)
    require_consistent(study.state, result, data, tested.winner)
    known = {finding.code for finding in study.state.findings}
    beyond = _beyond_guessing(data, tested.winner, seed=study.config.seed)
    trained = {winner.from_trial, *(trial.number for trial in winner.trials)}
    underfits = any(each.code == "underfitting" and each.trial in trained for each in study.state.findings)
    found = score_findings(result, beyond, underfits=underfits)
    study.keep(*findings_events([each for each in found if each.code not in known]))
    return with_findings(study, result, winner)


def _judgements(study: Study, data: Data, decided: Chosen, tested: Tested) -> Judgements:
    distances = dict(tested.trained_on)
    if tested.distances is not None:
        distances |= dict(zip(data.sealed.rows, tested.distances.tolist(), strict=True))
    return judgements(data, valid=decided.judged, test=tested.winner, distances=distances, seed=study.config.seed)


def _beyond_guessing(data: Data, judged: Judged, *, seed: int) -> Difference | None:
    """How much higher the log loss is than that of guessing by the shares of the classes; None of a regression."""
    if data.task in NUMBERS:
        return None
    guessed = guesses("log_loss", data.learnt(), judged, data.weights_of(data.rows))
    return difference("log_loss", judged, guessed, seed=seed)


def _tuned(study: Study, data: Data, plan: Plan) -> list[Finalist]:
    """The fine-tuned trial, if it was kept. No seed was chosen for it, so that it needs no fresh one; if it wins, what
    is trained on all examples follows."""
    judged = study.state.tuning_judged
    if judged is None or not judged.kept or judged.trial is None:
        return []
    trial = study.history.trials[judged.trial]
    return [together(study, data, plan, trial, [trial])]


def _cut_short(study: Study, winner: Finalist, default: Finalist | None) -> list[Finding]:
    """Findings that the winner, or the default recipe, was not trained to the end."""
    if any(finding.code == CUT_SHORT for finding in study.state.findings):
        return []  # a resumed study has this finding already
    asked = {"the winner": winner.trials[0]}
    if default is not None and default is not winner:
        asked["the default recipe, the baseline for the winner,"] = default.trials[0]
    return [
        Finding(
            CUT_SHORT, f"{name} was trained for only {trial.epochs} of {trial.recipe.epochs} epochs", "warning",
            {"trial": trial.number, "epochs": trial.epochs, "of": trial.recipe.epochs}, CHANGES[CUT_SHORT],
        )
        for name, trial in asked.items()
        if trial.state in ("running", "paused") and trial.epochs < trial.recipe.epochs
    ]  # fmt: skip


def without_twins(data: Data, judged: Judged, *, seed: int) -> list[Finding]:
    """The score with and without the test examples that are equal to one that was trained on, where there are some."""
    if not data.twins:
        return []
    twins = {data.ids[row] for row in data.twins}
    rest = judged.only(np.array([name not in twins for name in judged.ids]))
    own = score(data.metric, judged, how="the sealed test part", seed=seed)
    beside = score(data.metric, rest, how="without twins", seed=seed) if len(rest.ids) else None
    said = "no test example is without a twin" if beside is None else f"without them {_shown(beside)}"
    title = (
        f"{len(twins):,} of the {own.n:,} test examples equal one that was trained on: {data.metric} with them "
        f"{_shown(own)}, {said}"
    )
    evidence: dict[str, object] = {
        "metric": data.metric, "n": own.n, "with_twins": own.value, "twins": len(twins), "n_without": len(rest.ids),
        "without": None if beside is None else beside.value,
    }  # fmt: skip
    return [Finding(WITHOUT_TWINS, title, "warning", evidence, CHANGES[WITHOUT_TWINS])]


def _shown(found: Score) -> str:
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g}, n = {found.n:,})"
