"""The forecast of a study's seconds, recipes and memory, shown before training; made once, stored as an event.

Seconds are measured on a few steps, together with the share of the processor that other programs use now. Memory is the
use of the processes after those steps, plus the computed need of the largest group of the first recipes.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from itertools import islice

from tame.adjust.sampling import proposals
from tame.adjust.searchers import WHOLE
from tame.adjust.thaw import TRUSTED
from tame.core.records import Finding
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.report.formats import duration
from tame.study.draft import expected_recipes
from tame.study.events import Forecast, ForecastCorrected, Memory
from tame.study.plan import TUNE_EPOCHS, Plan
from tame.study.reserve import CLOCKLESS_SEEDS, finalists_s, reserve_s
from tame.study.session import Study
from tame.study.state import State, findings_events
from tame.worker.machine import available_bytes, peak_bytes

CODE = "memory_short"
BOOKS_S = 0.0025  # per epoch of a trial, to store its curve and choose what trains next (measured on two cores)
THAWS = ("auto", "thaw")
SURPRISE = 1.5  # factor between forecast and first round from which on the user is told


def in_words(own: Forecast) -> tuple[str, ...]:
    """The forecast as sentences: epochs, recipes, memory."""
    found = [f"an epoch of the default recipe takes {_s(own.epoch_s)} when trained in a group, {_s(own.alone_s)} alone"]
    if own.slower > SURPRISE:
        found[0] += f"; other programs make it {own.slower:.1f} times slower"
    begun = _begun_words(own.recipes, own.whole)
    if own.all_s is not None:
        found.append(f"{begun}; the whole study takes about {duration(own.all_s)}")
    elif own.search_until_s is not None and own.clock_s is not None:
        until, clock = own.search_until_s, own.clock_s
        if (own.used_s or 0.0) < until < clock:
            found.append(f"{begun}, by {until:.0f} s of {clock:.0f} s")
        else:  # whether it is too short to begin at all is asked next, and ends the study
            found.append(f"a clock of {round(clock, 1):g} s is short: it may end before a recipe is trained to its end")
    memory = [
        f"about {_gb(each.needs)}" + (f" of {_gb(each.available)}{where}" if each.available else "")
        for each, where in ((own.memory, " available"), (own.device, " on the device"))
        if each is not None
    ]
    return (*found, f"memory: {', '.join(memory)}") if memory else tuple(found)


def foretell(study: Study, data: Data, plan: Plan) -> None:
    """Makes the forecast of a study that has not started training, shows it, and stores it as an event.

    If memory will be short, a finding says what would help.
    """
    known = study.state.forecast
    if study.history.trials or (known is not None and known.clock_s == study.config.clock_s):
        return
    found = forecast(study, data, plan)
    short = [own for own in (found.memory, found.device) if own is not None and own.is_short]
    findings = [_short(data.kind, own) for own in short[:1]]
    study.keep(found, *findings_events(findings))
    for line in (*found.words, *(f"warning: {each.title}; {each.change}" for each in findings)):
        study.watcher.note(line)


def correct(study: Study, plan: Plan) -> None:
    """Compares the forecast with the first round of training, once, and says if it was far off.

    A search that trains every recipe to the end is measured on the last stretch of the first recipes, because earlier
    stretches are short and the first one is slow.
    """
    known, history, epochs = study.state.forecast, study.history, study.state.epochs
    if known is None or study.state.forecast_corrected is not None or not epochs:
        return
    search, until, recipes = study.config.search, known.search_until_s, float(known.recipes)
    mean_s = _measured_s(study.state, known, search)
    if mean_s is None:
        return
    if until is None:
        _, total = _without_clock(plan, search)
    else:
        total = epochs + max(until - study.used_s, 0.0) / mean_s
        recipes = max(len(history.trials), _begun(plan, total, search))
    whole = _trained_whole(plan, recipes, total, search, clocked=until is not None)
    all_s = None
    if until is None:
        all_s = study.used_s + (total - epochs) * mean_s + _last_s(plan, mean_s, CLOCKLESS_SEEDS)
    found = ForecastCorrected(mean_s=mean_s, recipes=round(recipes), whole=round(whole), all_s=all_s)
    study.keep(found)
    if known.mean_s and not 1 / SURPRISE < mean_s / known.mean_s < SURPRISE:
        begun = _begun_words(found.recipes, found.whole)
        more = f"; the whole study takes about {duration(all_s)}" if all_s is not None else ""
        study.watcher.note(f"an epoch took {_s(mean_s)}, not {_s(known.mean_s)} as forecast: {begun}{more}")


def _measured_s(state: State, known: Forecast, search: str) -> float | None:
    """Seconds per epoch of a trial, overhead included; None if it is not known yet."""
    if search in WHOLE:
        if not any(trial.epochs >= trial.recipe.epochs for trial in state.history.trials.values()):
            return None
        if len(state.marks) > 1:
            before, after = state.marks[-2:]
            return (after.used_s - before.used_s) / max(after.epochs - before.epochs, 1)
    return state.epoch_s + known.slower * BOOKS_S


def forecast(study: Study, data: Data, plan: Plan) -> Forecast:
    """The forecast from here on, by the plan. Trains the default recipe for a few steps to measure it."""
    config = study.config
    if config.clock_s is not None and plan.search.base.is_single:
        return _unmeasured(study, plan, config.clock_s)
    tried = study.worker.rehearse(plan.search.base, folds=[0])
    slower = study.worker.slowdown(plan.search.base)
    epoch_s, alone_s = (slower * own * data.split.folds for own in (tried.epoch_s, tried.alone_s))
    mean_s = (epoch_s if plan.company_s is None else slower * plan.company_s) + slower * BOOKS_S
    features_s = _features_s(study, data, plan)
    memory, device = _memory(study, data, plan)
    until = None if math.isinf(plan.search_until_s) else plan.search_until_s
    if config.clock_s is None:
        recipes, epochs = _without_clock(plan, config.search)
        last = _last_s(plan, mean_s, CLOCKLESS_SEEDS)
        all_s = study.used_s + sum(features_s.values()) + epochs * mean_s + last + plan.end_s
    else:
        assert until is not None
        if not plan.sizes or plan.to_the_end:
            until -= reserve_s(plan, mean_s, epochs=plan.search.base.epochs, clock_s=config.clock_s)
        left = max(until - study.used_s - sum(features_s.values()), 0.0)
        recipes, epochs, all_s = _begun(plan, left / mean_s, config.search), left / mean_s, None
    whole = _trained_whole(plan, recipes, epochs, config.search, clocked=config.clock_s is not None)
    found = Forecast(
        epoch_s=epoch_s, alone_s=alone_s, mean_s=mean_s, slower=slower, recipes=round(recipes), whole=round(whole),
        search_until_s=until, clock_s=config.clock_s, used_s=study.used_s, all_s=all_s, memory=memory, device=device,
        features_s={str(size): cost for size, cost in features_s.items()},
    )  # fmt: skip
    return replace(found, words=in_words(found))


def _unmeasured(study: Study, plan: Plan, clock_s: float) -> Forecast:
    """Of models that are solved at once: to measure one would take as long as to train it."""
    until, recipes = plan.search_until_s - reserve_s(plan, 0.0, epochs=1, clock_s=clock_s), round(_most(plan))
    return Forecast(
        epoch_s=0.0, alone_s=0.0, mean_s=0.0, slower=1.0, recipes=recipes, whole=recipes, search_until_s=until,
        clock_s=clock_s, used_s=study.used_s, words=("models are solved at once, and none is measured before",),
    )  # fmt: skip


def _most(plan: Plan) -> float:
    """The largest number of recipes that can start."""
    return min(plan.search.trials, 1 + len(plan.search.portfolio) + plan.space.count)


def _begun(plan: Plan, epochs: float, search: str) -> float:
    """How many recipes start within this many epochs; the first cohort always does."""
    expected = expected_recipes(plan.search, epochs, whole=search in WHOLE)
    return min(_most(plan), max(plan.search.cohort, expected))


def _without_clock(plan: Plan, search: str) -> tuple[float, float]:
    """How many recipes start if nothing ends the search earlier, and how many epochs that takes."""
    recipes = _most(plan)
    each = 1 / expected_recipes(plan.search, 1.0, whole=search in WHOLE)
    return recipes, recipes * each


def _trained_whole(plan: Plan, recipes: float, epochs: float, search: str, *, clocked: bool) -> float:
    """How many recipes are trained to the end: the best at each comparison, and always the first known good ones, if
    there is time.

    A search that freezes and thaws starts more recipes while there is time, and finishes fewer (measured: 7 of 158).
    """
    last, first = plan.search.base.epochs, plan.search.rungs[0]
    if search in WHOLE or first == last:
        return min(recipes, epochs / last)
    cuts = len(plan.search.rungs) - 1 + (clocked and search in THAWS)
    best = recipes / float(plan.search.eta**cuts)
    known = min(TRUSTED, 1 + len(plan.search.portfolio)) if search == "auto" and plan.search.portfolio else 0
    left = epochs - min(plan.search.cohort, recipes) * first
    time = left / (last - first) if clocked else math.inf  # without a clock, nothing stops them
    return max(0.0, min(max(best, known), time, recipes))


def _last_s(plan: Plan, epoch_s: float, num_seeds: int) -> float:
    return finalists_s(plan, epoch_s, epochs=plan.search.base.epochs, num_seeds=num_seeds)


def _features_s(study: Study, data: Data, plan: Plan) -> dict[int, float]:
    """Seconds to compute the features at each size; features kept from an earlier study take none."""
    features = KINDS.get(data.kind).features
    if features is None or plan.speed is None:
        return {}
    base, speed = plan.search.base, plan.speed
    return {size: features.missing_s(study.worker, data, base, speed, size=size) for size in plan.sizes}


def _memory(study: Study, data: Data, plan: Plan) -> tuple[Memory | None, Memory | None]:
    """The memory that the processes and the accelerator will use."""
    room = plan.search.cohort if plan.search.trials is None else min(plan.search.cohort, plan.search.trials)
    first = [recipe for _, recipe in islice(proposals(plan.space, study.config.seed, plan.search), room)]
    tuning = tried = None
    tunes = KINDS.get(data.kind).tuning
    if plan.tunes and study.config.clock_s is not None and not plan.to_the_end:
        assert tunes is not None
        head = plan.search.base
        tuning = tunes.recipes(data, head, plan.sizes, epochs=TUNE_EPOCHS[1], seed=head.seed)[0][0]
    if not plan.sizes:
        tried = plan.search.base
    use = study.worker.memory(first, folds=plan.folds, tuning=tuning, rehearsed=tried)
    device = use.device
    on_device = None if device is None else Memory(device.peak_bytes + use.adds_bytes, device.total_bytes)
    own, left = peak_bytes(), available_bytes()
    if use.peak_bytes is None or own is None:
        return None, on_device
    held = use.peak_bytes + (own if use.process != os.getpid() else 0)
    others = (study.config.workers or 1) - 1  # of which each reads the data too
    needs = held + others * use.peak_bytes + (use.adds_bytes if device is None else 0)
    return Memory(needs, None if left is None else left + held), on_device


def _short(kind: str, memory: Memory) -> Finding:
    available = _gb(memory.available or 0)
    title = f"the study will need about {_gb(memory.needs)} of memory, but only {available} is available"
    smaller = KINDS.get(kind).words.smaller
    change = f"close other programs, or use {smaller} or smaller batches (--set batch_size=16)"
    evidence = {"needs_bytes": memory.needs, "available_bytes": memory.available}
    return Finding(CODE, title, "warning", evidence, change)


def _begun_words(recipes: int, whole: int) -> str:
    begun = "one recipe will start" if recipes == 1 else f"about {recipes:,} recipes will start"
    return f"{begun}, and {whole or 'none'} will be trained to the end"


def _s(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 60 else duration(seconds)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"
