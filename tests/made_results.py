"""Results of studies that were never made, with the history behind each: of every task, small, large and hostile."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from tame.core.evaluation import ClassAnswers, Mistake
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Fold, History, Point, Trial
from tame.core.result import Result, answers_json
from tame.core.rng import stream
from tame.core.space import Choice, Float, Space
from tame.evaluate import score as scores
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.score import Judged
from tame.report.page import render_report
from tame.study.state import State

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "'; alert(1) //\n</style></svg></title><script>",
    "\x1b[31mred\x1b]0;title\x07\x1b[2J",
    "bytes \udcff\udc80 and \ud83d alone",
    "right \u202egnp.exe\u202c left \u2066x\u2069",
    "عربي עברית",
    "{{ 7 * 7 }} {% raw %} ${x} [bold]markup[/bold] [link=http://evil.example]x[/link]",
    "nul \x00 backslash \\ tab \t cr \r ls \u2028",
    "x" * 300,
)
SPACE = Space(
    {
        "input.size": Choice(256, 224, 288),
        "optimizer.lr": Float(5e-4, 3e-2, log=True),
        "optimizer.weight_decay": Float(1e-5, 1e-1, log=True),
        "loss.label_smoothing": Choice(0.0, 0.05, 0.1),
        "schedule.name": Choice("cosine", "linear", "wsd"),
    }
)
BASE = Recipe().but(
    {"input.size": 256, "input.views": 2, "optimizer.name": "sgd", "optimizer.lr": 3e-3,
     "optimizer.weight_decay": 1e-3, "epochs": 40, "seed": 7}
)  # fmt: skip


def judged(ids: Sequence[str], target: np.ndarray, num_classes: int, *, skill: float, seed: int) -> Judged:
    """Predictions that are right about as often as `skill` asks for."""
    rng = stream(seed, "judged")
    logits = rng.normal(size=(len(target), num_classes))
    logits[np.arange(len(target)), target] += skill
    return scores.judged_from("binary" if num_classes == 2 else "multiclass", list(ids), target, 2.2 * logits)


def of_numbers(ids: Sequence[str], *, scale: float, skill: float) -> Judged:
    """Predictions of prices that lie closer to the truth with more skill, one of them far off."""
    rng = stream(5, "numbers")
    target = scale * np.exp(rng.normal(0, 0.5, len(ids)))
    predicted = target + scale * rng.normal(0, 1, len(ids)) / skill
    predicted[7 % len(ids)] *= 40
    return scores.judged_from("regression", list(ids), target, predicted[:, None])


def history(num_trials: int, num_classes: int) -> History:
    """A search: rungs after 4 and 13 of 40 epochs, curves that bend by their learning rate, some that diverge."""
    rng, guess, trials = stream(3, "history"), math.log(num_classes), {}
    for number in range(num_trials):
        change = SPACE.from_unit(rng.random(len(SPACE))) if number else {}
        recipe = BASE.but(change)
        off = abs(math.log10(recipe.optimizer.lr / 6e-3))
        floor = guess * (0.13 + 0.25 * off + 0.05 * rng.random())
        epochs = 40 if number == 0 or off < 0.12 else 13 if off < 0.35 else 4
        lost = recipe.optimizer.lr > 0.028
        points = [
            Point(
                e,
                0.5 * floor * (1 - e / 60) + guess * math.exp(-e * recipe.optimizer.lr * 60),
                None
                if lost and e == 3
                else floor + guess * math.exp(-e * recipe.optimizer.lr * 45) + 0.01 * rng.normal(),
                min(0.99, 1 - 0.25 * floor / guess - 0.4 * math.exp(-e / 3) + 0.004 * rng.normal()),
            )
            for e in range(1, (3 if lost else epochs) + 1)
        ]  # fmt: skip
        state: Any = "diverged" if lost else "complete" if epochs == 40 else "paused" if epochs == 13 else "stopped"
        origin = "default" if number == 0 else "portfolio" if number < 7 else "sobol"
        reason = "the default recipe, which is always tried" if number == 0 else "fills the space evenly"
        trials[number] = Trial(number, recipe, origin, reason, state, epochs, Curve(tuple(points)))
    return History(trials)


def finished(
    *,
    classes: Sequence[str] = ("ants", "bees"),
    num_test: int = 153,
    num_trials: int = 64,
    metric: str = "accuracy",
    skill: float = 2.3,
    ids: Sequence[str] | None = None,
) -> tuple[dict[str, Any], History]:
    """A complete result as finals.py writes it, its numbers from the same functions, with the history behind it."""
    num = len(classes)
    names = list(ids or [f"val/{classes[i % num]}/{1000 + 37 * i}_0c3b.jpg" for i in range(num_test)])
    target = np.arange(num_test) % num
    past = history(num_trials, num)
    ended = sorted(past.having("complete"), key=lambda t: t.curve.points[-1].valid_loss or 9.0)
    best = ended[:4]
    finalists = best if past.trials[0] in best else [*best, past.trials[0]]
    all_trials = dict(past.trials)
    for trial in finalists:
        for _ in range(3):
            number = len(all_trials)
            again = f"the recipe of trial {trial.number} again, with a fresh seed"
            all_trials[number] = replace(
                trial, number=number, origin="finalist", reason=again, recipe=trial.recipe.but({"seed": 90 + number})
            )
    own = judged(names, target, num, skill=skill, seed=1)
    other = judged(names, target, num, skill=skill - 0.2, seed=1)
    train_targets = np.arange(4 * num_test) % num
    train_targets[: num_test // 2] = 0
    lowest = scores.dummy(metric, train_targets, own, seed=0)
    value = scores.score(metric, own, how="the sealed test part, opened once", seed=0)
    against = to_plain(scores.difference(metric, own, other, seed=0))
    gained = (0.44, 0.36, 0.52) if metric != "log_loss" else (-0.44, -0.52, -0.36)
    over_dummy = {**against, **dict(zip(("value", "low", "high"), gained, strict=True))}
    validation = value.value + 0.006 if metric != "log_loss" else value.value - 0.006
    winner = finalists[0]
    behind = {"value": 0.004, "low": -0.011, "high": 0.021, "n": 244, "how": "paired", "verdict": "no real difference"}
    result = {
        "schema": "tame/1", "study": "runs/ants_bees-0001", "data": "shared/data/ants_bees", "task": "images",
        "classes": list(classes), "metric": metric, "score": value.to_json(),
        "validation": {"value": validation, "n": 244, "how": "5-fold cross-validation, mean of 3 fresh seeds"},
        "optimism": 0.006, "test_openings": 1,
        "baselines": {
            "dummy": {**lowest.to_json(), "difference": over_dummy},
            "default": {
                **scores.score(metric, other, how="the default recipe on the same pictures", seed=0).to_json(),
                "difference": against, "is_winner": False,
            },
        },
        "winner": {
            "recipe": {**winner.recipe.flat(), "seed": 91}, "from_trial": winner.number,
            "trial": num_trials, "seeds": [91, 92, 93], "epochs": 40,
        },
        "finalists": [
            {
                "from_trial": t.number, "origin": t.origin, "value": validation - 0.004 * i,
                "values": [validation - 0.004 * i + d for d in (-0.004, 0.0, 0.004)], "recipe": t.recipe.flat(),
                "is_winner": t is winner, "log_loss": 0.101 + 0.013 * i, "behind": behind if i else None,
            }
            for i, t in enumerate(finalists)
        ],
        "findings": [
            finding("leak", "2 pictures outside the test part also found inside it, or across given parts", "problem",
                    {"count": 2, "pictures": [names[0], names[1]]}, "the copies outside the test part were put aside"),
            finding("overfitting", "overfitting since epoch 21: the validation loss rose by 9 %", "warning",
                    {"since_epoch": 21, "lowest_valid_loss": 0.104, "last_valid_loss": 0.1134,
                     "last_train_loss": 0.0213}, "use more regularization, fewer epochs, or more data", winner.number),
            finding("near_duplicates", "3 pairs of pictures that are the same or nearly", "warning",
                    {"count": 3, "pairs": [[names[2], names[3]]]},
                    "they were kept on one side of the split; remove the copies"),
            finding("best_on_edge", "the best 3 recipes lie on the high edge of optimizer.lr", "warning",
                    {"field": "optimizer.lr", "side": "high", "best_values": [0.028, 0.029, 0.027], "low": 5e-4,
                     "high": 3e-2}, "a wider space"),
        ],
        "all_findings": 23,
        **answers_json(
            ClassAnswers(
                confusion=scores.confusion(own, list(classes)), per_class=scores.per_class(own, list(classes)),
                mistakes=scores.mistakes(own, list(classes)), calibration=calibration(own),
            )
        ),
        "trials": num_trials, "trial_states": {"complete": 22, "paused": 9, "stopped": 31, "diverged": 2},
        "epochs": sum(t.epochs for t in all_trials.values()),
        "fine_tuning": {"kept": False, "why": "no time for 3 epochs of fine-tuning: 4 s were left for it"},
        "space": SPACE.to_json(), "sizes": [256, 224, 288],
        "speed": {"rate": 212.4, "size": 224, "precision": "bfloat16"},
        "data_facts": {
            "classes": list(classes), "pictures": 397, "skipped": 1, "split": "the test part was given (153); "
            "validation is by 5 folds of the other 244", "folds": 5, "side": 375, "pairs": 3,
            "counts": {
                "train": dict.fromkeys(classes, 122), "test": dict.fromkeys(classes, num_test // num),
                "aside": {classes[0]: 2},
            },
            "skipped_first": [{"id": "train/ants/imageNotFound.gif", "reason": "not a picture: cannot identify"}],
            "notes": ["3 files are no pictures by their extension: .txt (3)"],
        },
        "backbone": {"name": "mobilenetv2_100", "digest": "67984ec8afbd9f7c7355", "size": 224, "stages": 7},
        "delivered": {
            "folder": "runs/ants_bees-0001/model",
            "files": {"model.safetensors": "ab12" * 16, "model.json": "cd34" * 16},
            "checked": 153, "largest_difference": 1.2e-7,
        },
        "wall_s": 57.83, "model": "runs/ants_bees-0001/model", "report": "runs/ants_bees-0001/report.html",
        "command": "tame fit shared/data/ants_bees --backbone mobilenetv2_100 --test val --time 60s --seed 0",
        "machine": {"system": "Linux-6.8.0-x86_64", "python": "3.12.3"},
    }  # fmt: skip
    return result, History(all_trials)


COLUMNS = [
    {"name": "area", "kind": "number", "why": "all values are numbers", "missing": 12, "categories": []},
    {"name": "rooms", "kind": "number", "why": "all values are numbers", "missing": 0, "categories": []},
    {"name": "district", "kind": "category", "why": "40 different texts", "missing": 3, "categories": 40},
    {"name": "garden", "kind": "boolean", "why": "only yes and no", "missing": 0, "categories": ["no", "yes"]},
    {"name": "sold", "kind": "date", "why": "dates as 2024-01-31", "missing": 0, "categories": 0},
    {"name": "id", "kind": "identifier", "why": "every value is different", "missing": 0, "categories": []},
    {"name": "country", "kind": "constant", "why": "every value is DE", "missing": 0, "categories": []},
]


def as_table(result: dict[str, Any], task: str, target: str, why: str) -> dict[str, Any]:
    """The same result as of a table: no pictures, no backbone, columns instead."""
    facts = {
        "classes": result["classes"], "split": result["data_facts"]["split"], "folds": 5, "pairs": 0, "twins": 6,
        "examples": 397, "unlabelled": 1,
        "counts": result["data_facts"]["counts"], "columns": COLUMNS,
        "target": {"name": target, "task": task, "why": why},
        "notes": ["the separator is a semicolon", "-999 in area was read as missing"],
    }  # fmt: skip
    kept = {k: v for k, v in result.items() if k not in ("backbone", "speed", "fine_tuning", "sizes")}
    finalists = [{**each, "recipe": plain(each["recipe"]), "loss": each["log_loss"]} for each in result["finalists"]]
    for each in finalists:
        del each["log_loss"]
    return {
        **kept, "finalists": finalists,
        "winner": {**result["winner"], "recipe": plain(result["winner"]["recipe"])},
        "task": task, "kind": "table", "data": "shared/data/houses.csv", "data_facts": facts,
        "validation": {**result["validation"], "stderr": 0.011},
        "space": {name: each for name, each in result["space"].items() if name != "input.size"},
        "engines": [
            {"group": "mlp, 2 layers of 64", "members": 48, "engine": "stacked", "why": "6.1 times as fast as serial"},
            {"group": "linear", "members": 16, "engine": "serial", "why": "too few to gain from stacking"},
        ],
        "findings": [
            finding("identifier_columns", "1 column holds identifiers", "info", {"columns": ["id"]}, "left out"),
            finding("few_rows", "only 397 rows", "warning", {"rows": 397}, "collect more rows"),
            finding("target_leak", "the target can be read off: price", "problem",
                    {"columns": [{"column": "price", "evidence": "equal in all rows"}]}, "leave it out"),
            finding("no_better_than_dummy", "not shown to be better than the dummy: 0.51 against 0.5", "problem",
                    {"valid_metric": 0.51, "dummy": 0.5, "n": 244}, "check targets", 3),
        ],
    }  # fmt: skip


def plain(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of an mlp on a table."""
    return Recipe.from_flat(recipe).but({"model.name": "mlp", "input.size": 224, "input.views": 1}).flat()


