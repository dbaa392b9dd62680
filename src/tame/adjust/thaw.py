"""Freeze-thaw: of all waiting curves and all candidate recipes, the most promising are trained next.

After an opening that covers the space, a surrogate is fitted to all partial curves. Each place in a round goes to the
curve, old or new, with the largest expected improvement over the best value so far, within a number of epochs drawn for
that place: short horizons pick what pays off soon, long ones what may become best. A trial that is not chosen waits
with its weights, so that no epoch is trained twice.
Sources: Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization (2014); Rakotoarison et al., In-Context Freeze-Thaw
Bayesian Optimization (2024), for the random horizon.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np

from tame.adjust.candidates import candidates, features, some_of
from tame.adjust.sampling import existing, once, proposals, sobol_points, tidy, untried
from tame.adjust.searcher import (
    DEFAULT_REASON,
    SEARCHERS,
    SearchConfig,
    at_rest,
    complete,
    loss_at,
    next_stop,
    searched,
    trains,
)
from tame.adjust.surrogate import Array, Measured, expected_improvement, fit
from tame.core.recipe import Recipe, Value
from tame.core.records import DEFAULT, LOST, PORTFOLIO, Decision, History, Origin, Trial
from tame.core.rng import stream, stream_seed
from tame.core.space import Choice, Space, field_of

OPENING = 6  # the fewest recipes before the first prediction
INNER, MIDDLE = 1 / 4, 24  # share of each range that holds the first points of an unknown space, and their number
TRUSTED = 5  # recipes known to work that are trained to their end before anything is given up
SPREAD = 12  # recipes of the whole space that start along with the known ones, so that it is covered too
GOOD, OTHERS = 36, 36  # trials that the surrogate is fitted to: the best, and as many of the other ranks
WHOLE = 5  # the best trials, of whose curves more than the last value is used
GROWTH, MOST_USED = 1.7, 5  # ratio of two consecutive epochs of such a curve that are used, and the most of them
PARTS, LEAST_TOGETHER = 4, 8  # the trials start in parts, so that later ones learn from earlier; least size
CLIP, WARP = 2.5, 0.1  # in units of median minus best: the worst value used; where the log scale starts
NEW = 384  # candidate recipes
BEST = 5  # trials near which half of the candidates are drawn
VIEWS = 8  # the most horizons drawn for a round
OPENED = "one of the first, which cover the space or its middle"
MOST_WAITING = 64  # waiting trials, in addition to two cohorts; beyond that the least promising are given up


@SEARCHERS.add("thaw")
def decide_thaw(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe and some that cover the space, then whatever is most promising."""
    points = sobol_points(len(space), stream_seed(seed, "sobol")) if len(space) else iter(())
    opening = once("sobol", existing(_middle_first(points), config), space, config)
    return _decide(history, space, seed, config, opening, least=OPENING, trusted=0)


