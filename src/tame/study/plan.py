"""The plan of a study: space, first recipes, time for each part; made once, stored as an event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from tame.adjust.sampling import proposals
from tame.adjust.searcher import SearchConfig
from tame.adjust.searchers import WHOLE
from tame.core.config import LANGUAGE, METRIC_MODES
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.space import Space, parse_dimension
from tame.evaluate.score import class_shares, dummy_error, guesses, judged_from, measure
from tame.kinds.costs import PLANNED_EPOCHS, Costs, Speed
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.monitor.case import Facts
from tame.monitor.space import linear_ranges
from tame.study.draft import (
    LEAST_COHORT,
    TuningPlan,
    at_once,
    draft,
    drafted_space,
    fewer_dimensions,
    fits_epochs,
    fitted,
    search_of,
)
from tame.study.earlier import put_first
from tame.study.events import PlanEvent
from tame.study.session import Study
from tame.study.space import asked_space, region_of, settle
from tame.study.state import findings_events
from tame.study.trainable import check, recognise
from tame.worker.environment import usable_cores
from tame.worker.machine import slowdown

PLANNED = 1.5  # times as long as all before it, that planning networks and training some of them take at the least
LEAST_RUN = 3  # epochs of a recipe, that chooses and that is delivered, that are worth the beginning
REHEARSED = 12  # recipes, for kinds of data where their costs differ
REHEARSAL_SHARE = 0.1  # of the clock, after which no more recipes are rehearsed
PAIR = 2.0  # time of an epoch of two networks alone, in epochs of a trial; used if it was not measured
AS_ASKED = "searched as given"
TUNE_EPOCHS = (2, 8)  # fewer are not worth starting, more add little
TUNING_SHARE, LEAST_TUNING_S = 0.5, 8.0  # of the clock, and at least, that is kept for it where features are given
OF_HEADS = ("model.name", "table.texts", "model.unfrozen")  # that fine-tuning sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The bounds of the search, how recipes are judged, and the time for each part.

    space: source of new recipes; whole: whether finalists are also trained on everything that is not sealed, which is
    then delivered; search_until_s: of the clock, infinite without one; end_s: seconds reserved for scoring, delivery
    and report, other_size_s: the part of them for a winner with another input size than the default; sizes: input sizes
    whose features are computed; tunes: whether the backbone may be fine-tuned, to_the_end: whether the search uses the
    time for that; epoch_s: of fine-tuning at the least cost; tuning_s: the part of `end_s` that is kept for it; pair:
    time of an epoch of two networks alone, in epochs of a trial trained with others; company_s: seconds of an epoch of
    a trial with its folds, trained with others, None if not rehearsed; inputs_s: seconds to prepare the inputs of a
    recipe that needs new ones; reasons: of recipes from an earlier study, by Recipe.key(); words: what is searched and
    how it is judged.
    """

    search: SearchConfig
    space: Space
    facts: Facts
    folds: tuple[int, ...]
    whole: bool
    search_until_s: float
    end_s: float
    other_size_s: float
    sizes: tuple[int, ...]
    tunes: bool
    to_the_end: bool
    epoch_s: float | None
    tuning_s: float
    smallest: int | None
    speed: Speed | None
    pair: float
    company_s: float | None
    inputs_s: float
    reasons: Mapping[str, str]
    words: str

    @property
    def share_of_all(self) -> float:
        """Relative cost of an epoch on all examples, added to a trial with its folds, if that model is delivered."""
        return 1 / len(self.folds) if self.whole else 0.0


def make_plan(study: Study, data: Data) -> Plan:
    """The stored plan of the study, or a new one."""
    known = study.state.plan
    if known is not None and not study.history.trials and study.state.clock is not None:
        known = None  # a resume gave the study more time before anything was trained
    if known is not None:
        recognise(study)
    own = known if known is not None else _first_plan(study, data)
    base = Recipe.from_flat(own.base)
    if known is None:
        check(study, base, drafted_space(own))
        questions = linear_ranges(dict(parse_dimension(text) for text in study.config.space))
        study.keep(own, *findings_events(replace(f, outcome=AS_ASKED) for f in questions))
        for finding in questions:
            study.watcher.note(f"{finding.title}; {finding.change}")
    elif (asked := asked_space(study)) is not None:
        _settle(study, base, asked)
    return plan_of(own, data, region_of(study.state), facts_of(data, seed=study.config.seed))


