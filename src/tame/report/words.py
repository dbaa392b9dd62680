"""A study's numbers in plain words, the same in the terminal and in the report. Text of others is made inert first."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tame.core.config import METRIC_MODES
from tame.core.records import Point, Trial

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "log_loss": "log loss",
    "roc_auc": "ROC AUC",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "r2": "R²",
}
HUGE = 1e12  # from which on a number is shown with its exponent
IN_UNITS = ("rmse", "mae")  # metrics in the units of the target, of any size
NOUNS = {"images": "picture", "table": "row", "arrays": "example"}
NEW_INPUT = {"images": "photo.jpg", "table": "new.csv"}
JOINERS = "\u200c\u200d"  # invisible, but scripts and emoji are spelt with them
DATA_CODES = {
    "near_duplicates", "label_conflict", "leak", "skipped_files", "imbalance", "small_test", "target_leak",
    "skipped_rows", "identifier_columns", "constant_columns", "unseen_categories", "few_rows", "duplicate_rows",
    "infinite_values",
}  # fmt: skip


HEADS = {  # of columns in a table of trials
    "input.size": "size", "optimizer.lr": "rate", "optimizer.weight_decay": "decay", "model.width": "width",
    "model.depth": "depth", "batch_size": "batch", "model.dropout": "dropout", "model.hidden": "hidden",
}  # fmt: skip


def inert(text: str) -> str:
    """The text with control characters, lone surrogates and marks that turn the writing direction made visible.

    What is left can be written as UTF-8, moves no terminal, and shows its letters in the order they stand.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in JOINERS else _visible(char) for char in text)


