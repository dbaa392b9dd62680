"""The plan of a study, drafted and then fitted to its clock: pure functions of config, data and what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise

from tame.adjust.guard import searchable
from tame.adjust.portfolio import given_by, own_given_by
from tame.adjust.searcher import SearchConfig
from tame.adjust.searchers import WHOLE
from tame.core.config import StudyConfig
from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.core.result_parts import FewerDimensions
from tame.core.rng import stream_seed
from tame.core.space import Dimension, Space, field_of, joined, parse_dimension
from tame.kinds.costs import Costs
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.study.clock_shares import ending, searching
from tame.study.events import PlanEvent

SEARCHED_SHARE = 0.6  # of the clock that networks without a backbone are searched in; the finalists take the rest
LEAST_EPOCHS = 4
FIRST_SHARE = 0.3  # of the time that is left, for the first epochs of the recipes that start together
LEAST_COHORT = 3
NEW_INPUTS = 1 / 3  # of the recipes that begin have inputs that nobody had before
MANY = 100_000  # trials, where the user names no number


def draft(
    config: StudyConfig, data: Data, costs: Costs | None, *, used_s: float, recipes: float | None = None
) -> PlanEvent:
    """The plan as it is kept.

    costs: of features; None for networks from scratch. recipes: how many the clock allows, where it is known. Raises
    UsageError for a space that holds nothing that can be searched.
    """
    sizes = () if costs is None else costs.sizes
    preset = KINDS.get(data.kind).preset(config, data, sizes, seed=stream_seed(config.seed, "training") % 2**31)
    asked = dict(parse_dimension(text) for text in config.space)
    base = preset.base.but({**given_by(asked), **config.set})
    every = _space({name: dim for name, dim in preset.dimensions.items() if name not in config.set}, asked, base)
    base = base.but(own_given_by(every))
    every = every.on(base.flat())
    few = min((n for n in (config.trials, recipes) if n is not None), default=None)
    space = every.without(set(every.dimensions) - set(searchable(every, preset.ranks, asked, few)))
    space = space.without(space.never())
    end = ending(base, sizes, costs, config.clock_s)
    search = searching(sizes, costs, config.clock_s, end_s=end.end_s, used_s=used_s, num_runs=data.num_runs)
    return PlanEvent(
        base=base.flat(),
        portfolio=tuple(dict(each) for each in preset.portfolio) if config.search == "auto" else (),
        fixed=tuple(sorted({*config.set, *map(field_of, asked)})),
        space=space.to_json(),
        left_out=tuple(name for name in every.dimensions if name not in space.dimensions),
        recipes=None if few is None else max(1, round(few)),
        trials=config.trials,
        sizes=tuple(sizes),
        search_until_s=search.until_s,
        to_the_end=search.to_the_end,
        epoch_s=costs.epoch_s if costs and math.isfinite(costs.epoch_s) else None,
        smallest=min(costs.learnt) if costs else None,
        end_s=end.end_s,
        other_size_s=end.other_size_s,
        tunes=costs is not None and costs.tunes,
        speed=asdict(costs.speed) if costs else None,
    )


def fits_epochs(config: StudyConfig) -> bool:
    """Whether the clock decides how long recipes train, where there is no backbone."""
    return config.clock_s is not None and config.epochs is None and "epochs" not in config.set


def fitted(
    config: StudyConfig, data: Data, own: PlanEvent, epoch_s: float, *, used_s: float, prepare_s: float = 0.0
) -> PlanEvent:
    """The plan with as many epochs, recipes and dimensions as the clock allows.

    epoch_s, prepare_s: of a trial with its folds, the second one where nobody before it had inputs like its own.
    """
    assert config.clock_s is not None
    kind, whole = KINDS.get(data.kind), config.search in WHOLE
    affordable = max(config.clock_s - used_s - own.end_s, 0.0) / epoch_s
    most = kind.most_epochs or Recipe.from_flat(own.base).epochs
    epochs = min(max(int(affordable / kind.runs), LEAST_EPOCHS), most)
    config = replace(config, epochs=epochs, time_s=config.clock_s)  # the default clock ends where epochs are given
    search = search_of(draft(config, data, None, used_s=used_s), data)
    recipes = expected_recipes(search, SEARCHED_SHARE * affordable, whole=whole)
    found = draft(config, data, None, used_s=used_s, recipes=recipes)
    first = search.base.epochs if whole else search.rungs[0]
    each = first + NEW_INPUTS * prepare_s / epoch_s  # epochs that the beginning of a recipe is worth
    cohort = min(max(int(FIRST_SHARE * affordable / each), LEAST_COHORT), kind.cohort(data))
    return replace(found, cohort=cohort)


def search_of(own: PlanEvent, data: Data) -> SearchConfig:
    """What the search of a plan is bounded by."""
    return SearchConfig(
        base=Recipe.from_flat(own.base),
        portfolio=own.portfolio,
        fixed=frozenset(own.fixed),
        trials=own.trials or MANY,
        cohort=own.cohort or KINDS.get(data.kind).cohort(data),
    )


def drafted_space(own: PlanEvent) -> Space:
    """The space that a plan was drafted with."""
    return Space.from_json(own.space, base=Recipe.from_flat(own.base).flat())


def expected_recipes(search: SearchConfig, epochs: float, *, whole: bool) -> float:
    """About how many recipes a search begins that may train so many epochs in all.

    whole: whether each is trained to its end; else a part of them is, from rung to rung.
    """
    rungs = (0, *search.rungs)
    each = sum((after - before) / search.eta**k for k, (before, after) in enumerate(pairwise(rungs)))
    return epochs / (search.base.epochs if whole else each)


def fewer_dimensions(own: PlanEvent) -> FewerDimensions | None:
    """How many of the dimensions a plan searches and why not all; None where it searches all of them."""
    if not own.left_out:
        return None
    num, of = len(Space.from_json(own.space).searched), len(own.left_out)
    words = f"{num} of {num + of} dimensions, since so few recipes cannot tell more apart"
    return FewerDimensions(dimensions=num, of=num + of, recipes=own.recipes or 0, left_out=own.left_out, words=words)


def _space(preset: Mapping[str, Dimension], asked: Mapping[str, Dimension], base: Recipe) -> Space:
    """The preset's dimensions with those asked for in their place. Raises UsageError for one that never holds."""
    space = Space(joined(preset, asked), base=base.flat())
    idle = space.never()
    for name in asked:
        require(name not in idle, idle.get(name, ""))
    return space.without(idle)
