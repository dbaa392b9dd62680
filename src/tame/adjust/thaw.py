"""Freeze-thaw: of all curves that wait and all recipes that could begin, those go next that promise most.

After an opening that is spread over the space, a surrogate is fitted to all partial curves. Each place in a round goes
to the curve, old or new, whose expected improvement over the best value so far is largest within a number of epochs
that is drawn for that place: short views take what pays off soon, long ones what may become best. A trial that is not
chosen waits with its weights, so that no epoch is trained twice.
Sources: Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization (2014); Rakotoarison et al., In-Context Freeze-Thaw
Bayesian Optimization (2024), for the horizon that is drawn.
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
    LOST,
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
from tame.core.records import DEFAULT, Decision, History, Origin, Trial
from tame.core.rng import stream, stream_seed
from tame.core.space import Choice, Space, field_of

OPENING = 6  # recipes before anything is predicted, at the least
INNER, MIDDLE = 1 / 4, 24  # share of each range in which the first points of an unknown space lie, and how many do
TRUSTED = 5  # recipes known to work that are trained to their end before anything is given up
SPREAD = 12  # recipes of the whole space that begin beside those that are known, so that it is not taken for theirs
GOOD, OTHERS = 36, 36  # trials that the surrogate is told of: the best, and as many of all other ranks
WHOLE = 5  # of the best trials, of whose curves more than the last value is told
GROWTH, TOLD = 1.7, 5  # from one epoch of such a curve that is told to the next, and how many at most
PARTS, LEAST_TOGETHER = 4, 8  # parts that so many trials begin in, so that later ones learn from earlier; at the least
CLIP, WARP = 2.5, 0.1  # in distances of the best from the median: the worst that is told; where the log scale begins
NEW = 384  # recipes that could begin
BEST = 5  # trials near which half of those are drawn
VIEWS = 8  # horizons that are drawn for a round, at most
OPENED = "one of the first, spread over the space or the middle of it"
MOST_WAITING = 64  # trials that wait, beside two cohorts; of more the least promising are given up


@SEARCHERS.add("thaw")
def decide_thaw(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe and some that are spread over the space, then whatever promises most."""
    points = sobol_points(len(space), stream_seed(seed, "sobol")) if len(space) else iter(())
    opening = once("sobol", existing(_middle_first(points), config), space, config)
    return _decide(history, space, seed, config, opening, least=OPENING, trusted=0)


