"""The report's sections on the search: curves, trials, finalists, the winner's recipe and how it was trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from markupsafe import Markup

from tame.core.recipe import Recipe, Value
from tame.core.records import History, Point, Trial
from tame.core.result import Result
from tame.core.result_parts import FinalistRow
from tame.core.space import Choice, field_of
from tame.kinds.known import KINDS
from tame.report import formats, words
from tame.report.charts import Dot, Kind, Line, Row, curves, intervals, scatter
from tame.report.fields import FIELDS, name_of, names_of
from tame.report.svg import HALF, WIDE, both

MOST_LINES = 150  # curves in one chart; more are thinned evenly over the ranking
MOST_COLUMNS = 4  # in the table of trials that show one field each


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The learning curves, how many of them are drawn, and what the winner's two losses say."""

    curves_chart: Markup
    train_chart: Markup
    metric_chart: Markup
    curves_shown: int
    curves_all: int
    winner_gap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """A field of the winner's recipe next to the default."""

    field: str
    name: str
    own: str
    default: str
    differs: bool
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A row of the table of trials. fields: values of the fields with a column; other: changes in other fields; reason:
    why it was tried; last_reason: of the last decision on it, "" if there was none."""

    number: int
    origin: str
    state: str
    kind: str
    epochs: str
    fields: list[str]
    other: str
    loss: str
    metric: str
    reason: str
    last_reason: str
    is_winner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalistLine:
    """A finalist with its difference from the winner. tie: the value that decides between equal ones."""

    from_trial: int
    value: float
    values: tuple[float, ...]
    is_winner: bool
    tie: str
    interval: str
    verdict: str
    other: str


@dataclass(frozen=True, slots=True)
class RatesChart:
    """Losses over learning rates. above, lost: how many recipes lie above the frame, and how many diverged."""

    chart: Markup
    above: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the templates print about the search, the recipe and the finalists. why, ended: what is the same for all
    trials, "" if it differs."""

    recipe: list[RecipeRow]
    space: list[tuple[str, str, str]]
    columns_of_trials: list[str]
    trials: list[TrialRow]
    why: str
    ended: str
    states: str
    rest_worth: str
    fewer_dimensions: str
    not_searched: str
    lr_chart: RatesChart | None
    finalists: list[FinalistLine]
    finalist_chart: Markup
    tie_break: str
    is_retrained: bool
    is_fine_tuned: bool
    fine_tuning: FineTuningWords | None


@dataclass(frozen=True, slots=True)
class FineTuningWords:
    """What fine-tuning added, or why it was not tried."""

    head: str
    why: str


@dataclass(frozen=True, slots=True)
class EngineRow:
    """Which engine trained a group of trials, and why."""

    group: str
    members: str
    engine: str
    why: str


def search(result: Result, trials: Sequence[Trial]) -> Search:
    """The sections on the recipe, the search and the finalists. trials: those of the search, the best first."""
    default, own, fewer = default_recipe(result, trials), columns(trials), result.searched
    rows, named = [trial_row(trial, default, result, own) for trial in trials], names_of(result.space.dimensions)
    return Search(
        recipe=recipe_rows(result.winner.recipe, default),
        space=[(name, named[name], words.setting(each)) for name, each in result.space.dimensions.items()],
        columns_of_trials=[head for _, head in own],
        trials=rows,
        why=in_common(rows, attrgetter("reason")),
        ended=in_common(rows, attrgetter("last_reason")),
        states=states(trials),
        rest_worth=words.rest(result),
        fewer_dimensions=fewer.words if fewer else "",
        not_searched=formats.listed([name_of(field_of(each)) for each in fewer.left_out]) if fewer else "",
        lr_chart=lr_chart(result, trials),
        finalists=[finalist_row(each, default, result) for each in result.finalists],
        finalist_chart=finalist_chart(result),
        tie_break=formats.metric_name(tie_break(result)),
        is_retrained=result.winner.is_retrained or result.winner.is_fine_tuned,
        is_fine_tuned=result.winner.is_fine_tuned and not result.winner.is_retrained,
        fine_tuning=fine_tuning(result) if has_tuning(result) else None,
    )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: (_loss(trial), trial.number))


def _loss(trial: Trial) -> float:
    return math.inf if trial.state == "diverged" else trial.loss


def default_recipe(result: Result, searched: Sequence[Trial]) -> Mapping[str, Value]:
    """The fields of the default recipe."""
    for trial in searched:
        if trial.is_default:
            return trial.recipe.flat()
    return result.default_recipe