def _settle(study: Study, base: Recipe, asked: Space) -> None:
    """Searches the space that a resume asked for, from here on. Raises UsageError if it cannot be trained."""
    try:
        check(study, base, asked)
    except UsageError as problem:
        settle(study, asked, problem=str(problem))
        raise
    settle(study, asked)


def plan_of(own: PlanEvent, data: Data, space: Space, facts: Facts) -> Plan:
    """The stored plan, with everything that follows from the data. space: source of new recipes."""
    folds = tuple(range(data.split.folds))
    how = f"{len(folds)} folds" if len(folds) > 1 else "one validation part"
    sizes = f", at {', '.join(map(str, own.sizes))} pixels" if own.sizes else ""
    fewer = fewer_dimensions(replace(own, space=space.to_json()))
    return Plan(
        search=search_of(own, data),
        space=space,
        facts=facts,
        folds=folds,
        whole=data.whole,
        search_until_s=math.inf if own.search_until_s is None else own.search_until_s,
        end_s=own.end_s,
        other_size_s=own.other_size_s,
        sizes=own.sizes,
        tunes=own.tunes,
        to_the_end=own.to_the_end,
        epoch_s=own.epoch_s,
        tuning_s=own.tuning_s or 0.0,
        smallest=own.smallest,
        speed=None if own.speed is None else Speed.from_json(own.speed),
        pair=PAIR if own.pair is None else own.pair,
        company_s=own.company_s,
        inputs_s=own.inputs_s or 0.0,
        reasons=own.reasons or {},
        words=f"{fewer.words if fewer else f'{len(space.searched)} dimensions'}, evaluated on {how}{sizes}",
    )