def on_table(past: History) -> History:
    """The same trials with the recipes of a table: mlps, some of which stopped early."""
    trials = {}
    for n, trial in past.trials.items():
        space = {"model.name": "mlp", "input.size": 224, "input.views": 1, "model.width": 64 << (n % 3)}
        recipe = trial.recipe.but({**space, "regularize.early_stopping": 5, "epochs": 60 if n % 5 == 3 else 40})
        early = n % 5 == 3 and trial.state == "complete"
        trials[n] = replace(trial, recipe=recipe, kept_epoch=trial.epochs - 5 if early else None)
    return History(trials)


def of_table() -> tuple[dict[str, Any], History]:
    result, past = finished(classes=("no", "yes"), metric="roc_auc", ids=[f"row {i}" for i in range(153)])
    result = as_table(result, "binary", "bought", "2 different values")
    own = judged([f"row {i}" for i in range(153)], np.arange(153) % 2, 2, skill=2.3, seed=1)
    result["costs"] = to_plain(expected_cost(own, [[0, 1], [5, 0]], seed=0))
    return result, on_table(past)


def of_prices(*, scale: float = 250_000.0, metric: str = "rmse") -> tuple[dict[str, Any], History]:
    """A finished regression on a table: every score, difference and error from the functions that finals.py calls."""
    base, past = finished(classes=("a", "b"), num_trials=32)
    ids = [f"row {i}" for i in range(800)]
    own, other = of_numbers(ids, scale=scale, skill=6), of_numbers(ids, scale=scale, skill=5)
    train_targets = scale * np.exp(stream(6, "learnt").normal(0, 0.5, 900))
    value = scores.score(metric, own, how="the delivered model on the sealed test part", seed=0)
    beside = scores.score(metric, other, how="the default recipe on the same rows", seed=0)
    against = to_plain(scores.difference(metric, own, other, seed=0))
    over = to_plain(scores.difference(metric, own, scores.guesses(metric, train_targets, own), seed=0))
    gap = 0.004 if metric == "r2" else -0.03 * value.value
    result = as_table(base, "regression", "price", "numbers with 734 different values")
    for key in ("classes", "confusion", "per_class", "mistakes", "calibration"):
        del result[key]
    result["data_facts"] = {k: v for k, v in result["data_facts"].items() if k != "classes"}
    result["data_facts"]["counts"] = {part: {"rows": n} for part, n in (("train", 3200), ("test", 800), ("aside", 4))}
    for i, each in enumerate(result["finalists"]):
        each |= {"value": (value.value + gap) * (1 + i / 100), "loss": (1 + i / 50) * scores.measure("rmse", own)}
        each["values"] = [each["value"] * (1 + d) for d in (-0.01, 0.0, 0.01)]
        each["behind"] = each["behind"] and against
    result |= {
        "metric": metric, "score": value.to_json(), "optimism": gap if metric == "r2" else -gap,
        "validation": {"value": value.value + gap, "stderr": 0.01 * scale, "n": 3200, "how": "5 folds, 3 seeds"},
        "baselines": {
            "dummy": {**scores.dummy(metric, train_targets, own, seed=0).to_json(), "difference": over},
            "default": {**beside.to_json(), "difference": against, "is_winner": False},
        },
        "findings": [finding("no_better_than_dummy", "not shown to be better than the dummy: 138,000 against 140,000",
                             "problem", {"valid_metric": 138_000.0, "dummy": 140_000.0, "n": 3200,
                             "guess": "always guessing the mean"}, "check targets", 3)],
        "residuals": to_plain(scores.residuals(own)), "errors": to_plain(scores.errors(own)),
    }  # fmt: skip
    past = on_table(past)
    trials = {
        n: replace(t, curve=Curve(tuple(p._replace(valid_metric=p.valid_loss and scale * p.valid_loss**0.5)
                                        for p in t.curve.points)))
        for n, t in past.trials.items()
    }  # fmt: skip
    return result, History(trials)