@SEARCHERS.add("auto")
def decide_auto(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe and the portfolio, some that are spread over the space, then whatever promises most.

    Without a portfolio nothing is known to work, and it is `thaw`.
    """
    if not config.portfolio:
        return decide_thaw(history, space, seed, config=config)
    known = 1 + len(config.portfolio)
    trusted = min(TRUSTED, known)
    opening = proposals(space, seed, config)
    return _decide(history, space, seed, config, opening, least=known + SPREAD, trusted=trusted)


def _middle_first(points: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The first points drawn towards the middle of the space: in many dimensions nearly all of them lie in corners, and
    what one thinks of as a range has its likelier values in the middle."""
    for place, point in enumerate(points):
        yield 0.5 + INNER * (point - 0.5) if place < MIDDLE else point


@dataclass(frozen=True, slots=True)
class Scale:
    """From losses to what the surrogate sees: how far above the best, in log steps, with mean 0 and deviation 1."""

    best: float
    unit: float  # from the best to the median
    mean: float = 0.0
    deviation: float = 1.0

    def seen(self, losses: Array) -> Array:
        """How the surrogate sees losses (N,); those that are not finite as the worst."""
        above = np.clip((losses - self.best) / self.unit, 0.0, CLIP)
        found: Array = (np.log(above + WARP) - self.mean) / self.deviation
        return found

    def loss(self, seen: float) -> float:
        """The loss that is seen as this."""
        return self.best + self.unit * (math.exp(min(seen * self.deviation + self.mean, CLIP)) - WARP)


@dataclass(frozen=True, slots=True)
class View:
    """What every curve promises within a number of epochs: gain and mean (R,), as the surrogate sees losses."""

    epochs: int
    gain: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Pick:
    """A trial that goes on, or a recipe that begins, and why."""

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
    """What trains next. opening: origin and recipe in their order, of which `least` begin before any prediction, and
    the first `trusted` are trained to their end before anything else goes on."""
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
    """How many recipes of the opening begin now: until there are enough, and as long as nothing can be learnt."""
    missing = min(config.cohort, max(least, config.cohort) - len(trials))
    if any(math.isfinite(t.loss) for t in trials):
        return max(missing, 0)
    return max(missing, min(config.cohort, math.ceil(work / config.stops[0])))


def _going(history: History, picks: Sequence[Pick], config: SearchConfig) -> list[Decision]:
    """The decisions on trials that go on, then on those that begin, numbered on from the last."""
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
    return {DEFAULT: DEFAULT_REASON, "portfolio": "known to work on many tasks"}.get(pick.origin, pick.reason)


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
    """Trials and recipes for this much work, in epochs, by what they promise; and trials to be given up."""
    rng = stream(seed, "thaw", len(trials), sum(t.epochs for t in trials))
    best = _told(trials)
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
    """The views choose in turn, among what is not taken; of new recipes each time among a random half, so that those
    that begin together are not all alike."""
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
        words = (
            f"promises most within {view.epochs} epochs: a loss of {scale.loss(float(view.mean[place])):.4g} expected"
        )
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


def _told(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that the surrogate is told of, the best first: the best ones, and of the others a few from all ranks,
    or it would take what it has not seen for as good as what it knows."""
    ranked = sorted((t for t in trials if t.curve.points), key=lambda t: (t.loss, t.number))
    rest = ranked[GOOD:]
    return (
        ranked[:GOOD] + [rest[k] for k in sorted({*np.linspace(0, len(rest) - 1, OTHERS).astype(int)})]
        if rest
        else ranked
    )


def _measured(best: Sequence[Trial], space: Space, points: Mapping[int, Array]) -> tuple[Measured, Scale]:
    """What the surrogate is fitted to, from trials in the order of their loss, and the scale that it is on."""
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
        told = [epoch for epoch in _marks(trial.epochs) if epoch in own]
        rows += [(trial.number, epoch, own[epoch]) for epoch in told]
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
    """Epochs of a curve that are told: its last one, and before it ever wider apart."""
    marks, epoch = [last], 1
    while epoch < last:
        marks.append(epoch)
        epoch = math.ceil(epoch * GROWTH)
    return sorted(marks)[-TOLD:]


def _worth_it(trials: Sequence[Trial], waiting: Sequence[Trial], config: SearchConfig) -> list[Trial]:
    """Of trials that wait when no recipe may begin any more, those that should go on: all until enough are complete,
    then the default and those that are ahead of the best complete one at their epoch."""
    over = [t for t in trials if (t.state not in LOST and t.epochs >= t.recipe.epochs) or t.state == "complete"]
    if len(over) < math.ceil(len(trials) / config.eta ** (config.num_rungs - 1)):
        return list(waiting)
    best = min(over, key=lambda t: (t.loss, t.number))
    return [t for t in waiting if t.is_default or loss_at(t, t.epochs) < loss_at(best, t.epochs)]


def _hopeless(views: Sequence[View], waiting: Sequence[Trial], picks: Sequence[Pick], config: SearchConfig) -> set[int]:
    """Trials that are given up, since more wait than can be kept: those that promise least in any view."""
    chosen = {pick.trial.number for pick in picks if pick.trial is not None}
    most = np.max([view.gain[: len(waiting)] for view in views], axis=0)
    left = [(g, t.number) for g, t in zip(most, waiting, strict=True) if t.number not in chosen and not t.is_default]
    return {number for _, number in sorted(left)[: max(0, len(left) - MOST_WAITING - 2 * config.cohort)]}


def _frozen(left: Sequence[Trial], hopeless: Collection[int] = ()) -> list[Decision]:
    """Trials that are not chosen wait with their weights, or are given up."""
    found = [
        Decision("stop", t.number, "promises least of all that wait", t.epochs) for t in left if t.number in hopeless
    ]
    return found + [
        Decision("pause", t.number, "waits: others promise more", t.epochs)
        for t in left
        if t.number not in hopeless and t.state == "running"
    ]


def _point(space: Space, values: Mapping[str, Value]) -> Array:
    """Where recipe values lie in the unit cube, (D,); 0.5 for what does not hold, or for a word that is no choice."""
    active = space.active(values)
    return np.array(
        [
            dim.where(values[field_of(name)])
            if name in active and (not isinstance(dim, Choice) or dim.holds(values[field_of(name)]))
            else 0.5
            for name, dim in space.dimensions.items()
        ]
    )