def _first_plan(study: Study, data: Data) -> PlanEvent:
    """A first plan. Without a backbone, a recipe is rehearsed to fit its epochs to the clock."""
    config = study.config
    costs = costs_of(study, data)
    slower = 1.0 if config.clock_s is None else slowdown(usable_cores())
    own = draft(config, data, costs, used_s=study.used_s, slower=slower)
    base, space = Recipe.from_flat(own.base), drafted_space(own)
    if not _has_room(study, own, PLANNED * study.used_s) and (words := at_once(own)) is not None:
        return _words_alone(study, data, words)
    if costs is None:
        check(study, base, space)  # before anything is trained
        tunes = _tuning(study, data, own)
        own = own if tunes is None else draft(config, data, None, used_s=study.used_s, slower=slower, tuning=tunes)
        if fits_epochs(config):
            tried = _rehearsed(study, data, search_of(own, data), space)
            # Steps of a few milliseconds do not show the load of other programs.
            epoch_s = study.worker.slowdown(base) * tried.epoch_s
            own = fitted(
                config, data, own, epoch_s, used_s=study.used_s, prepare_s=tried.prepare_s, slower=slower,
                tuning=tunes,
            )  # fmt: skip
            if not _has_room(study, own, LEAST_RUN * epoch_s) and (words := at_once(own)) is not None:
                return _words_alone(study, data, words)
            pair = tried.pair_s / tried.epoch_s
            own = replace(own, pair=pair, company_s=tried.epoch_s, inputs_s=tried.prepare_s)
    elif config.clock_s is not None and config.search in WHOLE:
        search = search_of(own, data)
        own = replace(own, cohort=max(LEAST_COHORT, search.cohort * search.rungs[0] // search.base.epochs))
    return put_first(study, data, own)


def _has_room(study: Study, own: PlanEvent, seconds: float) -> bool:
    """Whether the clock leaves so many seconds before its end."""
    return study.left_s - own.end_s > seconds


def _words_alone(study: Study, data: Data, own: PlanEvent) -> PlanEvent:
    """A plan of models that are solved at once, on a clock with no time to train others."""
    check(study, Recipe.from_flat(own.base), drafted_space(own))
    study.watcher.note("the clock is too short for networks: only models that are solved at once are tried")
    return put_first(study, data, own)


def _tuning(study: Study, data: Data, own: PlanEvent) -> TuningPlan | None:
    """What is kept of the clock for fine-tuning, where there is something to fine-tune and no features are planned.

    None too where the user fixed what it would change: the model, or how texts enter it.
    """
    tuning, base, clock_s = KINDS.get(data.kind).tuning, Recipe.from_flat(own.base), study.config.clock_s
    if tuning is None:
        return None
    found = tuning.recipes(data, base, (), epochs=TUNE_EPOCHS[1], seed=base.seed)
    kept = [name for name in OF_HEADS if name in own.fixed]
    if not found or any(base.flat()[name] != found[-1][0].flat()[name] for name in kept):
        return None
    if clock_s is None or TUNING_SHARE * clock_s < LEAST_TUNING_S:
        return TuningPlan(None, 0.0)
    epoch_s = study.worker.rehearse(found[-1][0], folds=[0]).epoch_s
    most = TUNING_SHARE * max(study.left_s - own.end_s, 0.0)
    least_s, wanted_s = (epochs * data.num_runs * epoch_s for epochs in (PLANNED_EPOCHS, TUNE_EPOCHS[1]))
    return TuningPlan(epoch_s, min(wanted_s * found[0][1], most) if least_s <= most else 0.0)


@dataclass(frozen=True, slots=True)
class _Rehearsed:
    """Mean seconds of an epoch over the first recipes: of a trial with its folds trained with others, and of two
    networks alone; and seconds to prepare the slowest inputs."""

    epoch_s: float
    pair_s: float
    prepare_s: float


def _rehearsed(study: Study, data: Data, search: SearchConfig, space: Space) -> _Rehearsed:
    """The measured time of an epoch. If all recipes cost about the same, only the default recipe is measured."""
    tried = [recipe for _, recipe in islice(proposals(space, study.config.seed, search), REHEARSED)]
    recipes = tried if KINDS.get(data.kind).rehearses_many else tried[:1]
    each: list[tuple[float, float]] = []
    prepare_s = 0.0
    until = study.used_s + REHEARSAL_SHARE * (study.config.clock_s or math.inf)
    for own in recipes:
        found = study.worker.rehearse(own, folds=[0])
        share = own.epochs / search.base.epochs  # of a model that is solved at once, one epoch is all
        each.append((found.epoch_s * share, found.pair_s * share))
        prepare_s = max(prepare_s, found.prepare_s)
        if study.used_s > until:
            break
    epoch_s, pair_s = (sum(own) / len(each) * data.split.folds for own in zip(*each, strict=True))
    return _Rehearsed(epoch_s, pair_s, prepare_s * data.split.folds)


def costs_of(study: Study, data: Data) -> Costs | None:
    """The cost of features, if this kind of data has them; those kept from an earlier study cost nothing."""
    features = KINDS.get(data.kind).features
    if features is None:
        return None

    def rehearse(recipe: Recipe) -> float:
        return study.worker.rehearse(recipe, folds=[0]).epoch_s

    # What reading took is gone: on a machine that others load it may be most of a short clock.
    left = study.config if study.config.clock_s is None else replace(study.config, time_s=max(study.left_s, 1.0))
    return features.costs(left, data, study.worker, rehearse)


def facts_of(data: Data, *, seed: int) -> Facts:
    """The scores of a dummy on the validation examples, and other facts of the data."""
    learnt, weights = data.learnt(), data.weights_of(data.rows)
    rows = [row for row in data.rows if data.split.fold[row] >= 0]
    valid = data.truth(rows)
    blank = np.zeros((len(valid), max(len(data.classes), 1)))
    judged = judged_from(data.task, [""] * len(valid), valid, blank, weights=data.weights_of(rows))
    shares = class_shares(learnt, len(data.classes), weights) if data.classes else np.ones(1)
    lowest = measure(data.metric, guesses(data.metric, learnt, judged, weights))
    return Facts(
        task=data.task,
        num_classes=max(len(data.classes), 1),
        num_valid=len(valid),
        metric=data.metric,
        higher_is_better=METRIC_MODES[data.metric] == "max",
        dummy=lowest,
        dummy_error=dummy_error(data.metric, learnt, judged, seed=seed),
        guess_loss=lowest if data.task == LANGUAGE else _entropy(shares) if data.classes else 1.0,
    )


def _entropy(shares: np.ndarray) -> float:
    """In nats."""
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