def training(result: Result, history: History, searched: Sequence[Trial]) -> Training:
    """The learning curves: validation loss of all recipes with the winner's two losses, training loss, metric."""
    own = history.trials.get(result.winner.trial) or history.trials.get(result.winner.from_trial)
    finalists = {each.from_trial for each in result.finalists}
    rest = [trial for trial in searched if trial.number not in finalists and trial.curve.points]
    shown = rest[:: math.ceil(len(rest) / MOST_LINES)] if rest else []
    valid, train, metric = (
        _lines(history, shown, finalists, result, own, of=of) for of in (_valid_loss, _train_loss, _valid_metric)
    )
    guess = words.guess_loss(result)
    fit = [Line(_points(own, _train_loss), "train", "its training loss")] if own else []
    low, high = _metric_range(result.metric, metric)
    name, unit = formats.metric_name(result.metric), words.loss_unit(result)
    return Training(
        curves_chart=both("loss-curves", partial(
            curves, [*valid, *fit], title="Validation loss of every recipe by epoch",
            desc=f"The winner is the thick line; its training loss is dashed. {_ends(own, _valid_loss)}",
            low=0.0, high=_ceiling([*valid, *fit], guess), y_label=f"validation loss{unit}",
        )),
        train_chart=both("train", partial(
            curves, train, title="Training loss of every recipe by epoch",
            desc=f"The winner is the thick line. {_ends(own, _train_loss)}",
            low=0.0, high=_ceiling(train, guess), y_label=f"training loss{unit}",
            width=HALF, height=270, label_width=106,
        )),
        metric_chart=both("metric", partial(
            curves, metric, title=f"Validation {name} of every recipe by epoch",
            desc=f"The winner is the thick line. {_ends(own, _valid_metric)}",
            low=low, high=high, y_label=f"validation {name}", width=HALF, height=270, label_width=106,
        )),
        curves_shown=len(shown) + len(finalists), curves_all=len(rest) + len(finalists), winner_gap=gap(own),
    )  # fmt: skip


def _lines(
    history: History, rest: Sequence[Trial], finalists: set[int], result: Result, own: Trial | None,
    *, of: Of,
) -> list[Line]:  # fmt: skip
    """One quantity of all trials as lines: faint, finalists with their number, the default, the winner."""
    lines = [Line(_points(trial, of), "faint") for trial in rest]
    for number in sorted(finalists):
        trial = history.trials.get(number)
        if trial is None or number == result.winner.from_trial:
            continue
        is_default = trial.is_default
        label = f"default, trial {number}" if is_default else f"trial {number}"
        lines.append(Line(_points(trial, of), "default" if is_default else "finalist", label))
    return [*lines, Line(_points(own, of), "winner", "the winner")] if own else lines


def _ends(trial: Trial | None, of: Of) -> str:
    """The first, lowest, highest and last value of the winner, for those who cannot see its line."""
    values = [v for point in (trial.curve.points if trial else ()) if (v := of(point)) is not None and math.isfinite(v)]
    if not values:
        return "The winner has no values."
    first, low, high, last = map(formats.measured, (values[0], min(values), max(values), values[-1]))
    return f"It begins at {first} and ends at {last}; the lowest value is {low}, the highest {high}."


Of = Callable[[Point], float | None]


def _valid_loss(point: Point) -> float | None:
    return point.valid_loss


def _train_loss(point: Point) -> float | None:
    return point.train_loss


def _valid_metric(point: Point) -> float | None:
    return point.valid_metric


def _points(trial: Trial, of: Of) -> tuple[tuple[float, float | None], ...]:
    return tuple((point.epoch, of(point)) for point in trial.curve.points)


def _values(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for _, value in line.points if value is not None and math.isfinite(value)]


def _ceiling(lines: Sequence[Line], guess: float) -> float:
    """The upper end of a loss axis: values much worse than guessing are cut off, finalists never are."""
    chosen = _values([line for line in lines if line.kind != "faint"])
    everything = _values(lines)
    return 1.05 * max(max(chosen, default=0.0), min(max(everything, default=guess), 1.1 * guess), 1e-3)


def _metric_range(metric: str, lines: Sequence[Line]) -> tuple[float, float]:
    """The range of the metric without the worst few values, which come from the first epochs."""
    values = sorted(_values(lines)) or [0.0, 1.0]
    if not formats.is_rising(metric):
        return 0.0, 1.05 * values[int(0.95 * (len(values) - 1))] or 1.0
    low = values[int(0.02 * (len(values) - 1))]
    if metric == "r2":
        # Before a network predicts about the target's mean, R2 has no lower bound.
        return max(low, -0.5) - 0.03, min(1.0, max(values[-1], -0.4) + 0.02)
    return max(0.0, low - 0.03), min(1.0, max(values[-1] + 0.01, low + 0.05))


