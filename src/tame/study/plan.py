"""What a study will do: the space, the recipes to begin with, the time for each part; made once, kept as an event."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import numpy as np

from tame.adjust.guard import searchable
from tame.adjust.portfolio import given_by
from tame.adjust.sampling import proposals
from tame.adjust.searcher import SearchConfig
from tame.adjust.searchers import WHOLE
from tame.core.config import METRIC_MODES, StudyConfig
from tame.core.errors import UsageError, require
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event
from tame.core.rng import stream_seed
from tame.core.space import Choice, Dimension, Space, field_of, joined, parse_dimension
from tame.evaluate.score import class_shares, dummy_error, guesses, judged_from, measure
from tame.kinds.costs import PLANNED_EPOCHS, Costs
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.monitor.rules import Facts
from tame.monitor.space import linear_ranges
from tame.study.earlier import put_first
from tame.study.session import Study
from tame.study.space import asked_space, region_of, settle
from tame.study.state import findings_events

SEARCHED_SHARE = 0.6  # of the clock that networks without a backbone are searched in; the finalists take the rest
LEAST_EPOCHS = 4
REHEARSED = 12  # recipes, where their costs differ by what they are made of
REHEARSAL_SHARE = 0.1  # of the clock, after which no more recipes are rehearsed
FIRST_SHARE = 0.3  # of the time that is left, for the first epochs of the recipes that start together
LEAST_COHORT = 3
MOST_CHECKED = 100  # numbers of one choice that are tried before the study begins; words are all tried
SEARCH_SHARE = 0.1  # of the clock that the search takes, its features aside, where fine-tuning is to come
FINALISTS_SHARE = 0.06  # of the clock that finalists on frozen features may take
END_S = 4.5  # for checking the delivered model, the report and what the forecasts miss
END_SHARE, LEAST_END_S = 0.12, 2.0  # of a clock so short that this is less, and seconds at the least
CHECKED = 64  # test pictures that the delivered model must judge as it was scored
AS_ASKED = "searched as it was asked for"
SLACK = 0.05  # of the clock that forecasts may be wrong by
GOING = ("start", "continue", "copy")  # decisions after which a trial trains
TUNE_EPOCHS = (2, 8)  # fewer are not worth beginning, more add little
NEW_INPUTS = 1 / 3  # of the recipes that begin have inputs that nobody had before


@dataclass(frozen=True, slots=True)
class Plan:
    """How the search is bounded and judged. search_until_s: of the clock; infinite without one."""

    search: SearchConfig
    space: Space
    facts: Facts
    folds: tuple[int, ...]
    search_until_s: float
    end_s: float
    sizes: tuple[int, ...]
    words: str
    whole: bool  # whether finalists are also trained on all that is not sealed, which is what is delivered
    reasons: Mapping[str, str]  # of recipes that are from an earlier study, by Recipe.key()

    @property
    def share_of_all(self) -> float:
        """What an epoch on all examples adds to one of a trial with its folds, where that is what is delivered."""
        return 1 / len(self.folds) if self.whole else 0.0

    def epochs_in(self, study: Study, seconds: float) -> float:
        """How many epochs of trials fit into some seconds, from the rounds before."""
        epoch_s = study.state.epoch_s
        return seconds / epoch_s if epoch_s else 0.0

    def fitting(self, study: Study, decisions: Sequence[Decision], seconds: float) -> list[Decision]:
        """The decisions that can be carried out in some seconds, by a forecast from the rounds before, in their order.

        A running trial whose turn does not come is left where it is.
        """
        trials, left, found = study.history.trials, self.epochs_in(study, seconds), list[Decision]()
        known = study.state.trained_s > 0
        ready = {trial.recipe.table for trial in trials.values()}
        inputs = self.epochs_in(study, float(study.state.last["plan"].get("inputs_s", 0.0)))
        for decision in decisions:
            if decision.recipe is not None and decision.recipe.table not in ready:
                left -= inputs
                ready.add(decision.recipe.table)
            if decision.kind in GOING:
                begins = decision.trial if decision.source is None else decision.source
                left -= decision.until - (trials[begins].epochs if begins in trials else 0)
            if decision.kind not in GOING or left >= 0 or not known:
                found.append(decision)
            elif decision.kind == "continue" and trials[decision.trial].state == "running":
                found.append(Decision("pause", decision.trial, "the time is short", trials[decision.trial].epochs))
        return found


def make_plan(study: Study, data: Data) -> Plan:
    """The plan that the study has, or a new one."""
    known = study.state.last.get("plan")
    if known is not None and not study.history.trials and "clock" in study.state.last:
        known = None  # a resume gave the study more time before anything was trained
    about = known if known is not None else _first_plan(study, data)
    if known is None:
        check(study, data, about)
        questions = linear_ranges(dict(parse_dimension(text) for text in study.config.space))
        study.keep(Event("plan", about), *findings_events(replace(f, outcome=AS_ASKED) for f in questions))
        for finding in questions:
            study.watcher.note(f"{finding.title}; {finding.change}")
    elif (asked := asked_space(study)) is not None:
        try:
            check(study, data, {**about, "space": asked.to_json()})
        except UsageError as problem:
            settle(study, asked, problem=str(problem))
            raise
        settle(study, asked)
    return plan_of(study.config, data, {**about, "space": region_of(study.state).to_json()})


def _first_plan(study: Study, data: Data) -> dict[str, Any]:
    """The plan of a study without one. Without a backbone a recipe is rehearsed, to fit its epochs to the clock."""
    config = study.config
    costs = costs_of(study, data)
    about = draft(config, data, costs, used_s=study.used_s)
    if costs is None:
        check(study, data, about)  # before anything is trained with it
        if fits_epochs(config):
            epoch_s, pair_s, prepare_s = _rehearsed(study, data, about)
            # Steps of a few milliseconds do not show what other programs take.
            slower = study.worker.slowdown(Recipe.from_flat(about["base"]))
            about = fitted(config, data, about, slower * epoch_s, used_s=study.used_s, prepare_s=prepare_s)
            about["pair"] = pair_s / epoch_s
            about["company_s"] = epoch_s
            about["inputs_s"] = prepare_s  # of a recipe that encodes the columns as none before it
    elif config.clock_s is not None and config.search in WHOLE:
        search = plan_of(config, data, about).search
        about["cohort"] = max(LEAST_COHORT, search.cohort * search.rungs[0] // search.base.epochs)
    return put_first(study, data, about)


def fits_epochs(config: StudyConfig) -> bool:
    """Whether the clock decides how long recipes train, where there is no backbone."""
    return config.clock_s is not None and config.epochs is None and "epochs" not in config.set


def fitted(
    config: StudyConfig, data: Data, about: Mapping[str, Any], epoch_s: float, *, used_s: float, prepare_s: float = 0.0
) -> dict[str, Any]:
    """The plan with as many epochs, recipes and dimensions as the clock allows.

    epoch_s, prepare_s: of a trial with its folds, the second one where nobody before it had inputs like its own.
    """
    assert config.clock_s is not None
    affordable = max(config.clock_s - used_s - about["end_s"], 0.0) / epoch_s
    kind = KINDS.get(data.kind)
    most = kind.most_epochs or about["base"]["epochs"]
    epochs = min(max(int(affordable / kind.runs), LEAST_EPOCHS), most)
    config = replace(config, epochs=epochs, time_s=config.clock_s)  # the default clock ends where epochs are given
    search = plan_of(config, data, draft(config, data, None, used_s=used_s)).search
    recipes = expected_recipes(search, SEARCHED_SHARE * affordable, whole=config.search in WHOLE)
    found = draft(config, data, None, used_s=used_s, recipes=recipes)
    first = search.base.epochs if config.search in WHOLE else search.rungs[0]
    each = first + NEW_INPUTS * prepare_s / epoch_s  # epochs that the beginning of a recipe is worth
    found["cohort"] = min(max(int(FIRST_SHARE * affordable / each), LEAST_COHORT), kind.cohort(data))
    return found


def _rehearsed(study: Study, data: Data, about: dict[str, Any]) -> tuple[float, float, float]:
    """Seconds of an epoch of a trial with its folds, in company, and of two that have none: means over the recipes
    that are tried first; and of what the inputs of the slowest of these took."""
    plan = plan_of(study.config, data, about)
    tried = [recipe for _, recipe in islice(proposals(plan.space, study.config.seed, plan.search), REHEARSED)]
    recipes = tried if KINDS.get(data.kind).rehearses_many else tried[:1]
    each: list[tuple[float, float]] = []
    prepare_s = 0.0
    until = study.used_s + REHEARSAL_SHARE * (study.config.clock_s or math.inf)
    for own in recipes:
        found = study.worker.rehearse(own, folds=[0])
        each.append((found.epoch_s, found.pair_s))
        prepare_s = max(prepare_s, found.prepare_s)
        if study.used_s > until:
            break
    epoch_s, pair_s = (sum(own) / len(each) * data.split.folds for own in zip(*each, strict=True))
    return epoch_s, pair_s, prepare_s * data.split.folds


def check(study: Study, data: Data, about: Mapping[str, Any]) -> None:
    """Nothing, if everything that the plan may train can be trained. Raises UsageError with the mend."""
    plan = plan_of(study.config, data, about)
    recipes = [plan.search.base, *(plan.search.base.but(changes) for changes in _choices(plan.space))]
    also = [plan.search.base.but(changes) for changes in _ends(plan.space)]
    texts = [*study.config.space, *study.state.last.get("space_asked", {}).get("texts", ())]
    given = sorted({*study.config.set, *(field_of(parse_dimension(text)[0]) for text in texts)})
    study.worker.check(recipes, also=also, given=given)


def _choices(space: Space) -> list[dict[str, Any]]:
    """For every value of every choice in a space, what of the base it changes; of very many numbers some."""
    found: list[dict[str, Any]] = []
    for name, dim in space.dimensions.items():
        if isinstance(dim, Choice):
            numbers = [each for each in dim.values if not isinstance(each, bool | str)]
            some = dict.fromkeys(numbers[:: math.ceil(len(numbers) / MOST_CHECKED) or 1] + numbers[-1:])
            words = [each for each in dim.values if isinstance(each, bool | str)]
            found += [{**space.needs(name), field_of(name): each} for each in (*some, *words)]
    return found


def expected_recipes(search: SearchConfig, epochs: float, *, whole: bool) -> float:
    """About how many recipes a search begins that may train so many epochs in all.

    whole: whether each is trained to its end; else a part of them is, from rung to rung.
    """
    rungs = (0, *search.rungs)
    each = sum((after - before) / search.eta**k for k, (before, after) in enumerate(pairwise(rungs)))
    return epochs / (search.base.epochs if whole else each)


def searched_json(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many of the dimensions a plan searches and why not all; None where it searches all of them."""
    left_out = list(about.get("left_out", ()))
    if not left_out:
        return None
    own, recipes = len(Space.from_json(about["space"]).searched), about["recipes"]
    return {"dimensions": own, "of": own + len(left_out), "recipes": recipes, "left_out": left_out, "words": (
        f"{own} of {own + len(left_out)} dimensions, since so few recipes cannot tell more apart"
    )}  # fmt: skip