def of_arrays() -> tuple[dict[str, Any], History]:
    """Three classes of arrays without names of columns or target."""
    result, past = finished(classes=("0", "1", "2"), num_trials=32, ids=[str(i) for i in range(153)])
    result = as_table(result, "multiclass", "", "3 whole numbers") | {"kind": "arrays", "engines": []}
    result["data_facts"] = {k: v for k, v in result["data_facts"].items() if k not in ("columns", "target", "pairs")}
    return result, on_table(past)


def hostile_table() -> tuple[dict[str, Any], History]:
    """A table in which every name of a column, a class, a row and the target wants to be something else."""
    ids = [f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(200)]
    result, past = finished(classes=HOSTILE, num_test=200, num_trials=32, ids=ids, skill=1.0)
    bad = HOSTILE[1] + HOSTILE[3]
    result = as_table(result, "multiclass", bad, bad)
    kinds = ["number", "category", "text", "identifier", "boolean"]
    result["data_facts"] |= {
        "columns": [{"name": text, "kind": kinds[i % 5], "why": text, "missing": i, "categories": [text] * i}
                    for i, text in enumerate(HOSTILE)],
        "notes": list(HOSTILE),
    }  # fmt: skip
    result["engines"] = [{"group": bad, "members": 2, "engine": "serial", "why": bad}]
    own = judged(ids, np.arange(200) % len(HOSTILE), len(HOSTILE), skill=1.0, seed=1)
    costs = to_plain(expected_cost(own, np.ones((len(HOSTILE),) * 2).tolist(), seed=0))
    result["costs"] = {**costs, "how": bad}
    for place, each in enumerate(result["findings"]):
        text = HOSTILE[place]
        each |= {"title": text, "change": text, "outcome": text, "evidence": {text: [text, text]}}
    return result, on_table(past)


