"""The plan of a study, drafted and then fitted to its clock: pure functions of config, data and measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
from tame.study.clock_shares import MORE_DATA_SHARE, ending, linear_s, quotes_s, searching, trees_s
from tame.study.events import PlanEvent

SEARCHED_SHARE = 0.6  # of the clock for the search without a backbone; the finalists take the rest
LEAST_EPOCHS = 4
LEAST_RUNS = 6  # whole trainings that the smallest study comes to: what is tried first, the best, and what is delivered
LONE = 1.25  # times the forecast of a training that is the only one, which must reach its end
FIRST_SHARE = 0.3  # of the remaining time, for the first epochs of the recipes that start together
LEAST_COHORT = 3
NEW_INPUTS = 1 / 3  # share of started recipes that need new inputs
MANY = 100_000  # trials, if the user gives no number


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Fine-tuning of what has given features already. epoch_s: of its cheapest recipe, one fold; None where that was
    not measured; kept_s: seconds that are kept for it, 0 where the clock has no room."""

    epoch_s: float | None
    kept_s: float


def draft(
    config: StudyConfig, data: Data, costs: Costs | None, *, used_s: float, recipes: float | None = None,
    slower: float = 1.0, tuning: TuningPlan | None = None,
) -> PlanEvent:  # fmt: skip
    """The plan as it is stored.

    costs: of features; None for networks from scratch. recipes: how many the clock allows, if known; slower: how
    many times as long short work takes now because of other programs; tuning: without costs, if there is any. Raises
    UsageError for a space with nothing to search.
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
    end = ending(base, sizes, costs, config.clock_s, slower=slower)
    if KINDS.get(data.kind).has_linear and config.clock_s is not None:
        end = replace(end, end_s=end.end_s + linear_s(config.clock_s))
    if config.baseline is not None and config.clock_s is not None:
        end = replace(end, end_s=end.end_s + trees_s(config.clock_s))
    if data.texts[0] and config.clock_s is not None:
        end = replace(end, end_s=end.end_s + quotes_s(config.clock_s))
    if config.more_data and config.clock_s is not None:
        end = replace(end, end_s=end.end_s + MORE_DATA_SHARE * config.clock_s)
    if tuning is not None:
        end = replace(end, end_s=end.end_s + tuning.kept_s)
    search = searching(sizes, costs, config.clock_s, end_s=end.end_s, used_s=used_s, num_runs=data.num_runs)
    epoch_s = costs.epoch_s if costs is not None else None if tuning is None else tuning.epoch_s
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
        to_the_end=search.to_the_end if tuning is None else not tuning.kept_s,
        epoch_s=epoch_s if epoch_s is not None and math.isfinite(epoch_s) else None,
        tuning_s=None if tuning is None else tuning.kept_s,
        smallest=min(costs.learnt) if costs else None,
        end_s=end.end_s,
        other_size_s=end.other_size_s,
        tunes=(costs is not None and costs.tunes) or tuning is not None,
        speed=asdict(costs.speed) if costs else None,
    )


def fits_epochs(config: StudyConfig) -> bool:
    """Whether the clock decides how long recipes train without a backbone."""
    return config.clock_s is not None and config.epochs is None and "epochs" not in config.set


def fitted(
    config: StudyConfig,
    data: Data,
    own: PlanEvent,
    epoch_s: float,
    *,
    used_s: float,
    prepare_s: float = 0.0,
    slower: float = 1.0,
    tuning: TuningPlan | None = None,
) -> PlanEvent:
    """The plan with as many epochs, recipes and dimensions as the clock allows.

    epoch_s, prepare_s: seconds for a trial with its folds; prepare_s if its inputs are new; tuning: as of `draft`.
    """
    assert config.clock_s is not None
    kind, whole = KINDS.get(data.kind), config.search in WHOLE
    affordable = max(config.clock_s - used_s - own.end_s, 0.0) / epoch_s
    most = kind.most_epochs or Recipe.from_flat(own.base).epochs
    least = min(LEAST_EPOCHS, max(1, int(affordable / LEAST_RUNS)))  # a slow machine completes shorter trainings
    runs = kind.runs if data.blocks is None else data.blocks.runs
    epochs = min(max(int(affordable / max(runs, LONE)), least), most)
    config = replace(config, epochs=epochs, time_s=config.clock_s)  # the default clock applies only without epochs
    search = search_of(draft(config, data, None, used_s=used_s, slower=slower, tuning=tuning), data)
    recipes = expected_recipes(search, SEARCHED_SHARE * affordable, whole=whole)
    found = draft(config, data, None, used_s=used_s, recipes=recipes, slower=slower, tuning=tuning)
    first = search.base.epochs if whole else search.rungs[0]
    each = first + NEW_INPUTS * prepare_s / epoch_s  # cost of starting a recipe, in epochs
    cohort = min(max(int(FIRST_SHARE * affordable / each), LEAST_COHORT), kind.cohort(data))
    # Where the clock is for one training, a second recipe would take from the first what neither has to spare.
    return replace(found, cohort=cohort, trials=1 if runs == 1 and found.trials is None else found.trials)


def at_once(own: PlanEvent) -> PlanEvent | None:
    """The plan with those alone of its first recipes that are solved at once, where others are trained for many epochs;
    None where there are none of them."""
    base = Recipe.from_flat(own.base)
    tried = [{name: value for name, value in each.items() if name not in own.fixed} for each in own.portfolio]
    first, *rest = [each for each in tried if base.but(each).is_single] or [{}]
    if base.is_single or not first:
        return None
    every = 1 + len(rest)
    return replace(
        own, base=base.but(first).flat(), portfolio=tuple(rest), space={}, trials=min(own.trials or every, every),
        left_out=(*own.left_out, *Space.from_json(own.space).dimensions), tunes=False, tuning_s=None, epoch_s=None,
        end_s=own.end_s - (own.tuning_s or 0.0), cohort=every,
    )  # fmt: skip


def search_of(own: PlanEvent, data: Data) -> SearchConfig:
    """The bounds of a plan's search."""
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
    """About how many recipes a search starts that may train this many epochs in total.

    whole: whether every recipe is trained to the end; otherwise a part of them moves on at each rung.
    """
    rungs = (0, *search.rungs)
    each = sum((after - before) / search.eta**k for k, (before, after) in enumerate(pairwise(rungs)))
    return epochs / (search.base.epochs if whole else each)


def fewer_dimensions(own: PlanEvent) -> FewerDimensions | None:
    """How many of the dimensions a plan searches, and why not all; None if it searches all."""
    if not own.left_out:
        return None
    num, of = len(Space.from_json(own.space).searched), len(own.left_out)
    words = f"{num} of {num + of} dimensions (there are too few recipes for more)"
    return FewerDimensions(dimensions=num, of=num + of, recipes=own.recipes or 0, left_out=own.left_out, words=words)


def _space(preset: Mapping[str, Dimension], asked: Mapping[str, Dimension], base: Recipe) -> Space:
    """The preset's dimensions, replaced by those asked for. Raises UsageError for one that is never active."""
    space = Space(joined(preset, asked), base=base.flat())
    idle = space.never()
    for name in asked:
        require(name not in idle, idle.get(name, ""))
    return space.without(idle)