def draft(
    config: StudyConfig, data: Data, known: Costs | None, *, used_s: float, recipes: float | None = None
) -> dict[str, Any]:
    """The plan as plain values.

    known: what features cost; None for networks from scratch. recipes: how many the clock allows, where it is known.
    """
    seed = stream_seed(config.seed, "training") % 2**31
    sizes = () if known is None else known.sizes
    preset = KINDS.get(data.kind).preset(config, data, sizes, seed=seed)
    asked = dict(parse_dimension(text) for text in config.space)
    base = preset.base.but({**given_by(asked), **config.set})
    dimensions = {name: dim for name, dim in preset.dimensions.items() if name not in config.set}
    fixed = sorted({*config.set, *map(field_of, asked)})
    changes = [dict(each) for each in preset.portfolio] if config.search == "auto" else []
    few = min((n for n in (config.trials, recipes) if n is not None), default=None)
    every = _space(dimensions, asked, base)
    space = every.without(set(every.dimensions) - set(searchable(every, preset.ranks, asked, few)))
    space = space.without(space.never())
    clock = config.clock_s
    end_s, other_size_s = _end_s(base, sizes, known, clock)
    search_until, to_the_end = None, False
    if clock is not None and known is None:
        search_until = max(clock - end_s, used_s)  # less what the finalists will take, which shows as it goes
    elif clock is not None and known is not None:
        later = clock - end_s
        ready = used_s + sum(known.speed.seconds(known.learnt[size], size) for size in sizes)
        # What fine-tuning would have left; where that is too little for a good one, the search goes on to the end.
        left = later - ready - (SEARCH_SHARE + FINALISTS_SHARE + SLACK) * clock
        to_the_end = PLANNED_EPOCHS * data.num_runs * known.epoch_s > left
        search_until = later if to_the_end else min(ready + SEARCH_SHARE * clock, later)
    return {
        "base": base.flat(),
        "portfolio": changes,
        "fixed": fixed,
        "space": space.to_json(),
        "left_out": [name for name in every.dimensions if name not in space.dimensions],
        "recipes": None if few is None else max(1, round(few)),
        "trials": config.trials,
        "sizes": list(sizes),
        "search_until_s": search_until,
        "to_the_end": to_the_end,
        "epoch_s": known.epoch_s if known and math.isfinite(known.epoch_s) else None,
        "smallest": min(known.learnt) if known else None,
        "end_s": end_s,
        "other_size_s": other_size_s,
        "tunes": known is not None and known.tunes,
        "speed": to_plain(known.speed) if known else None,
    }


