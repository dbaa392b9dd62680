"""Findings about the space: best recipes on its edge, recipes that diverge, ranges on the wrong scale.

Source of the three questions: Godbole, Dahl, Gilmer, Shallue and Nado, Deep Learning Tuning Playbook (2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import hypergeom, mannwhitneyu

from tame.core.errors import UsageError
from tame.core.recipe import Recipe, Value
from tame.core.records import LOST, Finding, Trial
from tame.core.space import Choice, Dimension, Float, Int, Space, field_of, to_text
from tame.monitor.remedies import CHANGES

EDGE = 0.1  # of a range, on its own (log) scale
TOP_SHARE = 0.05  # smaller than EDGE, so that a best on the edge shows in an even spread too
LEAST_TRIALS = 12
LEAST_BEATEN = 20  # recipes; by chance, one beats all of them only once in as many studies
LEAST_TOP, LEAST_TOP_EARLY = 3, 5  # best trials that must agree; early: if they are compared before their end
NEAR = 1 / 3  # of a range, in which trials must be better than the others by more than chance
CHANCE, CHANCE_EARLY = 0.05, 0.01  # probability of such a difference if there is none
HOLDS_BACK = ("weight_decay", "dropout", "label_smoothing")  # fields where less looks better at first
MOST_LOST = 0.3  # of the trials
LEAST_BEGUN, LEAST_TOLD = 10, 20  # trials, and the number below which no fault is suspected
NEARLY_ALL = 0.8
LOST_BEYOND = 2 / 3  # of the trials beyond a threshold that separates lost ones from the others
BY_CHANCE = 0.05  # probability that some threshold separates them this well if none matters
FACTOR = 30.0  # between the ends of a linear range, from which on it is questioned
DECADES = 1e-3  # of the high end: suggested start of a log range in place of 0
LOG_FIELDS = (
    "optimizer.lr", "optimizer.weight_decay", "then.lr", "then.weight_decay", "regularize.l1", "regularize.l2",
    "table.sigma",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parting:
    """A threshold on a dimension that separates lost trials from the others."""

    name: str
    side: str  # the side of the lost ones; "" for a value of a choice
    value: Value
    num_beyond: int
    num_lost_beyond: int
    chance: float
    gain: float  # share of the lost ones beyond it, minus the share of the others


def edges(trials: Sequence[Trial], space: Space) -> list[Finding]:
    """A finding for each numeric dimension with several values whose best recipes lie on one of its edges.

    trials: those of the search, in any state. The trials trained to the end are compared or, if there are fewer than
    LEAST_TRIALS, all at the latest common epoch. The best twentieth, and at least three, must agree, and trials in the
    third of the range on that side must be better than the rest by more than chance. If trials are compared before
    their end, five must agree, and settings that always look better at first (a high rate, little regularization)
    count only if the best trial of all lies even beyond that edge, as the default recipe may. With twenty trials or
    more it is enough that the best one lies beyond the range.
    """
    losses, epoch = _comparable(trials)
    least = LEAST_TOP if epoch is None else LEAST_TOP_EARLY
    if len(losses) < LEAST_TRIALS:
        return []
    ranked = sorted((t for t in trials if t.number in losses), key=lambda t: (losses[t.number], t.number))
    top = ranked[: max(least, round(TOP_SHARE * len(ranked)))]
    found = []
    for name in space.searched:
        dimension = space.dimensions[name]
        if isinstance(dimension, Choice):
            continue
        beyond = _side_beyond(name, ranked[0], dimension, space) if len(ranked) >= LEAST_BEATEN else None
        if beyond and _can_be_wider(name, dimension, beyond):
            title = f"the best of {len(ranked)} recipes lies beyond the range of {name}, at {_value(name, ranked[0]):g}"
            found.append(_on_edge(title, name, beyond, ranked[:1], dimension, compared=len(ranked), epoch=epoch))
            continue
        own = [trial for trial in top if _plays_a_part(name, trial, space)]
        side = _edge_of(name, own, dimension) if len(own) >= least else None
        if side is None or not _can_be_wider(name, dimension, side):
            continue
        if epoch is not None and _looks_better_at_first(name, side) and not _lies_beyond(name, side, own[0], dimension):
            continue
        if _chance(name, side, trials, losses, space) >= (CHANCE if epoch is None else CHANCE_EARLY):
            continue
        end = dimension.low if side == "low" else dimension.high
        title = f"the best {len(own)} recipes lie on the {side} edge of {name}, at {end:g}"
        found.append(_on_edge(title, name, side, own, dimension, compared=len(ranked), epoch=epoch))
    return found


def _edge_of(name: str, best: Sequence[Trial], dimension: Float | Int) -> str | None:
    """The side of a range on whose edge all of the best trials lie; None if they do not."""
    places = [dimension.where(_value(name, trial)) for trial in best]
    return "low" if max(places) < EDGE else "high" if min(places) > 1 - EDGE else None


def _on_edge(
    title: str, name: str, side: str, best: Sequence[Trial], dimension: Float | Int, *, compared: int,
    epoch: int | None,
) -> Finding:  # fmt: skip
    evidence = {
        "field": name, "side": side, "best_values": [_value(name, trial) for trial in best], "low": dimension.low,
        "high": dimension.high, "compared": compared, "after_epoch": epoch,
    }  # fmt: skip
    return Finding("best_on_edge", title, "warning", evidence, change=CHANGES["best_on_edge"])


def infeasible(trials: Sequence[Trial], space: Space) -> Finding | None:
    """A finding if too many trials diverged or failed: the threshold on a dimension that separates them from the
    others, or that there is none.

    trials: those of the search, in any state; only trials in `space`, the source of new recipes, count. The "bound" in
    the evidence: beyond it (side), two thirds or more of the trials were lost, and the best trial does not lie there.
    """
    begun = [t for t in trials if (t.state in LOST or t.curve.points) and _lies_in(t, space)]
    lost = [t for t in begun if t.state in LOST]
    if len(begun) < LEAST_BEGUN or len(lost) <= MOST_LOST * len(begun):
        return None
    evidence: dict[str, object] = {"begun": len(begun), "lost": len(lost)}
    many = f"{len(lost)} of {len(begun)} recipes diverged or failed"
    best = _parting(begun, space)
    if best is None and len(begun) < LEAST_TOLD and len(lost) < NEARLY_ALL * len(begun):
        return None
    if best is None:
        title = f"{many}, whatever their settings"
        return Finding("infeasible", title, "problem", evidence, change=CHANGES["infeasible"])
    evidence |= {"field": best.name, "side": best.side, "beyond": best.num_beyond, "lost_beyond": best.num_lost_beyond}
    return _lost_beyond(many, best, evidence)


def _lost_beyond(many: str, best: Parting, evidence: dict[str, object]) -> Finding:
    """The finding that names what separates the lost trials from the others."""
    beyond = f"{best.num_lost_beyond} of the {best.num_beyond}"
    if not best.side:
        evidence["value"] = best.value
        title = f"{many}, {beyond} with {best.name} = {best.value}"
        change = f"leave {best.value} out: give the other values of {best.name} with --space"
        return Finding("infeasible", title, "warning", evidence, change=change)
    evidence["bound"] = best.value
    way = "above" if best.side == "high" else "below"
    title = f"{many}, {beyond} with {best.name} {way} {best.value:.3g}"
    change = f"propose only recipes {'below' if best.side == 'high' else 'above'} it"
    return Finding("infeasible", title, "warning", evidence, change=change)


def linear_ranges(asked: Mapping[str, Dimension]) -> list[Finding]:
    """A finding for each linear range of a field that needs a log scale, over a factor of 30 or more.

    asked: the dimensions that a user gave. In a linear range from 1e-5 to 1e-1, nine of ten recipes lie above 1e-2.
    """
    found = []
    for name, dim in asked.items():
        if not isinstance(dim, Float) or dim.log or dim.step is not None or field_of(name) not in LOG_FIELDS:
            continue
        low = dim.low if dim.low > 0 else dim.high * DECADES
        if dim.high < FACTOR * low:
            continue
        better = to_text(name, Float(float(f"{low:.6g}"), dim.high, log=True, when=dim.when, purpose=dim.purpose))
        title = f"the range of {name} is linear: nine of ten recipes lie above {dim.at(0.1):.2g}"
        evidence = {"field": name, "low": dim.low, "high": dim.high}
        found.append(Finding("linear_range", title, "warning", evidence, change=f'write "{better}"'))
    return found


def _comparable(trials: Iterable[Trial]) -> tuple[dict[int, float], int | None]:
    """The losses by which trials are compared, by number, and their epoch; None for the last one."""
    own = [t for t in trials if t.state not in LOST]
    whole = {t.number: _loss(t) for t in own if t.state == "complete" or t.epochs >= t.recipe.epochs}
    whole = {number: loss for number, loss in whole.items() if loss < math.inf}
    if len(whole) >= LEAST_TRIALS:
        return whole, None
    each = [{p.epoch: p.valid_loss for p in t.curve.points if p.valid_loss is not None} for t in own]
    for epoch in sorted({t.epochs for t in own}, reverse=True):
        found = {t.number: points[epoch] for t, points in zip(own, each, strict=True) if epoch in points}
        if len(found) >= LEAST_TRIALS:
            return found, epoch
    return {}, None


def _looks_better_at_first(name: str, side: str) -> bool:
    """Whether this side of a dimension has lower losses early in training, whatever comes later."""
    own = field_of(name)
    if own.endswith(".lr"):
        return side == "high"
    holds_back = own.rpartition(".")[2] in HOLDS_BACK or own.partition(".")[0] in ("regularize", "augment")
    return holds_back and side == "low"


def _side_beyond(name: str, trial: Trial, dimension: Float | Int, space: Space) -> str | None:
    """The side of a range on which a trial lies outside; None if it lies inside."""
    sides = [side for side in ("low", "high") if _lies_beyond(name, side, trial, dimension)]
    return sides[0] if sides and _plays_a_part(name, trial, space) else None


def _lies_beyond(name: str, side: str, trial: Trial, dimension: Float | Int) -> bool:
    """Whether a trial's value lies outside a range on this side."""
    value = float(_value(name, trial))
    return value < dimension.low if side == "low" else value > dimension.high


