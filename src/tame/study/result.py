"""The result of a study: everything that terminal, JSON and report show."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from typing import TypeVar

import numpy as np

from tame.core.config import LANGUAGE, command_of, default_metric
from tame.core.evaluation import Answers, ClassAnswers, NumberAnswers
from tame.core.plain import from_plain, to_plain
from tame.core.records import Finding, Score, Trial
from tame.core.result import Result
from tame.core.result_parts import (
    Baselines,
    BaselineScore,
    DataFacts,
    DefaultScore,
    Delivered,
    EngineChoice,
    EnsembleRow,
    FinalistRow,
    FineTuning,
    Forecasts,
    Task,
    UnlikeRow,
    Validation,
    Winner,
)
from tame.data.costs import parse_costs
from tame.evaluate.best_of import what_mattered
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.compare import share_interval
from tame.evaluate.refusal import refusal, refusals
from tame.evaluate.score import (
    METRICS_OF,
    Judged,
    confusion,
    difference,
    dummy,
    errors,
    guesses,
    measure,
    mistakes,
    per_class,
    residuals,
    samples,
    score,
)
from tame.evaluate.seeds import SeedNoise, beyond_seeds, optimism, seed_noise
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.kinds.language.commands import Asked, told
from tame.monitor.rules import consistent
from tame.study.case_rows import row_of
from tame.study.delivered import MODEL
from tame.study.delivery import Tested
from tame.study.doctor import rest_worth, with_outcomes
from tame.study.draft import fewer_dimensions
from tame.study.ensemble import Chosen
from tame.study.events import StudyEvent, event_of
from tame.study.finalist import Finalist, epochs_on_all, fold_error
from tame.study.plan import Plan
from tame.study.quotes import quotes_of
from tame.study.session import Study
from tame.study.space import planned, space_of
from tame.study.state import State, unmuted
from tame.study.trade import trade_of

T = TypeVar("T")
LEAST_TOLD_S, TOLD_SHARE = 3.0, 0.08  # seconds, and share of the clock, for what a language model writes
PACKAGES = ("tame-ml", "torch", "timm", "numpy", "scikit-learn", "pillow")


def loss_of(task: str) -> str:
    """The metric by which recipes are compared in the search: less noisy than accuracy."""
    return {"regression": "rmse", LANGUAGE: default_metric(LANGUAGE)}.get(task, "log_loss")


def make_result(
    study: Study,
    data: Data,
    plan: Plan,
    finalists: Sequence[Finalist],
    decided: Chosen,
    default: Finalist | None,
    tested: Tested,
    delivered: Delivered,
) -> Result:
    """Everything that terminal, JSON and report show."""
    seed, metric, state, winner = study.config.seed, data.metric, study.state, decided.winner
    own = score(metric, tested.winner, how="the delivered model on the sealed test part", seed=seed)
    noise = seed_noise(metric, [each.each for each in finalists])
    luck = optimism(metric, _validated(metric, decided, seed=seed), own, noise, networks=_networks(data, winner))
    trials, answers = study.history.trials, _answers(study, data, tested.winner, decided)
    rows = tuple(_row(data, trials[each.from_trial].origin, each, winner, noise, seed=seed) for each in finalists)
    return Result(
        study=str(study.folder),
        data=study.config.data,
        kind=data.kind,
        task=_task(data),
        classes=data.classes,
        metric=metric,
        score=own,
        metrics={name: measure(name, tested.winner) for name in METRICS_OF[data.task]},
        test_openings=study.state.openings,
        validation=Validation(
            value=decided.value,
            n=len(winner.judged.ids),
            how=_how(data, decided),
            stderr=fold_error(data, decided.judged if decided.is_ensemble else winner.judged),
        ),
        optimism=luck.value,
        optimism_interval=luck,
        baselines=_baselines(data, tested, noise, seed=seed, is_winner=winner is default and not decided.is_ensemble),
        winner=Winner(
            recipe={**winner.recipe.flat(), "seed": winner.trials[0].recipe.seed},
            from_trial=winner.from_trial,
            trial=winner.trials[0].number,
            seeds=tuple(t.recipe.seed for t in winner.trials),
            epochs=epochs_on_all(data, winner.trials[0]),
        ),
        finalists=rows,
        ensemble=_ensemble(decided),
        trade=trade_of(study, data, finalists, rows, decided, loss=loss_of(data.task)),
        unlike=unlike(tested.distances, tested.winner.groups),
        more_data=None if state.more_data is None else state.more_data.found,
        edits=None if state.edited is None else state.edited.counts,
        findings=tuple(headline(study, winner)),
        rest=rest_worth(state),
        searched=fewer_dimensions(planned(state)),
        forecast=Forecasts(forecast=_as_kept(state.forecast), forecast_corrected=_as_kept(state.forecast_corrected)),
        cases=tuple(map(row_of, state.cases)),
        all_findings=len(unmuted(study.state)),
        answers=answers,
        quotes=quotes_of(study, data, tested.winner, answers),
        trials=sum(not (t.is_finalist or t.is_remedy) for t in trials.values()),
        trial_states=_states([t for t in trials.values() if not t.is_remedy]),
        whole=sum(t.state == "complete" for t in trials.values()),
        epochs=sum(t.trained for t in trials.values()),
        fine_tuning=_part(FineTuning, state.tuning_judged, "the outcome of fine-tuning"),
        space=space_of(study.state),
        mattered=what_mattered(study.history, space_of(study.state)),
        sizes=plan.sizes,
        speed=None if plan.speed is None else to_plain(plan.speed),
        data_facts=facts_of(state.data or {}),
        backbone=data.backbone,
        engines=_engines(state),
        delivered=delivered,
        wall_s=study.used_s,
        model=delivered.folder,
        report=str(study.folder / "report.html"),
        command=command(study),
        machine=_machine(state),
        versions=_versions(),
    )


def with_findings(study: Study, result: Result, winner: Finalist) -> Result:
    """The result with the findings of the study as they are now."""
    return replace(result, findings=tuple(headline(study, winner)), all_findings=len(unmuted(study.state)))


def _machine(state: State) -> dict[str, str | int | None]:
    """What trained the study; of several workers those of the last process."""
    found: dict[str, str | int | None] = {
        "system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count(),
    }  # fmt: skip
    own = state.workers
    if own is None or (own.workers == 1 and own.ray is None):
        return found
    found |= {"workers": own.workers, "threads_each": own.threads, **({"ray": own.ray} if own.ray else {})}
    return {**found, "gpus": len(own.gpus)} if own.gpus else found


def _versions() -> dict[str, str]:
    """Of the packages that a result may depend on; a table needs no timm."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _task(data: Data) -> Task:
    if data.task in ("regression", LANGUAGE):
        return data.task  # type: ignore[return-value]
    return "binary" if data.task == "binary" else "multiclass"