def plan_of(config: StudyConfig, data: Data, about: Any) -> Plan:
    """The plan of its plain values."""
    base = Recipe.from_flat(about["base"])
    space = Space.from_json(about["space"], base=base.flat())
    search = SearchConfig(
        base=base,
        portfolio=tuple(about["portfolio"]),
        fixed=frozenset(about["fixed"]),
        trials=about["trials"] or 100_000,
        cohort=about.get("cohort") or KINDS.get(data.kind).cohort(data),
    )
    facts = facts_of(data, seed=config.seed)
    folds = tuple(range(data.split.folds))
    until = about["search_until_s"]
    how = f"{len(folds)} folds" if len(folds) > 1 else "one validation part"
    sizes = f", at {', '.join(map(str, about['sizes']))} pixels" if about["sizes"] else ""
    fewer = searched_json(about)
    words = f"{fewer['words'] if fewer else f'{len(space.searched)} dimensions'}, judged by {how}{sizes}"
    return Plan(
        search, space, facts, folds, math.inf if until is None else until, about["end_s"], tuple(about["sizes"]), words,
        data.whole, about.get("reasons", {}),
    )  # fmt: skip


def facts_of(data: Data, *, seed: int) -> Facts:
    """What guessing without looking comes to on the validation examples."""
    learnt = data.learnt()
    valid = data.truth([row for row in data.rows if data.split.fold[row] >= 0])
    blank = np.zeros((len(valid), max(len(data.classes), 1)))
    judged = judged_from(data.task, [""] * len(valid), valid, blank)
    shares = class_shares(learnt, len(data.classes)) if data.classes else np.ones(1)
    return Facts(
        task=data.task,
        num_classes=max(len(data.classes), 1),
        num_valid=len(valid),
        metric=data.metric,
        higher_is_better=METRIC_MODES[data.metric] == "max",
        dummy=measure(data.metric, guesses(data.metric, learnt, judged)),
        dummy_error=dummy_error(data.metric, learnt, judged, seed=seed),
        guess_loss=float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()) if data.classes else 1.0,
    )


