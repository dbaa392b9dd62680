"""Questions about curves, scores and searches: over- and underfitting, honest tests, what a search may find."""

from __future__ import annotations

import math

from tame.core.recipe import Recipe
from tame.learn.question import Question, Rng, asks, choice
from tame.learn.seen import STAGES, VERDICTS, Named, Seen, Verdict, named
from tame.report import formats


def _named(seen: Seen, rng: Rng) -> Named | None:
    """A trial whose curve can be called something; rare names as often as common ones."""
    by_name = dict[Verdict, list[Named]]()
    for each in named(seen):
        by_name.setdefault(each.verdict, []).append(each)
    if not by_name:
        return None
    own = by_name[sorted(by_name)[int(rng.integers(len(by_name)))]]
    return own[int(rng.integers(len(own)))]


@asks("fit", "rate")
def name_a_curve(seen: Seen, rng: Rng) -> Question | None:
    found = _named(seen, rng)
    if found is None:
        return None
    trial, name = found.trial, found.verdict
    why = "nothing is wrong" if found.cause is None else found.cause.title
    others = [other for other in VERDICTS if other != name]
    shown = [name, *(others[place] for place in rng.permutation(len(others))[:3])]
    return choice(
        f"Look at the curves of trial {trial.number}. What would you say of it?",
        {each: formats.capital(VERDICTS[each]) for each in shown}, name,
        why=f"The doctor says: {formats.sentence(formats.inert(why))}", rng=rng, trial=trial.number,
    )  # fmt: skip


@asks("fit")
def lowest_epoch(seen: Seen, rng: Rng) -> Question | None:
    own = [each for each in seen.readable if each.lowest is not None]
    if not own:
        return None
    trial = own[int(rng.integers(len(own)))]
    assert trial.lowest is not None
    return Question(
        text=f"After which epoch was the validation loss of trial {trial.number} lowest?",
        key=trial.lowest[0], tolerance=1e-9, trial=trial.number,
        why=f"It was {formats.number(trial.lowest[1])} there. Early stopping would keep the weights of that epoch.",
    )  # fmt: skip


@asks("fit")
def gap(seen: Seen, rng: Rng) -> Question | None:
    own = [each for each in seen.readable if None not in each.points[-1][1:3]]
    if not own:
        return None
    trial = own[int(rng.integers(len(own)))]
    _, train, valid, _ = trial.points[-1]
    assert train is not None
    assert valid is not None
    return Question(
        text=f"Trial {trial.number} ended with a training loss of {formats.number(train)} and a validation loss of "
        f"{formats.number(valid)}. How large is the gap, validation minus training?",
        key=valid - train, tolerance=0.1, trial=trial.number,
        why="A gap that grows while the validation loss rises is overfitting; two high losses without one are not.",
    )  # fmt: skip


@asks("honest", "bees")
def half_as_wide(seen: Seen, rng: Rng) -> Question:
    n = seen.score[3] if seen.score else max(seen.test or seen.valid, 1)
    return Question(
        text=f"An interval rests on {n:,} {seen.nouns}. About how many would make it half as wide?",
        key=4 * n, tolerance=0.1, why="The width falls with the square root of the number of examples.",
    )  # fmt: skip


@asks("honest", "bees")
def flattered(seen: Seen, rng: Rng) -> Question | None:
    if seen.score is None or seen.chosen is None:
        return None
    value, _, _, n = seen.score
    options = {
        "high": f"On the {seen.nouns} that chose it: {formats.shown(seen.metric, seen.chosen)}",
        "test": f"On the {n:,} sealed {seen.nouns}: {formats.shown(seen.metric, value)}",
    }  # fmt: skip
    return choice(
        "Which of these two values of your winner can be defended as what to expect of new examples?", options, "test",
        why="The best of many on the same examples is partly the luckiest; the sealed part had no say in the choice.",
        rng=rng,
    )  # fmt: skip


@asks("honest", "bees")
def error_of_a_share(seen: Seen, rng: Rng) -> Question:
    n = seen.score[3] if seen.score else max(seen.valid, 1)
    share = float(rng.choice([0.7, 0.8, 0.9]))
    return Question(
        text=f"An accuracy of {share:g} was measured on {n:,} {seen.nouns}. What is its standard error?",
        key=math.sqrt(share * (1 - share) / n), tolerance=0.06, why="The square root of p × (1 − p) / n.",
    )  # fmt: skip


@asks("honest", "bees")
def what_folds_do(seen: Seen, rng: Rng) -> Question:
    options = {
        "measure": "It measures overfitting, and fixes none of it", "cure": "It is a cure of overfitting",
        "test": f"It makes the {seen.test or seen.valid:,} test {seen.nouns} unnecessary after a search",
    }  # fmt: skip
    why = "Folds give a steadier measurement. The network is as it is, and what chose by them needs another judge."
    return choice("What does cross-validation do about overfitting?", options, "measure", why=why, rng=rng)


@asks("search")
def one_of_the_best(seen: Seen, rng: Rng) -> Question:
    trials = max(len(seen.trials), 5)
    return Question(
        text=f"How probable is it, in percent, that at least one of {trials} random recipes is among the best tenth of "
        "all?",
        key=100 * (1 - 0.9**trials), tolerance=0.03, why="One minus the probability that none is, 0.9 to that power.",
    )  # fmt: skip


@asks("search")
def size_of_a_grid(seen: Seen, rng: Rng) -> Question:
    fields, values = int(rng.integers(2, 6)), int(rng.integers(3, 6))
    return Question(
        text=f"A grid has {values} values for each of {fields} fields. How many recipes is that?",
        key=values**fields, tolerance=1e-9,
        why="It grows with every field, whether that matters or not; random search spends nothing on the others.",
    )  # fmt: skip


@asks("search")
def higher_rate(seen: Seen, rng: Rng) -> Question | None:
    if seen.best is None or seen.rates is None:
        return None
    low, high = seen.rates
    rate = Recipe.from_flat(seen.best.recipe).optimizer.lr
    place = math.log(rate / low) / math.log(high / low)
    where = "edge" if not 0.1 <= place <= 0.9 else "inside"
    options = {"edge": "Widen the space: the best is near its edge", "inside": "The space is wide enough for the rate"}
    return choice(
        f"The best of your trials has a rate of {formats.compact(rate)}; searched were {formats.compact(low)} to "
        f"{formats.compact(high)}. What follows?", options, where, rng=rng, trial=seen.best.number,
        why="On a logarithmic scale, the outer tenths of a range are its edges.",
    )  # fmt: skip


@asks("loop")
def stage_of(seen: Seen, rng: Rng) -> Question | None:
    stages = sorted({stage for stage, _ in seen.told})
    if not stages:
        return None
    stage = stages[int(rng.integers(len(stages)))]
    own = [said for each, said in seen.told if each == stage]
    said = own[int(rng.integers(len(own)))]
    return choice(
        f"“{said}” Which stage of the loop is that?", STAGES, stage, rng=rng,
        why=f"{STAGES[stage]}: {WHAT[stage]}",
    )  # fmt: skip


WHAT = {
    "T": "a population of recipes is trained and measured.", "A": "the search is steered by what was measured.",
    "M": "curves are watched, and what is wrong is named and treated.",
    "E": "the finalists are judged, at the end and once, on examples nothing has seen.",
}  # fmt: skip
