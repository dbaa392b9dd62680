"""What the delivered form of a recipe takes here: measured for the best of a search, and again for nobody alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tame.core.errors import NothingTrainedError, require
from tame.core.objectives import Price, amounts, check_limits, looser, shown
from tame.core.recipe import Recipe
from tame.core.records import Trial
from tame.kinds.kind import Data
from tame.study.events import LimitsChanged, RecipePriced
from tame.study.session import Study, reopen
from tame.study.state import Silent, how_to_resume

SHAPED = ("input.", "table.", "model.", "adapter.", "own.", "loss.name")  # fields that what is delivered depends on
SHAPELESS = ("model.dropout", "table.sigma")  # but for these
MOST = 40  # kinds of recipes that are measured, as long as one of them keeps within the limits
SEARCHED = 400  # that are measured to find one
CLOCK_SHARE = 0.05  # of the clock, that measuring may take
CHEAPER = 0.9  # times as much or less is worth a place among the finalists


def is_priced(study: Study) -> bool:
    """Whether it matters what a model takes."""
    return study.config.objective is not None or bool(study.config.limit)


def limits_of(study: Study) -> Mapping[str, float]:
    """The limits in seconds and bytes."""
    return amounts(study.config.limit)


def shape_of(recipes: Sequence[Recipe]) -> str:
    """All that decides what networks with these recipes take together: equal ones take the same, so chance chooses
    none of them."""
    each = [{name: value for name, value in one.flat().items() if name.startswith(SHAPED) and name not in SHAPELESS}
            for one in recipes]  # fmt: skip
    return json.dumps(each, sort_keys=True)


def price(study: Study, data: Data, recipes: Sequence[Recipe]) -> Price:
    """What networks with these recipes take that are delivered together: as the study knows it, else measured now."""
    shape = shape_of(recipes)
    if shape not in study.state.prices:
        fold = None if data.whole else 0
        found = study.worker.price(recipes, fold=fold, labels=data.classes, row=data.rows[0])
        study.keep(RecipePriced(shape=shape, latency_s=found.latency_s, size_bytes=found.size_bytes))
    return study.state.prices[shape]


def is_within(study: Study, data: Data, recipe: Recipe) -> bool:
    """Whether a network with this recipe keeps within the limits, if there are any."""
    return not study.config.limit or price(study, data, [recipe]).within(limits_of(study))


def known_price(study: Study, trial: Trial) -> Price | None:
    """What the trial's network takes, if that was measured."""
    return study.state.prices.get(shape_of([trial.recipe]))


def measure_best(study: Study, data: Data, ranked: Sequence[Trial]) -> None:
    """Measures what the best of a search take. ranked: its trials, the best first.

    Raises NothingTrainedError, with the nearest one, if none of them keeps within the limits.
    """
    if not is_priced(study):
        return
    limits, until_s = limits_of(study), study.used_s + CLOCK_SHARE * (study.config.clock_s or float("inf"))
    kinds = list({shape_of([trial.recipe]): trial for trial in reversed(ranked)}.values())[::-1]
    study.stage(4, "measuring what the best models take on this machine")
    found: list[tuple[Price, Trial]] = []
    for place, trial in enumerate(kinds[:SEARCHED]):
        good = any(own.within(limits) for own, _ in found)
        if good and (place >= MOST or study.used_s > until_s):
            break
        if study.left_s <= 0 and place:
            break
        found.append((price(study, data, [trial.recipe]), trial))
        study.watcher.progress("models measured", place + 1, len(kinds[:SEARCHED] if not good else kinds[:MOST]))
    require_one_within(study, found)


def require_one_within(study: Study, found: Sequence[tuple[Price, Trial]]) -> None:
    """Raises NothingTrainedError, which names the nearest, if none of these trials keeps within the limits."""
    limits = limits_of(study)
    if any(own.within(limits) for own, _ in found):
        return
    nearest, trial = min(found, key=lambda each: (each[0].excess(limits), each[1].number))
    over = [name for name, most in limits.items() if nearest.of(name) > most]
    takes = " and ".join(f"{shown(name, nearest.of(name))} of {name}" for name in over)
    asked = " and ".join(f"{name}={study.config.limit[name]}" for name in limits)
    again = how_to_resume(study.folder, model=study.config.model)
    loose = {**study.config.limit, **{name: looser(name, nearest.of(name)) for name in over}}
    if study.config.model is None:
        more = "".join(f" --limit {name}={text}" for name, text in loose.items())
        again = f"{again}{more}"
    else:
        again = f"{again[:-1]}, limit={loose!r})"
    raise NothingTrainedError(
        f"none of the {len(found)} kinds of models that were measured keeps within {asked}; the nearest, of trial "
        f"{trial.number}, takes {takes}; go on with: {again}"
    )


def preferred(study: Study, ranked: Sequence[Trial]) -> list[Trial]:
    """The trials in which order they become finalists: none that is known to exceed a limit, and with an objective
    those first that take less than all that are better. ranked: the best first; as they are where nothing was measured.
    """
    if not study.state.prices:
        return list(ranked)
    limits, objective = limits_of(study), study.config.objective
    known = [(trial, known_price(study, trial)) for trial in ranked]
    fitting = [trial for trial, own in known if own is None or own.within(limits)]
    if objective is None:
        return fitting
    first, least = list[Trial](), float("inf")
    for trial in fitting:
        own = known_price(study, trial)
        if own is not None and own.of(objective) <= CHEAPER * least:
            first.append(trial)
            least = own.of(objective)
    return [*first, *(trial for trial in fitting if trial not in first)]


def set_limits(folder: Path, limits: Mapping[str, str], *, store: str | None = None) -> None:
    """Gives a study other limits, if there are any. store: as in `open_record`.

    Raises UsageError once its winner is known.
    """
    check_limits(limits)
    if not limits:
        return
    with reopen(folder, Silent(), store=store) as study:
        instead = "its winner is known; start another study, with tame fit and --start-from"
        require(study.state.test_opened is None, f"the limits of {folder} cannot change: {instead}")
        study.keep(LimitsChanged(limits=dict(limits)))