def _validated(metric: str, decided: Chosen, *, seed: int) -> Score:
    """The validation score of what is delivered, with the interval of as many examples."""
    one, value = score(metric, decided.judged, how="the validation examples", seed=seed), decided.value
    return replace(one, value=value, low=value - (one.value - one.low), high=value + (one.high - one.value))


def _ensemble(decided: Chosen) -> EnsembleRow | None:
    own = decided.ensemble
    if own is None:
        return None
    members = tuple(trial.number for trial in own.trials)
    return EnsembleRow(
        members=members, value=own.value, difference=own.difference, kept=own.kept, why=own.why, optimism=own.optimism
    )


def unlike(distances: np.ndarray | None, groups: np.ndarray | None) -> UnlikeRow | None:
    """The share of test examples that the model takes to be unlike its training data. distances: (n,), above 1 where it
    does; groups: as of `Judged`."""
    if distances is None:
        return None
    flagged = distances > 1
    low, high = share_interval(flagged, groups)
    return UnlikeRow(n=len(flagged), flagged=int(flagged.sum()), share=float(flagged.mean()), low=low, high=high)


def _networks(data: Data, winner: Finalist) -> float:
    """How many networks' luck lies between the winner's validation score and that of the test.

    Counted as the noise of a seed is: with folds, one is the mean of as many networks. What is tested is one network,
    of the first seed; it is also one of those that were validated, unless it was trained on all examples.
    """
    folds, seeds = max(data.split.folds, 1), len(winner.each)
    return folds + 1 / seeds if data.whole else 1 - 1 / seeds