def _chance(name: str, side: str, trials: Sequence[Trial], losses: Mapping[int, float], space: Space) -> float:
    """The probability that trials in the third of a range on this side rank this far ahead by chance.

    Trials with fewer epochs rank last, because the search dropped them. A search that learns places many trials near a
    good one, on the edge or not, so its own proposals count only if there are too few independent trials.
    """
    dim = space.dimensions[name]
    if isinstance(dim, Choice):
        return 1.0
    own = [t for t in trials if t.curve.points and _plays_a_part(name, t, space)]
    ranked = sorted(own, key=lambda t: (t.state in LOST, t.number not in losses, losses.get(t.number, 0.0)
                                        if t.number in losses else -t.epochs, _loss(t)))  # fmt: skip
    place = {t.number: i for i, t in enumerate(ranked)}

    def parts(some: Sequence[Trial]) -> tuple[list[int], list[int]]:
        near: list[int] = []
        far: list[int] = []
        for trial in some:
            where = dim.where(_value(name, trial))
            (near if (where if side == "low" else 1 - where) <= NEAR else far).append(place[trial.number])
        return near, far

    beyond = [place[t.number] for t in own if _lies_beyond(name, side, t, dim)]
    inside = [place[t.number] for t in own if not _lies_beyond(name, side, t, dim)]
    if min(len(beyond), len(inside)) >= LEAST_TOP:  # such as the default and known recipes, which have fixed values
        return float(mannwhitneyu(beyond, inside, alternative="less").pvalue)
    near, far = parts([t for t in own if t.is_independent])
    if min(len(near), len(far)) < LEAST_TOP:
        near, far = parts(own)
    if min(len(near), len(far)) < LEAST_TOP:
        return 0.0 if len(near) >= LEAST_TRIALS else 1.0
    return float(mannwhitneyu(near, far, alternative="less").pvalue)