def gap(trial: Trial | None) -> str:
    """What the two losses of the winner say about overfitting."""
    last = trial.curve.last if trial else None
    if trial is None or last is None or last.train_loss is None or last.valid_loss is None:
        return ""
    known = [(p.valid_loss, p.epoch) for p in trial.curve.points if p.valid_loss is not None]
    low, epoch = min(known)
    train, valid = formats.number(last.train_loss), formats.number(last.valid_loss)
    where = "in the last epoch" if epoch == last.epoch else f"in epoch {epoch} ({formats.number(low)})"
    said = f"In the last epoch the winner's training loss is {train} and its validation loss {valid}"
    return f"{said}; the validation loss was lowest {where}."


def recipe_rows(own: Mapping[str, Value], default: Mapping[str, Value]) -> list[RecipeRow]:
    """The fields worth showing: those of every training, those not neutral, and those that differ from the default."""
    told = Recipe.from_flat(own).shown()
    return [
        RecipeRow(
            field=field,
            name=name_of(field),
            own=formats.compact(value) if field != "seed" else str(value),
            default=formats.compact(default[field]) if field in default and field != "seed" else "–",
            differs=_differs(field, value, default),
            about=FIELDS[field].about if field in FIELDS else "",
        )
        for field, value in own.items()
        if field in told or _differs(field, value, default)
    ]


def _differs(field: str, value: Value, default: Mapping[str, Value]) -> bool:
    return field != "seed" and field in default and value != default[field]


def _changed(recipe: Mapping[str, Value], default: Mapping[str, Value], *, without: Sequence[str] = ()) -> str:
    """The fields in which a recipe differs from the default."""
    found = [
        f"{name_of(field)} {formats.compact(value)}"
        for field, value in recipe.items()
        if field not in without and _differs(field, value, default)
    ]
    return ", ".join(found)


def columns(searched: Sequence[Trial]) -> list[tuple[str, str]]:
    """The few varying fields with a column in the table of trials, each with its heading."""
    return words.leading([trial.recipe.flat() for trial in searched], MOST_COLUMNS)


def trial_row(trial: Trial, default: Mapping[str, Value], result: Result, own: Sequence[tuple[str, str]]) -> TrialRow:
    """A row of the table of trials. own: the fields that have a column."""
    flat, kept = trial.recipe.flat(), words.judged_point(trial)
    return TrialRow(
        number=trial.number, origin=words.origin(trial.origin), state=_state(trial), kind=trial.state,
        epochs=f"{trial.epochs} of {trial.recipe.epochs}",
        fields=[formats.compact(flat[field]) for field, _ in own],
        other=_changed(flat, default, without=[*(field for field, _ in own), "epochs"]),
        loss=formats.number(kept.valid_loss if kept else None, 4),
        metric=formats.shown(result.metric, kept.valid_metric if kept else None),
        reason=trial.reason, last_reason=trial.last_reason, is_winner=trial.number == result.winner.from_trial,
    )  # fmt: skip


def _state(trial: Trial) -> str:
    """The state of a trial of a finished study; those that ended by themselves keep their best epoch."""
    own = words.state(trial.state)
    return f"{own}, best epoch kept" if trial.kept_epoch is not None and trial.state == "complete" else own


def states(trials: Sequence[Trial]) -> str:
    """How many trials ended in which state, and how many of them before their last epoch because nothing improved."""
    found = Counter(map(_state, trials))
    return formats.listed([f"{amount:,} {state}" for state, amount in found.items()])


def in_common(rows: Sequence[TrialRow], of: Callable[[TrialRow], str]) -> str:
    """What is the same in all rows, if there are several; it needs no column."""
    each = {of(row) for row in rows}
    return each.pop() if len(rows) > 1 and len(each) == 1 else ""


def lr_chart(result: Result, searched: Sequence[Trial]) -> RatesChart | None:
    """Validation loss over learning rate, the winner marked, with the edges of the space; None for a single rate."""
    if len({trial.recipe.optimizer.lr for trial in searched}) < 2:
        return None
    dots = [_rate_dot(result, trial) for trial in searched]
    losses = sorted(dot.y for dot in dots if dot.y is not None)
    most = 1.1 * max(losses[int(0.9 * (len(losses) - 1))], losses[0]) if losses else 1.0
    least = losses[0] - 0.15 * (most - losses[0]) if losses else 0.0
    dim = result.space.dimensions.get("optimizer.lr")
    edges = None if dim is None or isinstance(dim, Choice) else (dim.low, dim.high)
    chart = both("rates", partial(
        scatter, dots, title="Learning rate and validation loss of every recipe", x_label="learning rate",
        desc="One mark per recipe; the winner is labelled; arrows lie above the frame, crosses diverged.",
        y_label=f"last validation loss{words.loss_unit(result)}", low=max(least, 0.0), high=max(most, 1e-3),
        edges=edges,
    ))  # fmt: skip
    above, lost = sum(loss > max(most, 1e-3) for loss in losses), sum(dot.y is None for dot in dots)
    return RatesChart(chart, above, lost)


