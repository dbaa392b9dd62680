"""The forecast: seconds, recipes and memory that a study will take, told before it trains; made once, kept as an event.

Seconds are measured on a few steps, and on how much of the processor other programs take just now. Memory is what the
processes hold once those steps are taken, and what the largest group of the first recipes is counted to add.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from tame.adjust import portfolio
from tame.adjust.sampling import proposals
from tame.adjust.searchers import WHOLE
from tame.adjust.thaw import TRUSTED
from tame.core.records import Event, Finding
from tame.kinds.costs import Speed
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.report.words import duration
from tame.study.plan import TUNE_EPOCHS, Plan, expected_recipes
from tame.study.reserve import CLOCKLESS_SEEDS, finalists_s, reserve_s
from tame.study.session import Study
from tame.study.state import findings_events
from tame.worker.machine import available_bytes, peak_bytes

CODE = "memory_short"
BOOKS_S = 0.0025  # of an epoch of a trial, for keeping its curve and choosing what trains next (measured on two cores)
THAWS = ("auto", "thaw")
SURPRISE = 1.5  # factor between forecast and first round, from which on the watcher is told


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. needs: of all processes at their peak; available: what they hold already and what is left beside it."""

    needs: int
    available: int | None

    @property
    def is_short(self) -> bool:
        return self.available is not None and self.needs > self.available


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study will take. epoch_s, alone_s: an epoch of the default recipe with its folds, in company and without;
    mean_s: of all recipes, with what is done beside training; slower: how many times as long other programs make that
    now, which is in these seconds.

    recipes, whole: how many are begun, and how many of them trained to their end; search_until_s: of the clock, None
    without one; all_s: the whole study, where no clock holds; features_s: by input size, computed once; memory: of
    this machine, device: of its accelerator; None where the system does not tell, or there is none.
    """

    epoch_s: float
    alone_s: float
    mean_s: float
    slower: float
    recipes: int
    whole: int
    search_until_s: float | None
    clock_s: float | None
    all_s: float | None
    memory: Memory | None
    device: Memory | None
    features_s: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the sentences that tell them."""
        plain = asdict(self)
        plain["features_s"] = {str(size): cost for size, cost in self.features_s.items()}
        return {**plain, "words": self.words()}

    def words(self) -> list[str]:
        """What people are told: of the epochs, of the recipes, of the memory."""
        found = [f"an epoch of the default recipe takes {_s(self.epoch_s)} in company, {_s(self.alone_s)} alone"]
        if self.slower > SURPRISE:
            found[0] += f"; other programs make it {self.slower:.1f} times slower"
        begun = _begun_words(self.recipes, self.whole)
        if self.all_s is not None:
            found.append(f"{begun}; the whole study takes about {duration(self.all_s)}")
        elif self.search_until_s is not None and self.clock_s is not None:
            until, clock = self.search_until_s, self.clock_s
            told = f"by {until:.0f} s of {clock:.0f} s"
            if until >= clock:
                begun, told = f"a clock of {clock:g} s is too short", "nothing will be trained"
            found.append(f"{begun}, {told}")
        memory = [
            f"about {_gb(own.needs)}" + (f" of {_gb(own.available)}{where}" if own.available else "")
            for own, where in ((self.memory, " that may be had"), (self.device, " on the device"))
            if own is not None
        ]
        return [*found, f"memory: {', '.join(memory)}"] if memory else found


def foretell(study: Study, data: Data, plan: Plan) -> None:
    """Makes the forecast of a study that has not begun to train, tells it the watcher, and keeps it as an event.

    Where memory will be short a finding says what would help.
    """
    known = study.state.last.get("forecast")
    if study.history.trials or (known is not None and known["clock_s"] == study.config.clock_s):
        return
    found = forecast(study, data, plan)
    short = [own for own in (found.memory, found.device) if own is not None and own.is_short]
    findings = [_short(data.kind, own) for own in short[:1]]
    study.keep(Event("forecast", found.to_json()), *findings_events(findings))
    for line in (*found.words(), *(f"warning: {each.title}; {each.change}" for each in findings)):
        study.watcher.note(line)