@SEARCHERS.add("auto")
def decide_auto(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe and the portfolio, some that cover the space, then whatever is most promising.

    Without a portfolio nothing is known to work, and this is `thaw`.
    """
    if not config.portfolio:
        return decide_thaw(history, space, seed, config=config)
    known = 1 + len(config.portfolio)
    trusted = min(TRUSTED, known)
    opening = proposals(space, seed, config)
    return _decide(history, space, seed, config, opening, least=known + SPREAD, trusted=trusted)


def _middle_first(points: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The points, the first ones moved towards the middle of the space: in many dimensions nearly all points lie in
    corners, and people choose ranges with the likelier values in the middle."""
    for place, point in enumerate(points):
        yield 0.5 + INNER * (point - 0.5) if place < MIDDLE else point


@dataclass(frozen=True, slots=True)
class Scale:
    """The surrogate's scale of losses: log distance from the best, with mean 0 and standard deviation 1."""

    best: float
    unit: float  # from the best to the median
    mean: float = 0.0
    deviation: float = 1.0

    def seen(self, losses: Array) -> Array:
        """Losses (N,) on the surrogate's scale; those that are not finite count as the worst."""
        above = np.clip((losses - self.best) / self.unit, 0.0, CLIP)
        found: Array = (np.log(above + WARP) - self.mean) / self.deviation
        return found

    def loss(self, seen: float) -> float:
        """The loss for a value on the surrogate's scale."""
        return self.best + self.unit * (math.exp(min(seen * self.deviation + self.mean, CLIP)) - WARP)


@dataclass(frozen=True, slots=True)
class View:
    """What every curve is expected to reach within a number of epochs: gain and mean (R,), on the surrogate's scale."""

    epochs: int
    gain: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Pick:
    """A trial that continues, or a recipe that starts, and why."""

    reason: str
    trial: Trial | None = None
    recipe: Recipe | None = None
    origin: Origin = "model"


def _decide(
    history: History,
    space: Space,
    seed: int,
    config: SearchConfig,
    opening: Iterator[tuple[Origin, Recipe]],
    *,
    least: int,
    trusted: int,
) -> list[Decision]:
    """What trains next. opening: origin and recipe in order, of which `least` start before any prediction, and the
    first `trusted` are trained to their end before anything else continues."""
    config = replace(config, cohort=min(config.cohort, max(math.ceil(config.trials / PARTS), LEAST_TOGETHER)))
    trials = searched(history)
    rest = [t for t in trials if at_rest(t)]
    ended = [complete(t) for t in rest if t.epochs >= t.recipe.epochs]
    waiting = [t for t in rest if t.epochs < t.recipe.epochs]
    busy = [t for t in trials if trains(t)]
    room = max(config.trials - len(trials), 0)
    lead = [t for t in trials[:trusted] if t in waiting][: config.cohort]
    picks = [Pick("known to work: trained to its end before others", trial=t) for t in lead]
    work = (config.cohort - len(lead)) * config.stops[0] - sum(t.until - t.epochs for t in busy)
    hopeless: set[int] = set()
    fresh = untried(opening, trials)
    if work > 0:
        some = _still_open(trials, work, least, config)
        picks += [Pick(OPENED, recipe=recipe, origin=origin) for origin, recipe in islice(fresh, min(room, some))]
        if len(picks) == len(lead):
            others = [t for t in waiting if t not in lead]
            if not room and not busy:
                others = _worth_it(trials, others, config)
            more, hopeless = _picks(trials, others, space, seed, config, room=room, work=work)
            picks += more
        if not picks and room:
            picks = [Pick("the last of a small space", recipe=r, origin=origin) for origin, r in islice(fresh, 1)]
    chosen = {pick.trial.number for pick in picks if pick.trial is not None}
    left = [t for t in waiting if t.number not in chosen]
    return [*ended, *_frozen(left, hopeless), *_going(history, picks, config)]


def _still_open(trials: Sequence[Trial], work: int, least: int, config: SearchConfig) -> int:
    """How many recipes of the opening start now: until there are enough, and while there is nothing to learn from."""
    missing = min(config.cohort, max(least, config.cohort) - len(trials))
    if any(math.isfinite(t.loss) for t in trials):
        return max(missing, 0)
    return max(missing, min(config.cohort, math.ceil(work / config.stops[0])))


def _going(history: History, picks: Sequence[Pick], config: SearchConfig) -> list[Decision]:
    """The decisions on trials that continue, then on those that start, numbered from the last trial on."""
    number = count(max(history.trials, default=-1) + 1)
    old = [(pick, pick.trial) for pick in picks if pick.trial is not None]
    new = [(pick, pick.recipe) for pick in picks if pick.recipe is not None]
    return [
        *(Decision("continue", t.number, p.reason, next_stop(t.recipe, t.epochs, config.stops)) for p, t in old),
        *(
            Decision("start", next(number), _why(p), next_stop(recipe, 0, config.stops), recipe, p.origin)
            for p, recipe in new
        ),
    ]


def _why(pick: Pick) -> str:
    return {DEFAULT: DEFAULT_REASON, PORTFOLIO: "known to work on many tasks"}.get(pick.origin, pick.reason)


def _picks(
    trials: Sequence[Trial],
    waiting: Sequence[Trial],
    space: Space,
    seed: int,
    config: SearchConfig,
    *,
    room: int,
    work: int,
) -> tuple[list[Pick], set[int]]:
    """The most promising trials and recipes for this much work, in epochs, and the trials to give up."""
    rng = stream(seed, "thaw", len(trials), sum(t.epochs for t in trials))
    best = _fitted(trials)
    points = {t.number: _point(space, t.recipe.flat()) for t in {t.number: t for t in (*best, *waiting)}.values()}
    shapes = None if config.cohort == 1 else max(1, config.cohort // 8)
    new = np.zeros((0, len(space)))
    if room and len(space):
        near = np.array([points[t.number] for t in best[:BEST] if math.isfinite(t.loss)])
        if config.points is None:
            new = candidates(space, near, count=NEW, shapes=shapes, rng=rng)
        else:
            new = some_of(np.asarray(config.points), near, count=NEW, rng=rng)
    if not best or not (len(waiting) + len(new)):
        return [], set()
    measured, scale = _measured(best, space, points)
    old = np.array([points[t.number] for t in waiting]).reshape(len(waiting), len(space))
    surrogate = fit(measured, rng)
    rows = features(space, np.concatenate([old, new]))
    epochs = np.array([t.epochs for t in waiting] + [0] * len(new), float)
    ends = np.array([t.recipe.epochs for t in waiting] + [config.base.epochs] * len(new), float)
    runs = np.array([t.number for t in waiting] + [-1 - k for k in range(len(new))])
    top = float(scale.seen(np.array([scale.best]))[0])
    views = []
    for _ in range(min(VIEWS, config.cohort)):
        horizon = int(rng.integers(1, config.base.epochs + 1))
        mean, deviation = surrogate.predict(rows, np.minimum(epochs + horizon, ends), runs)
        gain = expected_improvement(mean, deviation, top)
        views.append(View(horizon, gain, mean))
    picks = _by_gain(views, trials, waiting, new, space, config, scale, rng, room=room, work=work)
    return picks, _hopeless(views, waiting, picks, config)


def _by_gain(
    views: Sequence[View],
    trials: Sequence[Trial],
    waiting: Sequence[Trial],
    new: Array,
    space: Space,
    config: SearchConfig,
    scale: Scale,
    rng: np.random.Generator,
    *,
    room: int,
    work: int,
) -> list[Pick]:
    """The views choose in turn among what is still free; of new recipes each time among a random half, so that those
    that start together are not all alike."""
    picks: list[Pick] = []
    free = np.ones(len(waiting) + len(new), bool)
    known = {t.recipe.key() for t in trials}
    while work > 0 and free.any():
        view = views[len(picks) % len(views)]
        allowed = free.copy()
        if config.cohort > 1 and free[len(waiting) :].sum() > NEW // 4:
            allowed[len(waiting) :] &= rng.random(len(new)) < 0.5
        place = int(np.where(allowed, view.gain, -1.0).argmax())
        free[place] = False
        words = f"most promising within {view.epochs} epochs: expected loss {scale.loss(float(view.mean[place])):.4g}"
        if place < len(waiting):
            trial = waiting[place]
            work -= next_stop(trial.recipe, trial.epochs, config.stops) - trial.epochs
            picks.append(Pick(words, trial=trial))
            continue
        recipe = config.base.but(tidy(config.base, space, space.from_unit(new[place - len(waiting)])))
        if recipe.key() not in known:
            known.add(recipe.key())
            work -= config.stops[0]
            room -= 1
            picks.append(Pick(words, recipe=recipe))
        if not room:
            free[len(waiting) :] = False
    return picks


def _fitted(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that the surrogate is fitted to, the best first: the best ones, and a few from all other ranks.

    Without these it would expect unseen recipes to be as good as those it knows.
    """
    ranked = sorted((t for t in trials if t.curve.points), key=lambda t: (t.loss, t.number))
    rest = ranked[GOOD:]
    return (
        ranked[:GOOD] + [rest[k] for k in sorted({*np.linspace(0, len(rest) - 1, OTHERS).astype(int)})]
        if rest
        else ranked
    )


def _measured(best: Sequence[Trial], space: Space, points: Mapping[int, Array]) -> tuple[Measured, Scale]:
    """The measurements that the surrogate is fitted to, from trials in the order of their loss, and their scale."""
    losses = np.array([t.loss for t in best])
    finite = losses[np.isfinite(losses)]
    lowest = min((p.valid_loss for t in best[:WHOLE] for p in t.curve.points if p.valid_loss is not None), default=0.0)
    middle = float(np.median(finite)) if len(finite) else lowest
    scale = Scale(lowest, max(middle - lowest, 1e-12 + 1e-9 * abs(lowest)))
    rows: list[tuple[int, int, float]] = []
    for place, trial in enumerate(best):
        own = {p.epoch: math.inf if p.valid_loss is None else p.valid_loss for p in trial.curve.points[-1:]}
        if place < WHOLE:
            own = {p.epoch: math.inf if p.valid_loss is None else p.valid_loss for p in trial.curve.points}
        used = [epoch for epoch in _marks(trial.epochs) if epoch in own]
        rows += [(trial.number, epoch, own[epoch]) for epoch in used]
    values = scale.seen(np.array([loss for _, _, loss in rows]))
    deviation = float(values.std())
    scale = replace(scale, mean=float(values.mean()), deviation=deviation if deviation > 1e-9 else 1.0)
    measured = Measured(
        features(space, np.array([points[number] for number, _, _ in rows])),
        np.array([epoch for _, epoch, _ in rows], float),
        np.array([number for number, _, _ in rows]),
        (values - scale.mean) / scale.deviation,
    )
    return measured, scale


def _marks(last: int) -> list[int]:
    """The epochs of a curve that are used: few, ever wider apart, and always the last one."""
    marks, epoch = [last], 1
    while epoch < last:
        marks.append(epoch)
        epoch = math.ceil(epoch * GROWTH)
    return sorted(marks)[-MOST_USED:]


def _worth_it(trials: Sequence[Trial], waiting: Sequence[Trial], config: SearchConfig) -> list[Trial]:
    """The waiting trials that should continue once no recipe may start: all until enough are complete, then the default
    and those that are ahead of the best complete one at their epoch."""
    over = [t for t in trials if (t.state not in LOST and t.epochs >= t.recipe.epochs) or t.state == "complete"]
    if len(over) < math.ceil(len(trials) / config.eta ** (config.num_rungs - 1)):
        return list(waiting)
    best = min(over, key=lambda t: (t.loss, t.number))
    return [t for t in waiting if t.is_default or loss_at(t, t.epochs) < loss_at(best, t.epochs)]


def _hopeless(views: Sequence[View], waiting: Sequence[Trial], picks: Sequence[Pick], config: SearchConfig) -> set[int]:
    """Trials that are given up because more wait than can be kept: the least promising in every view."""
    chosen = {pick.trial.number for pick in picks if pick.trial is not None}
    most = np.max([view.gain[: len(waiting)] for view in views], axis=0)
    left = [(g, t.number) for g, t in zip(most, waiting, strict=True) if t.number not in chosen and not t.is_default]
    return {number for _, number in sorted(left)[: max(0, len(left) - MOST_WAITING - 2 * config.cohort)]}


def _frozen(left: Sequence[Trial], hopeless: Collection[int] = ()) -> list[Decision]:
    """Trials that are not chosen wait with their weights, or are given up."""
    found = [
        Decision("stop", t.number, "least promising of all that wait", t.epochs) for t in left if t.number in hopeless
    ]
    return found + [
        Decision("pause", t.number, "waits: others are more promising", t.epochs)
        for t in left
        if t.number not in hopeless and t.state == "running"
    ]


def _point(space: Space, values: Mapping[str, Value]) -> Array:
    """The point (D,) of recipe values in the unit cube; 0.5 for inactive dimensions and for values not in a choice."""
    active = space.active(values)
    return np.array(
        [
            dim.where(values[field_of(name)])
            if name in active and (not isinstance(dim, Choice) or dim.holds(values[field_of(name)]))
            else 0.5
            for name, dim in space.dimensions.items()
        ]
    )