def _rate_dot(result: Result, trial: Trial) -> Dot:
    loss = _loss(trial)
    kind: Kind = "finalist" if trial.state == "complete" else "faint"
    label = ""
    if trial.is_default:
        kind, label = "default", "default"
    if trial.number == result.winner.from_trial:
        kind, label = "winner", f"the winner, trial {trial.number}"
    shown = None if math.isinf(loss) else loss
    note = f"trial {trial.number}: rate {formats.compact(trial.recipe.optimizer.lr)}, loss {formats.number(shown)}"
    return Dot(trial.recipe.optimizer.lr, shown, kind, label, f"{note}, {words.state(trial.state)}")


def finalist_row(each: FinalistRow, default: Mapping[str, Value], result: Result) -> FinalistLine:
    """A finalist with its values and its difference from the winner."""
    behind, metric = each.behind, result.metric
    shown = partial(formats.shown_signed, metric)
    said, interval = "the winner", ""
    if behind is not None:
        value, low, high = words.gain(metric, behind)
        said = ("behind" if value > 0 else "ahead") if behind.is_real else "no real difference"
        interval = f"{shown(value)} ({shown(low)} to {shown(high)})"
    tie = tie_break(result)
    return FinalistLine(
        from_trial=each.from_trial, value=each.value, values=each.values, is_winner=each.is_winner,
        tie=formats.shown(tie, each.loss) if tie else "", interval=interval, verdict=said,
        other=_changed(each.recipe, default) or "the default recipe itself",
    )  # fmt: skip


def tie_break(result: Result) -> str:
    """The metric that decides between finalists without a real difference; "" if it is the study's own."""
    if result.is_language_model:
        return ""
    found = "rmse" if result.is_regression else "log_loss"
    return "" if found == result.metric else found


def finalist_chart(result: Result) -> Markup:
    """Each finalist's values, one tick per seed, around their mean."""
    rows = []
    for each in result.finalists:
        kind: Kind = "winner" if each.is_winner else "default" if each.is_default else "finalist"
        label = f"trial {each.from_trial}, {words.origin(each.origin)}"
        note = formats.shown(result.metric, each.value)
        rows.append(Row(label, each.value, note=note, kind=kind, dots=each.values))
    values = [value for each in result.finalists for value in (*each.values, each.value)]
    low, high = value_range(result.metric, values)
    if result.metric == "log_loss":
        low = max(0.0, min(values) - 0.1 * (max(values) - min(values)) - 1e-3)
    return both("finalist-values", partial(
        intervals, rows, title="Validation values of the finalists, one tick per seed",
        desc="; ".join(f"{row.label} {row.note}" for row in rows), low=low, high=high, width=WIDE, label_width=180,
        row_height=34, show=partial(formats.shown, result.metric),
    ))  # fmt: skip


def has_tuning(result: Result) -> bool:
    """Whether there is something to be said of fine-tuning: of pictures always, of texts where an encoder read them."""
    return KINDS.get(result.kind).features is not None or result.fine_tuning is not None


def fine_tuning(result: Result) -> FineTuningWords:
    """What fine-tuning added, or why it was not tried."""
    about = result.fine_tuning
    if about is None:
        why = "there is no backbone: the whole network was trained from scratch"
        return FineTuningWords("Not tried", why if result.backbone is None else "the study's plan left it out")
    difference = about.difference
    if difference is None:
        return FineTuningWords("Not tried" if about.trial is None else "Tried without success", about.why)
    change = words.comparison(result.metric, difference, "the best network without it")
    head = "Kept" if about.kept else "Tried, not kept"
    return FineTuningWords(head, f"{change}, on the validation {words.noun(result.kind)}. {about.why}")


def value_range(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """A range that holds these values of a metric with a margin, within the metric's possible values."""
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.05 * (abs(high) if metric in formats.IN_UNITS else 1) or 0.05
    if metric in ("log_loss", "bits_per_character"):
        return max(0.0, low - air) if metric != "log_loss" else 0.0, high + air
    least = -math.inf if metric == "r2" else 0.0
    return max(least, low - air), high + air if metric in formats.IN_UNITS else min(1.0, high + air)


def engines(result: Result) -> list[EngineRow]:
    """Which engine trained which group of trials, and why."""
    return [EngineRow(each.group, f"{each.members:,}", each.engine, each.why) for each in result.engines]