def hostile_numbers() -> tuple[dict[str, Any], History]:
    result, past = of_prices()
    bad = HOSTILE[1] + HOSTILE[3]
    result["data_facts"] |= {"target": {"name": bad, "task": "regression", "why": bad}, "notes": list(HOSTILE)}
    result["data_facts"]["columns"] = [{**COLUMNS[0], "name": text, "why": text} for text in HOSTILE]
    for place, each in enumerate(result["errors"]):
        each["id"] = HOSTILE[place % len(HOSTILE)]
    return result, past


def finding(
    code: str, title: str, severity: Any, evidence: dict[str, Any], change: str, trial: int | None = None
) -> dict[str, Any]:
    return Finding(code, title, severity, evidence, change, trial=trial).to_json()


def hostile() -> tuple[dict[str, Any], History]:
    """A result in which every text that comes from outside wants to be something else."""
    ids = [f"{HOSTILE[i % len(HOSTILE)]}/{i}.jpg" for i in range(200)]
    result, past = finished(classes=HOSTILE, num_test=200, ids=ids, skill=1.0)
    bad = HOSTILE[1] + HOSTILE[3]
    result |= {"study": bad, "data": f"/tmp/{bad}", "model": bad, "command": f"tame fit '{bad}'", "report": bad}
    for place, each in enumerate(result["findings"]):
        text = HOSTILE[place]
        each |= {"title": text, "change": text, "outcome": text, "evidence": {text: text, "pairs": [[text, text]]}}
    result["data_facts"] |= {
        "notes": list(HOSTILE), "split": bad, "skipped": 5, "skipped_first": [{"id": t, "reason": t} for t in HOSTILE],
    }  # fmt: skip
    result["machine"] = {bad: bad}
    result["fine_tuning"] = {"kept": False, "why": bad}
    result["backbone"] |= {"name": bad, "digest": bad}
    result["delivered"] |= {"files": {bad: bad}}
    result["validation"]["how"] = bad
    trials = {n: replace(t, reason=HOSTILE[n % len(HOSTILE)], origin=t.origin) for n, t in past.trials.items()}
    return result, History(trials)