def _baselines(data: Data, tested: Tested, noise: SeedNoise | None, *, seed: int, is_winner: bool) -> Baselines:
    """The dummy, and the default recipe if it was trained, on the same examples as the winner."""
    metric, own, learnt, weights = data.metric, tested.winner, data.learnt(), data.weights_of(data.rows)
    lowest = dummy(metric, learnt, own, seed=seed, weights=weights)
    over = difference(metric, own, guesses(metric, learnt, own, weights), seed=seed)
    guessing = BaselineScore(
        value=lowest.value, low=lowest.low, high=lowest.high, n=lowest.n, how=lowest.how, difference=over
    )
    linear = _beside(metric, tested.linear, own, how="a linear model of the same inputs", seed=seed)
    how = f"gradient boosting of the same rows by scikit-learn, {tested.iterations} iterations"
    trees = _beside(metric, tested.trees, own, how=how, seed=seed)
    single = _beside(metric, tested.single, own, how="one network of the winner on the same examples", seed=seed)
    if tested.default is None:
        return Baselines(dummy=guessing, default=None, linear=linear, trees=trees, single=single)
    base = score(metric, tested.default, how="the default recipe on the same examples", seed=seed)
    gain = difference(metric, own, tested.default, seed=seed)
    if not is_winner:  # with folds, the noise is that of the mean of as many networks
        gain = beyond_seeds(gain, noise, networks=2 * max(data.split.folds, 1))
    of_default = DefaultScore(
        value=base.value, low=base.low, high=base.high, n=base.n, how=base.how, difference=gain, is_winner=is_winner
    )
    return Baselines(dummy=guessing, default=of_default, linear=linear, trees=trees, single=single)


def _beside(metric: str, other: Judged | None, own: Judged, *, how: str, seed: int) -> BaselineScore | None:
    """The score of another model on the same examples."""
    if other is None:
        return None
    found = score(metric, other, how=how, seed=seed)
    return BaselineScore(
        value=found.value, low=found.low, high=found.high, n=found.n, how=found.how,
        difference=difference(metric, own, other, seed=seed),
    )  # fmt: skip


def _row(
    data: Data, origin: str, each: Finalist, winner: Finalist, noise: SeedNoise | None, *, seed: int
) -> FinalistRow:
    behind = None
    if each is not winner:
        behind = difference(data.metric, winner.judged, each.judged, seed=seed)
        behind = beyond_seeds(behind, noise, networks=1 / len(winner.each) + 1 / len(each.each))
    return FinalistRow(
        from_trial=each.from_trial,
        origin=origin,
        value=each.value,
        values=each.values,
        recipe=each.recipe.flat(),
        is_winner=each is winner,
        loss=measure(loss_of(data.task), each.judged),
        behind=behind,
    )