def short(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals and a true minus sign, a huge one with an exponent; a dash for what is unknown."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= HUGE:
        return compact(float(value))
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if round(value, digits) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign, zero without."""
    text = number(value, digits)
    return f"+{text}" if value is not None and round(value, digits) > 0 else text


def significant(value: float | None, digits: int = 3) -> str:
    """A number of any size with so many significant digits: 0.0123, 1.23, 12,300, 1.23e9."""
    if value is None or not math.isfinite(value):
        return "–"
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if value == 0 or not -5 <= power < 7:
        return compact(float(value))
    text = f"{round(value, digits - 1 - power):,.{max(0, digits - 1 - power)}f}"
    return text.replace("-", "−")


def shown(metric: str, value: float | None) -> str:
    """A value of the metric: 0.962, or of a metric in the units of the target three significant digits."""
    return significant(value) if metric in IN_UNITS else number(value)


def shown_signed(metric: str, value: float) -> str:
    """A difference of the metric with its sign, zero without."""
    if metric not in IN_UNITS:
        return signed(value)
    return significant(value) if value <= 0 else f"+{significant(value)}"


def measured(value: float | None) -> str:
    """A value of a metric that is not known by name: three decimals where those tell something."""
    if value is None or not math.isfinite(value) or value == 0 or 0.01 <= abs(value) < 100:
        return number(value)
    return significant(value)


def compact(value: object) -> str:
    """A recipe's or a finding's value as a person writes it: 0.003, 3e-5, yes, linear."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and 1e3 <= abs(value) < 1e7:
        return significant(value)
    if isinstance(value, float):
        text = f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
        return f"−{text[1:]}" if text.startswith("-") else text
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return listed([f"{key} {compact(each)}" for key, each in value.items()])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return listed([compact(each) for each in value])
    return "none" if value is None else str(value)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as a sentence holds them: a, b and c; after `most` of them the rest is counted."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def count(amount: int, thing: str) -> str:
    """1 recipe, 1,000 recipes."""
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{amount:,} {thing if amount == 1 else plural}"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 12 s, 2 h 5 min."""
    if seconds < 20:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def task_of(result: Mapping[str, Any]) -> str:
    """binary, multiclass or regression. Older results, of pictures only, said "images"."""
    task = str(result["task"])
    return task if task != "images" else "binary" if len(result["classes"]) == 2 else "multiclass"


def is_regression(result: Mapping[str, Any]) -> bool:
    return task_of(result) == "regression"


def kind_of(result: Mapping[str, Any]) -> str:
    """images, table or arrays. Older results were all of images."""
    return str(result.get("kind", "images"))


def noun(kind: str, n: int = 2) -> str:
    """What one example, or n of them, of this kind of data is called: pictures, rows, examples."""
    return NOUNS[kind] if n == 1 else f"{NOUNS[kind]}s"


def a_noun(kind: str) -> str:
    """One of them: a picture, a row, an example."""
    return f"{'an' if kind == 'arrays' else 'a'} {noun(kind, 1)}"


def examples(result: Mapping[str, Any], n: int, which: str = "") -> str:
    """So many examples: 1,200 rows, 153 test pictures."""
    return count(n, f"{which} {noun(kind_of(result), 1)}".strip())


def guess_loss(result: Mapping[str, Any]) -> float:
    """About what guessing costs: ln C nats, or 1 for the squared error of a standardised target."""
    return 1.0 if is_regression(result) else math.log(max(len(result["classes"]), 2))


def loss_unit(result: Mapping[str, Any]) -> str:
    """What stands behind "loss" at an axis."""
    return ", of the scaled target" if is_regression(result) else f", nats {a_noun(kind_of(result))}"


def metric_name(metric: str) -> str:
    return METRICS.get(metric, metric)


def is_rising(metric: str) -> bool:
    """Whether more of this metric is better."""
    return METRIC_MODES.get(metric, "max") == "max"


def span(about: Mapping[str, Any], metric: str = "accuracy") -> str:
    """The interval of a score: 0.916 to 0.982."""
    return f"{shown(metric, about['low'])} to {shown(metric, about['high'])}"


def gain(metric: str, difference: Mapping[str, Any]) -> tuple[float, float, float]:
    """A difference as a gain, with its interval: above zero is better, whichever way the metric runs."""
    value, low, high = difference["value"], difference["low"], difference["high"]
    return (value, low, high) if is_rising(metric) else (-value, -high, -low)


def is_real(difference: Mapping[str, Any]) -> bool:
    """Whether the interval leaves out zero."""
    return bool(difference["low"] > 0 or difference["high"] < 0)


def comparison(metric: str, difference: Mapping[str, Any], other: str) -> str:
    """Better or worse by how much, or that no real difference was shown."""
    value, low, high = gain(metric, difference)
    if not is_real(difference):
        own, *ends = (shown_signed(metric, each) for each in (value, low, high))
        return f"no real difference from {other}: {own} ({ends[0]} to {ends[1]})"
    word = "better" if value > 0 else "worse"
    low, high = (low, high) if value > 0 else (-high, -low)
    return f"{word} than {other} by {shown(metric, abs(value))} ({shown(metric, low)} to {shown(metric, high)})"


def other_metrics(result: Mapping[str, Any]) -> str:
    """What the other metrics of the task say of the same predictions: "; log loss 0.289, ..."."""
    others = {name: value for name, value in result.get("metrics", {}).items() if name != result["metric"]}
    each = ", ".join(f"{metric_name(name)} {shown(name, value)}" for name, value in others.items())
    return f"; {each}" if each else ""


def opened(result: Mapping[str, Any]) -> str:
    """How often the sealed test part was opened."""
    times = result["test_openings"]
    if times == 1:
        return "opened once"
    return f"opened {times} times, for the same model each time, since the study was interrupted after the first"


def verdict(result: Mapping[str, Any]) -> str:
    """What the search was worth: the winner beside the default recipe, on the sealed test."""
    default = result["baselines"]["default"]
    if default is None:
        return "the default recipe could not be trained to its end, so nothing is said of a gain over it"
    if default["is_winner"]:
        return "the default recipe won: the search found nothing that is shown to be better"
    return comparison(result["metric"], default["difference"], "the default recipe")


def dummy_label(result: Mapping[str, Any]) -> str:
    """What guessing without looking guesses: the commonest class, or the mean or median of the training data."""
    if not is_regression(result):
        return "commonest class"
    return "training median" if result["metric"] == "mae" else "training mean"


def dummy_verdict(result: Mapping[str, Any]) -> str:
    """The winner beside guessing without looking."""
    what = "guessing" if is_regression(result) else "naming"
    other = f"always {what} the {dummy_label(result)}"
    return comparison(result["metric"], result["baselines"]["dummy"]["difference"], other)


def optimism(result: Mapping[str, Any]) -> str:
    """How much better the winner looked while it was chosen than it turned out to be."""
    score, amount, metric = result["score"], result["optimism"], result["metric"]
    said = f"validation said {validation(result)}, the sealed test {shown(metric, score['value'])}"
    unseen = abs(amount) < 0.0005 * (abs(score["value"]) if metric in IN_UNITS else 1)
    if unseen:
        return f"{said}: no optimism"
    if amount < 0:
        return f"{said}: optimism {shown(metric, amount)}, so none is visible"
    within = score["low"] <= result["validation"]["value"] <= score["high"]
    how = "within the uncertainty of the test" if within else "more than the uncertainty of the test explains"
    return f"{said}: optimism {shown(metric, amount)}, {how}"


def validation(result: Mapping[str, Any]) -> str:
    """The validation value, over folds with its standard error: 0.962 ± 0.004 over 5 folds."""
    about, metric = result["validation"], result["metric"]
    own = shown(metric, about["value"])
    if about.get("stderr") is None:
        return own
    folds = result["data_facts"].get("folds", 1)
    return f"{own} ± {shown(metric, about['stderr'])}" + (f" over {folds} folds" if folds > 1 else "")


def part_size(part: Mapping[str, int] | int) -> int:
    """How many examples a part of the split holds: the sum over its classes, or the number itself."""
    return part if isinstance(part, int) else sum(part.values())


def target_name(result: Mapping[str, Any]) -> str:
    """The column that is predicted; "" where it has no name."""
    return str((result["data_facts"].get("target") or {}).get("name") or "")


def learnt(result: Mapping[str, Any]) -> str:
    """What the network does, and from how many examples it was learnt and tested."""
    own = part_size(result["data_facts"]["counts"].get("train", 0))
    trained = examples(result, own)
    return f"{_ability(result)}, learnt from {trained} and tested on {result['score']['n']:,} others"


def _ability(result: Mapping[str, Any]) -> str:
    """tells ants from bees; predicts price."""
    target = short(target_name(result), 40)
    if is_regression(result):
        return f"predicts {target or 'a number'}"
    classes = result["classes"]
    is_brief = len(classes) <= 5 and all(len(name) <= 24 for name in classes)
    named = listed(classes) if is_brief else f"{len(classes):,} classes"
    if target:
        return f"predicts {target} ({named if len(classes) > 2 or not is_brief else ' or '.join(classes)})"
    if len(classes) == 2 and is_brief:
        return f"tells {classes[0]} from {classes[1]}"
    return f"tells {named} apart"


def sentence(text: str) -> str:
    """The text with a capital at its start and one full stop at its end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def is_retrained(result: Mapping[str, Any]) -> bool:
    """Whether the winner was trained again with seeds that the search had not seen."""
    return bool(result["winner"]["trial"] != result["winner"]["from_trial"])


def predict_command(result: Mapping[str, Any], quote: Callable[[str], str]) -> str:
    """The command that uses the model; arrays are handed over in Python."""
    if kind_of(result) == "arrays":
        return f"tame.load({inert(result['study'])!r}).predict(x)"
    return f"tame predict {quote(inert(result['study']))} {NEW_INPUT[kind_of(result)]}"


def trials_words(result: Mapping[str, Any]) -> str:
    """How many recipes were tried, and what became of them."""
    states = ", ".join(f"{amount:,} {state}" for state, amount in result["trial_states"].items())
    return f"{count(result['trials'], 'recipe')} tried; training runs, finalists included: {states}"


def rest(result: Mapping[str, Any]) -> str:
    """What spending as much again on the search was worth, and whether it ended for that; "" where it is not known."""
    about = result.get("rest")
    if not about or about["gain"] is None:
        return ""
    if about["stopped_because"]:
        return f"The search stopped after {count(about['recipes'], 'recipe')} because {about['stopped_because']}."
    return (
        f"As many epochs again would lower the best validation loss, {significant(about['best'])}, by about "
        f"{significant(about['gain'], 2)}; the noise of that loss is about {significant(about['noise'], 2)}."
    )


def state(trial: Trial) -> str:
    """What became of a trial, in words."""
    return "complete early" if trial.kept_epoch is not None and trial.state == "complete" else trial.state


def judged_point(trial: Trial) -> Point | None:
    """The epoch of a trial whose weights are judged; None before the first."""
    return next((point for point in trial.curve.points if point.epoch == trial.best_epoch), None)


def leading(recipes: Sequence[Mapping[str, Any]], most: int) -> list[tuple[str, str]]:
    """At most so many fields that vary over these recipes, those first that matter most, each with a short head."""
    found = [(field, head) for field, head in HEADS.items() if len({recipe.get(field) for recipe in recipes}) > 1]
    return found[:most]


def setting(dimension: Mapping[str, Any]) -> str:
    """A dimension of a space in words."""
    when = " and ".join(f"{name} is {' or '.join(map(compact, v))}" for name, v in dimension.get("when", {}).items())
    only = f", where {when}" if when else ""
    if "values" in dimension:
        return "one of " + ", ".join(compact(value) for value in dimension["values"]) + only
    scale = ", evenly over its logarithm" if dimension["log"] else ""
    step = f", in steps of {compact(dimension['step'])}" if "step" in dimension else ""
    return f"{compact(dimension['low'])} to {compact(dimension['high'])}{step}{scale}{only}"


def evidence(finding: Mapping[str, Any], kind: str = "images") -> str:
    """The numbers behind a finding in a sentence; as a plain list where the code is not known here."""
    values = finding["evidence"]
    if finding["code"] == "imbalance" and values and all(isinstance(each, int) for each in values.values()):
        ordered = sorted(values.items(), key=lambda item: -item[1])
        return "; ".join(f"{short(name, 40)} {amount:,}" for name, amount in [ordered[0], ordered[-1]])
    if finding["code"] == "target_leak" and isinstance(values.get("columns"), Sequence):
        found = [f"{short(str(each['column']), 40)}: {each['evidence']}" for each in values["columns"]]
        return short("; ".join(found), 300)
    plain = {key.replace(".", "_"): _short(value) for key, value in values.items()}
    # Older findings do not say how the dummy guesses: they were all of classes.
    known = {"guess": "always naming the commonest class", **plain, "examples": noun(kind)}
    try:
        return _SENTENCES[finding["code"]].format_map(known)
    except (KeyError, IndexError):
        return "; ".join(f"{key.replace('_', ' ')}: {_short(value)}" for key, value in values.items())


def outcome(finding: Mapping[str, Any]) -> str:
    """Whether the change helped; that it was not tried where it could have been; nothing for facts of the data."""
    if finding["outcome"]:
        return str(finding["outcome"])
    return "" if finding["code"] in DATA_CODES else "not tried in this study"


_SENTENCES = {
    "overfitting": "validation loss lowest in epoch {since_epoch} ({lowest_valid_loss}), {last_valid_loss} at the end; "
    "training loss {last_train_loss} by then",
    "overconfident": "validation loss lowest in epoch {since_epoch} ({lowest_valid_loss}), {last_valid_loss} at the "
    "end; the metric ended at {last_valid_metric}",
    "still_improving": "validation loss {last_valid_loss} after {epochs} epochs; over the last fifth of them it fell "
    "by {fall_over_last_fifth} of its height",
    "rate_too_high": "the training loss rose in {share_of_epochs_that_rose} of all epochs and reached "
    "{highest_train_loss}; guessing costs {loss_of_guessing}; learning rate {optimizer_lr}",
    "rate_too_low": "the training loss ended at {last_train_loss}; guessing costs {loss_of_guessing}; "
    "learning rate {optimizer_lr}",
    "diverged": "a loss in epoch {epoch} was no finite number; learning rate {optimizer_lr}",
    "no_better_than_dummy": "{valid_metric} on {n} validation {examples}; {guess} has {dummy}",
    "best_on_edge": "the best values of {field} are {best_values}; searched was {low} to {high}",
    "infeasible": "{lost} of {begun} recipes that were begun there, {lost_beyond} of the {beyond} beyond it",
    "linear_range": "{field} from {low} to {high}",
    "worthless_rest": "after {recipes} recipes and {epochs} epochs the best validation loss was {best}; expected gain "
    "{gain}, noise {noise}",
    "near_duplicates": "for example {pairs}",
    "label_conflict": "for example {pairs}",
    "leak": "for example {pictures}",
    "skipped_files": "for example {first}",
    "identifier_columns": "columns: {columns}",
    "constant_columns": "columns: {columns}",
    "skipped_rows": "{count} {examples} without a target",
    "duplicate_rows": "{rows} of {of} {examples} have a twin",
    "infinite_values": "for example {notes}",
    "few_rows": "{rows} {examples}",
    "small_test": "{n} test {examples}",
    "fine_tuning": "trial {trial} against trial {frozen_trial} on the same {n} {examples}: {value} ({low} to {high})",
}


def _short(value: object) -> str:
    """A value of a finding; of a list of lists or of long texts only the first."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        first = value[0]
        if all(isinstance(each, str) and len(each) <= 24 for each in value):
            return listed(list(value))
        if isinstance(first, str):
            return short(first, 90)
        if isinstance(first, Sequence):
            return listed([short(str(each), 40) for each in first])
    return short(compact(value), 90)


def _visible(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how os.fsdecode keeps a byte that it cannot decode
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(char) == "Zs":
        return " "
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return named or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