def correct(study: Study, plan: Plan) -> None:
    """Holds the forecast against the first round that trained, once, and tells where it was far off.

    Of a search that trains recipes wholly it is the last stretch of the first ones: the stretches before are short, and
    the first one is slow.
    """
    known, history, epochs = study.state.last.get("forecast"), study.history, study.state.epochs
    if known is None or "forecast_corrected" in study.state.last or not epochs:
        return
    search, until, recipes = study.config.search, known["search_until_s"], float(known["recipes"])
    mean_s = study.state.epoch_s + known["slower"] * BOOKS_S
    if search in WHOLE:
        if not any(trial.epochs >= trial.recipe.epochs for trial in history.trials.values()):
            return
        if len(study.state.marks) > 1:
            (before_s, before), (after_s, after) = study.state.marks[-2:]
            mean_s = (after_s - before_s) / max(after - before, 1)
    if until is None:
        _, total = _without_clock(plan, search)
    else:
        total = epochs + max(until - study.used_s, 0.0) / mean_s
        recipes = max(len(history.trials), _begun(plan, total, search))
    found: dict[str, Any] = {
        "mean_s": mean_s, "recipes": round(recipes),
        "whole": round(_trained_whole(plan, recipes, total, search, clocked=until is not None)),
    }  # fmt: skip
    if until is None:
        found["all_s"] = study.used_s + (total - epochs) * mean_s + _last_s(plan, mean_s, CLOCKLESS_SEEDS)
    study.keep(Event("forecast_corrected", found))
    if not 1 / SURPRISE < mean_s / known["mean_s"] < SURPRISE:
        begun = _begun_words(found["recipes"], found["whole"])
        more = f"; the whole study takes about {duration(found['all_s'])}" if until is None else ""
        study.watcher.note(f"an epoch took {_s(mean_s)}, {_s(known['mean_s'])} was forecast: {begun}{more}")


def forecast(study: Study, data: Data, plan: Plan) -> Forecast:
    """What the study will take from here, by its plan. Rehearses the default recipe for a few steps."""
    config, about = study.config, study.state.last["plan"]
    tried = study.worker.rehearse(plan.search.base, folds=[0])
    slower = study.worker.slowdown(plan.search.base)
    epoch_s, alone_s = (slower * own * data.split.folds for own in (tried.epoch_s, tried.alone_s))
    company_s = about.get("company_s")
    mean_s = (epoch_s if company_s is None else slower * company_s) + slower * BOOKS_S
    features_s = _features_s(study, data, plan, about)
    memory, device = _memory(study, data, plan, about)
    until = None if math.isinf(plan.search_until_s) else plan.search_until_s
    if config.clock_s is None:
        recipes, epochs = _without_clock(plan, config.search)
        last = _last_s(plan, mean_s, CLOCKLESS_SEEDS)
        all_s = study.used_s + sum(features_s.values()) + epochs * mean_s + last + plan.end_s
    else:
        assert until is not None
        if not plan.sizes or about["to_the_end"]:
            until -= reserve_s(plan, mean_s, epochs=plan.search.base.epochs, clock_s=config.clock_s)
        left = max(until - study.used_s - sum(features_s.values()), 0.0)
        recipes, epochs, all_s = _begun(plan, left / mean_s, config.search), left / mean_s, None
    whole = _trained_whole(plan, recipes, epochs, config.search, clocked=config.clock_s is not None)
    return Forecast(
        epoch_s,
        alone_s,
        mean_s,
        slower,
        round(recipes),
        round(whole),
        until,
        config.clock_s,
        all_s,
        memory,
        device,
        features_s,
    )


def _most(plan: Plan) -> float:
    """How many recipes there are to begin, at the most."""
    return min(plan.search.trials, 1 + len(plan.search.portfolio) + plan.space.count)


def _begun(plan: Plan, epochs: float, search: str) -> float:
    """How many recipes begin in so many epochs: those that start together do in any case."""
    expected = expected_recipes(plan.search, epochs, whole=search in WHOLE)
    return min(_most(plan), max(plan.search.cohort, expected))