CASES = {
    "two_classes": lambda: finished(),
    "forty_classes": lambda: finished(classes=[f"class number {i}" for i in range(40)], num_test=400, skill=2.6),
    "twelve_classes": lambda: finished(classes=[f"species {i}" for i in range(12)], num_test=240, metric="f1_macro"),
    "log_loss": lambda: finished(metric="log_loss"),
    "many_trials": lambda: finished(num_trials=500),
    "hostile": hostile,
    "table": of_table,
    "numbers": of_prices,
    "small_numbers": lambda: of_prices(scale=2e-5, metric="mae"),
    "explained": lambda: of_prices(metric="r2"),
    "arrays": of_arrays,
    "hostile_table": hostile_table,
    "hostile_numbers": hostile_numbers,
}


class Page(HTMLParser):
    """Tags that are open and closed as they should be, with everything that could reach out or run."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.text += " " if tag in ("td", "th", "p", "dt", "dd") else ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        self.text += "" if self.open[-1:] == ["style"] else data


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def made(case: str) -> tuple[Result, History]:
    """A case, made once."""
    plain_result, past = plain_case(case)
    return Result.from_json(plain_result), past


@cache
def plain_case(case: str) -> tuple[dict[str, Any], History]:
    """The plain values of a case, as an older version wrote them where the case is of one. They must not be changed."""
    return CASES[case]()


@cache
def report(case: str) -> str:
    """The page of a case, with a thumbnail for every mistake but the first."""
    result, past = made(case)
    shown = mistakes(result)[1:]
    return render_report(result, past, {each.id: JPEG for each in shown})


def mistakes(result: Result) -> Sequence[Mistake]:
    """The wrong answers; none of a regression."""
    return result.answers.mistakes if isinstance(result.answers, ClassAnswers) else ()


def classes_of(result: Result) -> ClassAnswers:
    """The answers of a classification."""
    assert isinstance(result.answers, ClassAnswers)
    return result.answers


def with_answers(result: Result, **changes: Any) -> Result:
    """The result with other answers."""
    return replace(result, answers=replace(result.answers, **changes))


def printed(what: RenderableType, *, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), no_color=True, force_terminal=False, legacy_windows=False)
    console.print(what)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def state(case: str) -> State:
    result, past = made(case)
    return State(Fold(past), findings=list(result.findings), result=plain_case(case)[0], data={}, used_s=57.8)


OLD = Path(__file__).parent / "data" / "old_results.zip"  # report.json as versions with plain dicts wrote it
OLD_RESULTS = (
    "table-with-costs",
    "numbers",
    "shares-of-classes",
    "pictures",
    "backbone",
    "clock",
    "many",
    "own-module",
)


@cache
def text_of(name: str) -> str:
    """The report.json of a study that was made before results had types."""
    with zipfile.ZipFile(OLD) as archive:
        return archive.read(f"{name}.json").decode()


def old_result(name: str) -> dict[str, Any]:
    """Its plain values."""
    found: dict[str, Any] = json.loads(text_of(name))
    return found