def _parting(begun: Sequence[Trial], space: Space) -> Parting | None:
    """The threshold that best separates the lost trials from the others, if it does so by more than chance."""
    found = [each for name in space.dimensions for each in _thresholds(name, begun, space)]
    good = [p for p in found if p.num_lost_beyond >= LOST_BEYOND * p.num_beyond and p.chance * len(found) < BY_CHANCE]
    return max(good, key=lambda p: (p.gain, -p.chance), default=None)


def _thresholds(name: str, begun: Sequence[Trial], space: Space) -> list[Parting]:
    """Every threshold on a dimension with the trials beyond it, on either side; every value of a choice."""
    dim = space.dimensions[name]
    own = [t for t in begun if _plays_a_part(name, t, space)]
    if isinstance(dim, Choice):
        several = [(v, [t for t in own if _value(name, t) == v]) for v in dim.values] if dim.count > 1 else []
        return [_judged(name, "", value, beyond, begun) for value, beyond in several if beyond]
    best = min((t for t in own if t.state not in LOST), key=lambda t: (_loss(t), t.number), default=None)
    ordered = sorted(own, key=lambda t: dim.where(_value(name, t)))
    found = []
    for i in range(1, len(ordered)):
        left, right = (dim.where(_value(name, ordered[k])) for k in (i - 1, i))
        if left == right:
            continue
        value = dim.at((left + right) / 2)
        for side, beyond in (("low", ordered[:i]), ("high", ordered[i:])):
            if best not in beyond and dim.low < value < dim.high:
                found.append(_judged(name, side, value, beyond, begun))
    return found