def _answers(study: Study, data: Data, judged: Judged, decided: Chosen) -> Answers:
    """Details besides the score: confusions and mistakes of a classification, or errors of a regression."""
    if data.task == LANGUAGE:
        before = measure(data.metric, guesses(data.metric, judged.target, judged))
        bits = (before, measure(data.metric, judged))
        limit_s = None if study.config.clock_s is None else max(LEAST_TOLD_S, TOLD_SHARE * study.config.clock_s)
        asked = Asked(
            model=str(study.folder / MODEL), bits=bits, rows=data.sealed.rows, seed=study.config.seed, limit_s=limit_s
        )
        return told(study.worker, asked)
    if data.task == "regression":
        return NumberAnswers(errors=errors(judged), residuals=residuals(judged))
    text = str(study.config.set.get("loss.costs", ""))
    costs = None
    if text:
        costs = expected_cost(judged, parse_costs(text, data.classes), seed=study.config.seed)
    return ClassAnswers(
        confusion=confusion(judged, data.classes),
        per_class=per_class(judged, data.classes),
        mistakes=mistakes(judged, data.classes),
        calibration=calibration(judged),
        costs=costs,
        samples=samples(judged, data.classes) if KINDS.get(data.kind).thumbnails else (),
        refusal=refusal(decided.judged, judged),
        refusals=refusals(judged),
        temperature=decided.tempering,
    )


def facts_of(about: Mapping[str, object]) -> DataFacts:
    """The facts from the event of the data, without what only a resumed study needs; pairs are counted."""
    pairs = about["pairs"]
    assert isinstance(pairs, Sized)
    return from_plain(DataFacts, {**about, "pairs": len(pairs)}, what="the facts of the data")


def _part(kind: type[T], value: object, what: str) -> T | None:
    """A part of the result from an event or from the data; None if there is none."""
    return None if value is None else from_plain(kind, to_plain(value), what=what)


def _as_kept(value: StudyEvent | None) -> Mapping[str, object] | None:
    return None if value is None else event_of(value).data


def _engines(state: State) -> tuple[EngineChoice, ...]:
    used = () if state.engines is None else state.engines.used
    return from_plain(tuple[EngineChoice, ...], used, what="the engines")


def command(study: Study) -> str:
    """The command that reproduces the study."""
    return command_of(study.config)


OTHER_SEED = ", with another seed than that of the delivered network"


def headline(study: Study, winner: Finalist) -> list[Finding]:
    """The findings for the first page, about the data, the search and the winner, the most severe first."""
    return headline_of(study.state, [trial.number for trial in winner.trials], winner.from_trial)


def headline_of(state: State, seeds: Sequence[int], from_trial: int) -> list[Finding]:
    """The same, of a state. seeds: the winner's trials, the delivered one first; from_trial: of the search."""
    # The same is mostly found with every seed: it is told once, of the delivered one if it is found there.
    # Of a remedy, what it was tried against is told too.
    patient = state.history.trials[from_trial].against
    own = [*seeds, from_trial, *([] if patient is None else [patient])]
    every = with_outcomes(state)
    first = [f for f in every if f.trial is None or f.code == "fine_tuning"]
    seen = [finding for number in own for finding in every if finding.trial == number and finding.code != "fine_tuning"]
    told: list[Finding] = []
    for finding in seen:
        if len(consistent([*told, finding])) > len(told):  # it is new, and does not contradict what stands already
            is_other = finding.trial in seeds[1:]
            told.append(replace(finding, title=finding.title + OTHER_SEED) if is_other else finding)
    first += told
    order = {"problem": 0, "warning": 1, "info": 2}
    return sorted(first, key=lambda f: order[f.severity])


def _how(data: Data, decided: Chosen) -> str:
    winner = decided.winner
    seeds = f"mean of {len(winner.trials)} fresh seed{'s' if len(winner.trials) > 1 else ''}"
    if winner.trials[0].number == winner.from_trial:
        seeds = "the single seed of the search: there was no time for fresh ones"
    if decided.is_ensemble:
        seeds = f"{len(decided.trials)} networks together"
    if data.split.folds > 1:
        return f"{data.split.folds}-fold cross-validation, {seeds}"
    after = "; the delivered model was then also trained on it" if data.refits else ""
    return f"the validation part, {seeds}{after}"


def _states(trials: Sequence[Trial]) -> dict[str, int]:
    found: dict[str, int] = {}
    for trial in trials:
        found[trial.state] = found.get(trial.state, 0) + 1
    return found