def _without_clock(plan: Plan, search: str) -> tuple[float, float]:
    """How many recipes begin where nothing ends the search before all have, and how many epochs that takes."""
    recipes = _most(plan)
    each = 1 / expected_recipes(plan.search, 1.0, whole=search in WHOLE)
    return recipes, recipes * each


def _trained_whole(plan: Plan, recipes: float, epochs: float, search: str, *, clocked: bool) -> float:
    """How many of the recipes are trained to their end: of those that are compared on the way the best, but the first
    known ones in any case, as far as the time goes.

    A search that freezes and thaws begins more recipes while there is time, and ends fewer (measured: 7 of 158).
    """
    last, first = plan.search.base.epochs, plan.search.rungs[0]
    if search in WHOLE or first == last:
        return min(recipes, epochs / last)
    cuts = len(plan.search.rungs) - 1 + (clocked and search in THAWS)
    best = recipes / float(plan.search.eta**cuts)
    known = min(TRUSTED, 1 + len(plan.search.portfolio)) if search == "auto" and plan.search.portfolio else 0
    left = epochs - min(plan.search.cohort, recipes) * first
    time = left / (last - first) if clocked else math.inf  # without a clock nothing cuts them off
    return max(0.0, min(max(best, known), time, recipes))


def _last_s(plan: Plan, epoch_s: float, num_seeds: int) -> float:
    return finalists_s(plan, epoch_s, epochs=plan.search.base.epochs, num_seeds=num_seeds)


def _features_s(study: Study, data: Data, plan: Plan, about: Mapping[str, Any]) -> dict[int, float]:
    """Seconds that the features take at each size; those that are kept from an earlier study take none."""
    features = KINDS.get(data.kind).features
    if features is None or not plan.sizes:
        return {}
    base, speed = plan.search.base, Speed.from_json(about["speed"])
    return {size: features.missing_s(study.worker, data, base, speed, size=size) for size in plan.sizes}


def _memory(study: Study, data: Data, plan: Plan, about: Mapping[str, Any]) -> tuple[Memory | None, Memory | None]:
    """What the processes will hold, and their accelerator."""
    room = plan.search.cohort if plan.search.trials is None else min(plan.search.cohort, plan.search.trials)
    first = [recipe for _, recipe in islice(proposals(plan.space, study.config.seed, plan.search), room)]
    tuning = tried = None
    if about["tunes"] and study.config.clock_s is not None and not about["to_the_end"]:
        assert data.backbone is not None
        head, stages = plan.search.base, data.backbone.stages
        size, epochs = max(plan.sizes), TUNE_EPOCHS[1]
        tuning = portfolio.fine_tuning(head, size=size, epochs=epochs, stages=stages, seed=head.seed)
    elif not plan.sizes:
        tried = plan.search.base
    use = study.worker.memory(first, folds=plan.folds, tuning=tuning, rehearsed=tried)
    device = use.device
    on_device = None if device is None else Memory(device.peak_bytes + use.adds_bytes, device.total_bytes)
    own, left = peak_bytes(), available_bytes()
    if use.peak_bytes is None or own is None:
        return None, on_device
    held = use.peak_bytes + (own if use.process != os.getpid() else 0)
    needs = held + (use.adds_bytes if device is None else 0)
    return Memory(needs, None if left is None else left + held), on_device


def _short(kind: str, memory: Memory) -> Finding:
    title = f"the study will need about {_gb(memory.needs)} of memory, and {_gb(memory.available or 0)} may be had"
    smaller = KINDS.get(kind).smaller
    change = f"end other programs, or give {smaller} or smaller batches (--set batch_size=16)"
    evidence = {"needs_bytes": memory.needs, "available_bytes": memory.available}
    return Finding(CODE, title, "warning", evidence, change)


def _begun_words(recipes: int, whole: int) -> str:
    begun = "one recipe begins" if recipes == 1 else f"about {recipes:,} recipes begin"
    return f"{begun}, and {whole or 'none'} of them {'trains' if whole == 1 else 'train'} to the end"


def _s(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 60 else duration(seconds)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"