def _judged(name: str, side: str, value: Value, beyond: Sequence[Trial], begun: Sequence[Trial]) -> Parting:
    lost, there = sum(t.state in LOST for t in begun), sum(t.state in LOST for t in beyond)
    sound = max(len(begun) - lost, 1)
    chance = float(hypergeom.sf(there - 1, len(begun), lost, len(beyond)))
    return Parting(
        name, side, value, len(beyond), there, chance, there / max(lost, 1) - (len(beyond) - there) / sound
    )  # fmt: skip


def _lies_in(trial: Trial, space: Space) -> bool:
    """Whether the trial's recipe lies inside all ranges of the space."""
    flat = trial.recipe.flat()
    ranges = ((name, space.dimensions[name]) for name in space.active(flat))
    return all(isinstance(d, Choice) or d.low <= flat.get(field_of(n), d.low) <= d.high for n, d in ranges)  # type: ignore[operator]


def _plays_a_part(name: str, trial: Trial, space: Space) -> bool:
    """Whether the dimension is active in this recipe and its field has an effect; dropout has none in a linear head."""
    flat, model = trial.recipe.flat(), trial.recipe.model
    if field_of(name) not in flat or name not in space.active(flat):
        return False
    return not (field_of(name) == "model.dropout" and model.name == "head" and not model.hidden)


def _value(name: str, trial: Trial) -> Value:
    return trial.recipe.flat()[field_of(name)]


def _can_be_wider(name: str, dimension: Float | Int, side: str) -> bool:
    """Whether a recipe may have values beyond the edge; dropout, for example, cannot be negative."""
    low, high = dimension.low, dimension.high
    reach = (high - low) / 10
    if dimension.log:
        beyond = low / 2 if side == "low" else high * 2
    else:
        beyond = low - reach if side == "low" else high + reach
    try:
        Recipe().but({field_of(name): round(beyond) if isinstance(dimension, Int) else beyond})
    except UsageError:
        return False
    return True


def _loss(trial: Trial) -> float:
    last = trial.curve.last
    return math.inf if last is None or last.valid_loss is None else last.valid_loss
