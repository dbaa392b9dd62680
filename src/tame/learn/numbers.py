"""The numbers that the sentences of a lesson have places for, each computed from a study."""

from __future__ import annotations

import math

from tame.core.evaluation import LanguageAnswers
from tame.core.recipe import Recipe
from tame.learn.seen import Seen, SeenTrial, named
from tame.report import formats


def numbers(seen: Seen) -> dict[str, str]:
    """Each number by its name, as people read it; without those that this study does not have."""
    found: dict[str, str | None] = {
        "study": formats.inert(seen.name), "nouns": seen.nouns, "trained_on": f"{seen.train:,}",
        "validated_on": f"{seen.valid:,}", "tested_on": f"{seen.test:,}" if seen.test else None,
        "trials": formats.count(len(seen.trials), "trial") if seen.trials else None,
        "classes": str(seen.classes) if seen.classes else None, "guess_loss": _loss(seen.guess_loss),
        "metric": formats.metric_name(seen.metric),
    }  # fmt: skip
    if seen.rates is not None:
        low, high = seen.rates
        found |= {"rate_low": formats.compact(low), "rate_high": formats.compact(high)}
        found["rate_powers"] = formats.significant(math.log10(high / low), 2)
    if seen.score is not None:
        value, low, high, n = seen.score
        found |= {name: formats.shown(seen.metric, each) for name, each in
                  (("score", value), ("score_low", low), ("score_high", high), ("chosen", seen.chosen))}  # fmt: skip
        found["scored_on"] = f"{n:,}"
    if seen.best is not None:
        found |= _of_best(seen, seen.best)
    if seen.language is not None:
        found |= _of_language(seen.language)
    found |= _of_verdicts(seen)
    return {name: text for name, text in found.items() if text is not None}


def _of_best(seen: Seen, best: SeenTrial) -> dict[str, str | None]:
    assert best.lowest is not None
    epoch, loss = best.lowest
    recipe, trains = Recipe.from_flat(best.recipe), [train for _, train, _, _ in best.points]
    batch = min(recipe.batch(seen.train), max(seen.train, 1))
    return {
        "best": str(best.number), "best_loss": _loss(loss), "best_epoch": str(epoch), "best_epochs": str(len(trains)),
        "best_rate": formats.compact(recipe.optimizer.lr), "best_optimizer": recipe.optimizer.name,
        "best_schedule": recipe.schedule.name, "best_decay": formats.compact(recipe.optimizer.weight_decay),
        "best_momentum": formats.compact(recipe.optimizer.momentum), "batch": f"{batch:,}",
        "updates": f"{math.ceil(seen.train / batch):,}" if seen.train else None,
        "first_train": _loss(trains[0]), "last_train": _loss(trains[-1]),
        "best_dropout": formats.compact(recipe.model.dropout),
    }  # fmt: skip


def _of_language(own: LanguageAnswers) -> dict[str, str | None]:
    """What a language model gained and forgot."""
    found: dict[str, str | None] = {
        "perplexity_before": formats.compact(own.perplexity.before),
        "perplexity_after": formats.compact(own.perplexity.after), "adapted": f"{own.trained:,}",
    }  # fmt: skip
    if own.other is not None:
        found |= {"other_before": _loss(own.other.bits.before), "other_after": _loss(own.other.bits.after)}
    return found


def _of_verdicts(seen: Seen) -> dict[str, str | None]:
    """How many of the study's curves the doctor calls what."""
    found = [each.verdict for each in named(seen)]
    return {name: str(found.count(name)) for name in ("overfitted", "good", "diverged")} if found else {}


def _loss(value: float | None) -> str | None:
    return None if value is None else formats.number(value)