def _ends(space: Space) -> list[dict[str, Any]]:
    """For both ends of every range in a space, what of the base they change."""
    ranges = {name: dim for name, dim in space.dimensions.items() if not isinstance(dim, Choice)}
    return [{**space.needs(name), field_of(name): dim.at(u)} for name, dim in ranges.items() for u in (0.0, 1.0)]


def _space(preset: Mapping[str, Dimension], asked: Mapping[str, Dimension], base: Recipe) -> Space:
    """The preset's dimensions with those asked for in their place. Raises UsageError for one that never holds."""
    space = Space(joined(preset, asked), base=base.flat())
    idle = space.never()
    for name in asked:
        require(name not in idle, idle.get(name, ""))
    return space.without(idle)


def costs_of(study: Study, data: Data) -> Costs | None:
    """What features will cost, where this kind of data has some; those of an earlier study cost nothing."""
    features = KINDS.get(data.kind).features
    if features is None:
        return None

    def rehearse(recipe: Recipe) -> float:
        return study.worker.rehearse(recipe, folds=[0]).epoch_s

    return features.costs(study.config, data, study.worker, rehearse)


def _end_s(base: Recipe, sizes: Sequence[int], known: Costs | None, clock_s: float | None) -> tuple[float, float]:
    """Seconds to keep for scoring winner and default, the check of the delivered model, and the report; and how many
    of them are for a winner of another input size than the default's."""
    own = END_S if clock_s is None else min(max(END_SHARE * clock_s, LEAST_END_S), END_S)
    if known is None:
        return own, 0.0
    first = base.input.size
    judging = {size: known.speed.seconds(known.sealed[size], size) for size in sizes}
    other = max((cost for size, cost in judging.items() if size != first), default=0.0)
    return own + judging[first] + other + known.speed.seconds(2 * CHECKED, first), other
