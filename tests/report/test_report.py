"""The report and the terminal: every number is there, whatever comes from outside is inert, and all fits its place."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from tame.app.show import result_lines, state_json, study_table
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, History, Point, Trial
from tame.core.rng import stream
from tame.core.space import Choice, Float, Space
from tame.evaluate import score as scores
from tame.evaluate.best_of import what_mattered
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.score import Judged
from tame.report import words
from tame.report.charts import Dot, Line, Row, Spot, agreement, curves, intervals, scatter, shares, tag
from tame.report.importance_section import worth
from tame.report.model_card import model_card
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
        reason = "the default recipe, always in the race" if number == 0 else "fills the space evenly"
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
    learnt = np.arange(4 * num_test) % num
    learnt[: num_test // 2] = 0
    lowest = scores.dummy(metric, learnt, own, seed=0)
    value = scores.score(metric, own, how="the sealed test part, opened once", seed=0)
    against = scores.difference(metric, own, other, seed=0).to_json()
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
                     "last_train_loss": 0.0213}, "more regularisation, fewer epochs, or more data", winner.number),
            finding("near_duplicates", "3 pairs of pictures that are the same or nearly", "warning",
                    {"count": 3, "pairs": [[names[2], names[3]]]},
                    "they were kept on one side of the split; remove the copies"),
            finding("best_on_edge", "the best 3 recipes lie on the high edge of optimizer.lr", "warning",
                    {"field": "optimizer.lr", "side": "high", "best_values": [0.028, 0.029, 0.027], "low": 5e-4,
                     "high": 3e-2}, "a wider space"),
        ],
        "all_findings": 23,
        "confusion": scores.confusion(own, list(classes)),
        "per_class": scores.per_class(own, list(classes)),
        "mistakes": scores.mistakes(own, list(classes)),
        "calibration": calibration(own),
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
    result["costs"] = expected_cost(own, [[0, 1], [5, 0]], seed=0)
    return result, on_table(past)


def of_prices(*, scale: float = 250_000.0, metric: str = "rmse") -> tuple[dict[str, Any], History]:
    """A finished regression on a table: every score, difference and error from the functions that finals.py calls."""
    base, past = finished(classes=("a", "b"), num_trials=32)
    ids = [f"row {i}" for i in range(800)]
    own, other = of_numbers(ids, scale=scale, skill=6), of_numbers(ids, scale=scale, skill=5)
    learnt = scale * np.exp(stream(6, "learnt").normal(0, 0.5, 900))
    value = scores.score(metric, own, how="the sealed test part, judged by the delivered model", seed=0)
    beside = scores.score(metric, other, how="the default recipe on the same rows", seed=0)
    against = scores.difference(metric, own, other, seed=0).to_json()
    over = scores.difference(metric, own, scores.guesses(metric, learnt, own), seed=0).to_json()
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
            "dummy": {**scores.dummy(metric, learnt, own, seed=0).to_json(), "difference": over},
            "default": {**beside.to_json(), "difference": against, "is_winner": False},
        },
        "findings": [finding("no_better_than_dummy", "not shown to be better than the dummy: 138,000 against 140,000",
                             "problem", {"valid_metric": 138_000.0, "dummy": 140_000.0, "n": 3200,
                             "guess": "always guessing the mean"}, "check targets", 3)],
        "residuals": scores.residuals(own), "errors": scores.errors(own),
    }  # fmt: skip
    past = on_table(past)
    trials = {
        n: replace(t, curve=Curve(tuple(replace(p, valid_metric=p.valid_loss and scale * p.valid_loss**0.5)
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
    result["costs"] = {**expected_cost(own, np.ones((len(HOSTILE),) * 2).tolist(), seed=0), "how": bad}
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


def made(case: str) -> tuple[dict[str, Any], History]:
    """A case, made once; its result may be changed."""
    result, past = _made(case)
    return deepcopy(result), past


@cache
def _made(case: str) -> tuple[dict[str, Any], History]:
    return CASES[case]()


@cache
def report(case: str) -> str:
    result, past = _made(case)
    return render_report(result, past, {each["id"]: JPEG for each in result.get("mistakes", [])[1:]})


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, report(request.param)


def test_the_page_is_well_formed_and_every_link_stays_inside_it(page: tuple[str, str]) -> None:
    found = read(page[1])
    assert len(found.ids) == len(set(found.ids))
    links = [value for _, name, value in found.attributes if name in ("href", "xlink:href")]
    assert links
    assert {link[1:] for link in links if link.startswith("#")} <= set(found.ids)
    assert all(link.startswith("#") for link in links)
    labels = [value for _, name, value in found.attributes if name == "aria-labelledby"]
    assert {part for label in labels for part in label.split()} <= set(found.ids)


def test_the_page_runs_nothing_and_loads_nothing(page: tuple[str, str]) -> None:
    found = read(page[1])
    assert not found.tags & {"script", "iframe", "object", "embed", "link", "form", "base", "foreignobject", "use"}
    assert not [attribute for attribute in found.attributes if attribute[1].startswith("on")]
    sources = [value for _, name, value in found.attributes if name in ("src", "srcset", "poster", "data")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    style = page[1].partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page[1]
    assert "<script" not in page[1]
    if not page[0].startswith("hostile"):
        assert "http:" not in page[1]
        assert "https:" not in page[1]


def test_every_chart_is_xml_with_a_title_and_a_description(page: tuple[str, str]) -> None:
    charts = re.findall(r'<svg role="img".*?</desc>.*?(?=</figure>|</div>)', page[1], flags=re.S)
    isolated = len(re.findall(r'<title id="isolation-\d+-title">', page[1]))
    plain = 8 if page[0] in ("numbers", "small_numbers", "explained", "hostile_numbers") else 9
    assert isolated >= 1
    assert len(charts) == plain + isolated + 3
    for chart in charts:
        root = ElementTree.fromstring(chart.strip())
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert all((child.text or "").strip() for child in list(root)[:2])
        assert "nan" not in chart.lower().replace("finance", "")


def test_hostile_text_is_shown_as_text() -> None:
    html = report("hostile")
    html.encode("utf-8")
    text = read(html).text
    for char in ("\x1b", "\x00", "\u202e", "\u2066", "\u2028", "\x07"):
        assert char not in html
    assert "<script>alert(1)</script>" in text
    assert "\\x1b" in text or "\\u001b" in text
    assert "\\xff" in text
    assert "عربي עברית" in text
    assert "{{ 7 * 7 }}" in text


def test_what_mattered_is_told_with_the_values_behind_it() -> None:
    result, past = made("two_classes")
    section = report("two_classes").partition('id="mattered"')[2].partition("</section>")[0]
    text = " ".join(read(section).text.split())
    found = what_mattered(past, Space.from_json(result["space"]))
    assert found.importances.each[0].name == "optimizer.lr"
    assert found.importances.each[0].is_shown
    assert f"lr {100 * found.importances.each[0].value:.0f} %" in text
    assert "More than chance is shown for" in text
    assert found.best_of is not None
    assert words.sentence(worth(found.best_of, found.objective)) in text
    assert "7 of the 64 trials are not known to be drawn at random" in text
    assert "64 trials were made" in text


def test_what_mattered_is_left_out_where_nothing_was_searched_and_said_to_be() -> None:
    result, past = made("two_classes")
    few = History({n: trial for n, trial in past.trials.items() if n < 5})
    text = read(render_report(result, few, {})).text
    assert "too few trials to tell: 5 of the 16" in text.replace("Too", "too")
    assert "Importance of each field" not in text
    assert "Nothing was searched that differs" in read(render_report({**result, "space": {}}, past, {})).text


def test_all_numbers_are_on_the_page() -> None:
    result, _ = made("two_classes")
    text = " ".join(read(report("two_classes")).text.split())
    score, default = result["score"], result["baselines"]["default"]
    for value in (score["value"], score["low"], score["high"], default["value"], result["validation"]["value"]):
        assert words.number(value) in text
    assert words.optimism(result)[1:] in text
    assert words.verdict(result)[1:] in text
    assert f"{result['epochs']:,}" in text
    assert "57.83" not in text
    assert "58 s" in text
    for each in result["per_class"]:
        assert f"{each['right']} of {each['n']}" in text
    for each in result["finalists"]:
        assert words.number(each["log_loss"]) in text
        assert all(words.number(value) in text for value in each["values"])
    for field, value in Recipe.from_flat(result["winner"]["recipe"]).told().items():
        assert field in text
        assert words.compact(value).replace(",", "") in text.replace(",", "")
    for needed in (result["command"], "tame predict runs/ants_bees-0001 photo.jpg", "ab12" * 16, "Linux-6.8.0-x86_64"):
        assert needed in text
    for each in result["mistakes"]:
        assert f"{100 * each['probability']:.1f} %" in text
    for finding in result["findings"]:
        assert finding["title"][1:] in text
        assert finding["change"] in text
    assert all(str(count) in text for row in result["confusion"] for count in row)


def test_a_regression_shows_its_errors_and_no_classes() -> None:
    result, _ = made("numbers")
    html = report("numbers")
    text = " ".join(read(html).text.split())
    about, score = result["residuals"], result["score"]
    for value in (score["value"], score["low"], score["high"], about["median_size"], about["size_90"], about["rmse"]):
        assert words.significant(value) in text
    for needed in ("A network that predicts price", "training mean", "± 2,500 over 5 folds", "on 800 test rows"):
        assert needed in text
    for each in result["errors"]:
        assert each["id"] in text
        assert words.significant(each["true"]) in text
    chart = html.partition('id="agreement"')[2].partition("</figure>")[0]
    assert chart.count("<circle") + chart.count('class="cross"') == len(about["points"]) == 500
    for absent in ("Confusion", "Each class", "mistakes", "ommonest class", "nats", "accuracy"):
        assert absent not in text
    for each in result["finalists"]:
        assert words.significant(each["value"]) in text
    assert f"{words.metric_name('rmse')}, less is better" in text
    assert "%" not in text.partition("95 % interval")[0]


def test_what_decides_between_equal_finalists_has_a_column_unless_it_is_the_metric_itself() -> None:
    result, _ = made("small_numbers")
    text = " ".join(read(report("small_numbers")).text.split())
    assert "the one of the lowest RMSE wins" in text
    assert "the one of the lowest" not in read(report("numbers")).text
    assert "the one of the lowest" not in read(report("log_loss")).text
    assert "the one of the lowest log loss wins" in " ".join(read(report("table")).text.split())
    assert all(words.significant(each["loss"]) in text for each in result["finalists"])


@pytest.mark.parametrize("case", ["table", "numbers", "arrays"])
def test_a_page_without_pictures_does_not_speak_of_them(case: str) -> None:
    text = read(report(case)).text
    assert "picture" not in text.lower()
    assert "Fine-tuning" not in text
    result, _ = made(case)
    for own in (printed(result_lines(result)), printed(study_table(state(case)))):
        assert "picture" not in own.lower()
    assert "picture" not in model_card(result).lower()


def test_a_table_shows_its_columns_and_why_some_are_left_out() -> None:
    text = " ".join(read(report("table")).text.split())
    for each in COLUMNS:
        assert f"{each['name']} {each['kind']}" in text
        assert each["why"] in text
    assert "12 (3.0 %)" in text
    assert "Learnt from 5 columns: 2 numbers, 1 category, 1 yes or no and 1 date; 2 columns were left out" in text
    assert "Predicted is bought, one of two classes. 2 different values." in text
    assert "-999 in area was read as missing" in text
    assert "6 rows have a twin that is equal. 1 row without a target was left out." in text
    out = report("table").partition("Columns that were left out")[2].partition("</table>")[0]
    assert out.count("<tr") == 3
    assert "district" not in out


def test_calibration_costs_and_engines_are_shown_where_they_are_known() -> None:
    result, past = made("table")
    text = " ".join(read(report("table")).text.split())
    costs = result["costs"]
    assert f"{words.significant(costs['value'])} ({words.significant(costs['low'])} to" in text
    assert f"turn {words.count(costs['aware']['changed'], 'answer')} and cost" in text
    assert f"calibration error is {words.number(result['calibration']['ece'])}" in text
    assert "mlp, 2 layers of 64 48 stacked 6.1 times as fast as serial" in text
    del result["costs"], result["engines"], result["calibration"]
    bare = render_report(result, past, {})
    read(bare)
    assert not re.search('id="(costs|calibration|term-calibration)"|How it was trained|#calibration', bare)
    printed(result_lines(result))


def test_only_fields_that_vary_have_a_column_of_trials_and_early_stops_are_named() -> None:
    heads = report("table").partition('id="search"')[2].partition("</thead>")[0].split("<thead>")[1]
    assert re.findall(r">(\w+)</th>", heads)[3:7] == ["epochs", "rate", "decay", "width"]
    assert "size" not in heads
    assert ">size<" in report("two_classes").partition('id="search"')[2].partition("</thead>")[0]
    assert re.search(r"\d+ complete early", read(report("table")).text)
    result, _ = made("two_classes")
    one = render_report(result, History({0: Trial(0, BASE, "default", "the default recipe")}), {})
    assert "Learning rate and loss" not in one


@pytest.mark.parametrize("case", ["numbers", "table", "arrays", "two_classes"])
def test_nothing_found_is_said_for_every_task(case: str) -> None:
    result, past = made(case)
    html = render_report({**result, "findings": [], "all_findings": 0}, past, {})
    read(html)
    assert "Nothing was found wrong" in html


@pytest.mark.parametrize(
    ("case", "task", "said"),
    [
        ("two_classes", "image-classification", "Tells 2 classes of pictures apart with a frozen mobilenetv2_100"),
        ("table", "tabular-classification", "Tells 2 classes of rows apart, by bought, with a network of the kind mlp"),
        ("numbers", "tabular-regression", "Predicts price with a network of the kind mlp, tuned by TAME."),
        ("arrays", "tabular-classification", "Tells 3 classes of examples apart with a network of the kind mlp"),
    ],
)
def test_the_model_card_says_what_the_network_does(case: str, task: str, said: str) -> None:
    result, _ = made(case)
    card = model_card(result)
    assert f"tags: [{task}]" in card
    assert said in card
    assert words.shown(result["metric"], result["score"]["value"]) in card
    assert words.span(result["score"], result["metric"]) in card
    assert words.sentence(words.verdict(result)) in card, "names keep their capitals"
    front = card.split("---")[1]
    assert f"value: {result['score']['value']:.6g}}}" in front


@pytest.mark.parametrize("case", ["hostile", "hostile_table", "hostile_numbers"])
def test_the_model_card_holds_no_control_characters(case: str) -> None:
    result, _ = made(case)
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in model_card(result))


def test_a_finding_names_examples_as_the_data_has_them() -> None:
    small = finding("small_test", "", "info", {"n": 40}, "")
    assert [words.evidence(small, kind) for kind in words.NOUNS] == [
        "40 test pictures", "40 test rows", "40 test examples",
    ]  # fmt: skip
    old = finding("no_better_than_dummy", "", "problem", {"valid_metric": 0.5, "dummy": 0.5, "n": 9}, "")
    assert "always naming the commonest class has 0.5" in words.evidence(old)
    many = finding("constant_columns", "", "info", {"columns": ["a", "b", "c"]}, "")
    assert words.evidence(many, "table") == "columns: a, b and c"
    leaks = [{"column": "price", "evidence": "equals the target in all rows"}, {"column": "id", "evidence": "so too"}]
    said = words.evidence(finding("target_leak", "", "problem", {"columns": leaks}, ""), "table")
    assert said == "price: equals the target in all rows; id: so too"
    unknown = finding("of_tomorrow", "", "info", {"columns": ["a", "b"], "some_count": 2}, "")
    assert words.evidence(unknown) == "columns: a and b; some count: 2"


def test_every_trial_of_the_search_has_a_row() -> None:
    html = report("many_trials")
    table = html.partition('id="search"')[2].partition("</table>")[0]
    assert table.count("<tr") == 501
    assert len(html) < 3_000_000


def test_many_classes_get_their_confused_pairs_instead_of_a_matrix() -> None:
    result, _ = made("forty_classes")
    html = report("forty_classes")
    assert 'class="matrix' not in html
    worst = max((n, t, p) for t, row in enumerate(result["confusion"]) for p, n in enumerate(row) if t != p)
    assert f'<td class="num">{worst[0]}</td>' in html
    assert 'class="matrix' in report("twelve_classes")


def test_a_matrix_that_is_withheld_is_said_to_be() -> None:
    result, past = made("two_classes")
    html = render_report({**result, "confusion": None}, past, {})
    assert "did not agree with the accuracy" in html
    assert 'class="matrix' not in html


def test_mistakes_carry_their_thumbnail_or_say_that_there_is_none() -> None:
    html = report("two_classes")
    result, past = made("two_classes")
    assert html.count('src="data:image/jpeg;base64,/9j/') == len(result["mistakes"]) - 1
    assert html.count("no thumbnail") == 1
    assert "None: every test picture was recognised" in render_report({**result, "mistakes": []}, past, {})


@pytest.mark.parametrize(
    ("about", "head", "why"),
    [
        (None, "Not tried", "left it out"),
        ({"kept": False, "why": "fine-tuning diverged", "trial": 64}, "Tried without success", "Fine-tuning diverged"),
        (
            {"kept": True, "why": "kept", "trial": 9, "difference": {"value": 0.03, "low": 0.01, "high": 0.05, "n": 9}},
            "Kept",
            "etter than the best network on frozen features by 0.030 (0.010 to 0.050)",
        ),
    ],
)
def test_fine_tuning_says_what_it_added_or_why_it_was_not_tried(about: Any, head: str, why: str) -> None:
    result, past = made("two_classes")
    html = render_report({**result, "fine_tuning": about}, past, {})
    assert f"<b>{head}.</b>" in html
    assert why in html


def test_a_study_without_findings_notes_backbone_or_trained_curves_still_has_a_report() -> None:
    result, _ = made("two_classes")
    bare = {**result, "findings": [], "all_findings": 0, "space": {}}
    bare |= {"backbone": None, "fine_tuning": None, "speed": None}
    bare["data_facts"] = {**result["data_facts"], "notes": [], "skipped": 0, "skipped_first": [], "folds": 1}
    html = render_report(bare, History({0: Trial(0, BASE, "default", "the default recipe")}), {})
    assert "Nothing was found wrong" in html
    assert "trained from scratch" in html
    read(html)


def test_a_default_recipe_that_is_no_finalist_and_a_winner_without_fresh_seeds_are_said_to_be() -> None:
    result, past = made("two_classes")
    result["finalists"] = [{**each, "origin": "sobol"} for each in result["finalists"]]
    result["winner"]["trial"] = result["winner"]["from_trial"]
    result["baselines"]["default"] = None
    html = render_report(result, past, {})
    assert "nothing is said of a gain over it" in html
    assert "There was no time to train the best again" in html
    assert "as it was trained again" not in html


def difference(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 100}


@pytest.mark.parametrize(
    ("metric", "about", "said"),
    [
        ("accuracy", difference(0.02, -0.01, 0.05), "no real difference from it: +0.020 (−0.010 to +0.050)"),
        ("accuracy", difference(0.03, 0.01, 0.05), "better than it by 0.030 (0.010 to 0.050)"),
        ("accuracy", difference(-0.03, -0.05, -0.01), "worse than it by 0.030 (0.010 to 0.050)"),
        ("log_loss", difference(-0.03, -0.05, -0.01), "better than it by 0.030 (0.010 to 0.050)"),
        ("log_loss", difference(0.03, 0.01, 0.05), "worse than it by 0.030 (0.010 to 0.050)"),
        ("rmse", difference(-31_234.0, -52_000.0, -9_876.0), "better than it by 31,200 (9,880 to 52,000)"),
        ("mae", difference(0.00123, -0.002, 0.004), "no real difference from it: −0.00123 (−0.00400 to +0.00200)"),
        ("r2", difference(0.03, 0.01, 0.05), "better than it by 0.030 (0.010 to 0.050)"),
    ],
)
def test_a_verdict_follows_from_the_interval_and_the_way_the_metric_runs(metric: str, about: Any, said: str) -> None:
    assert words.comparison(metric, about, "it") == said


@pytest.mark.parametrize(
    ("test", "validation", "said"),
    [
        (0.961, 0.967, "validation said 0.967, the sealed test 0.961: optimism 0.006, within the uncertainty of the"),
        (0.80, 0.99, "optimism 0.190, more than the uncertainty of the test explains"),
        (0.97, 0.96, "optimism −0.010, so none is visible"),
        (0.96, 0.96, "no optimism"),
    ],
)
def test_optimism_is_named_with_its_sign_and_its_weight(test: float, validation: float, said: str) -> None:
    score = {"value": test, "low": test - 0.04, "high": test + 0.02}
    result = {
        "metric": "accuracy", "score": score, "validation": {"value": validation}, "optimism": validation - test,
    }  # fmt: skip
    assert said in words.optimism(result)


def test_optimism_of_an_error_is_told_in_the_units_of_the_target() -> None:
    result = {
        "metric": "rmse", "score": {"value": 47_612.0, "low": 40_000.0, "high": 55_000.0}, "optimism": 1490.0,
        "validation": {"value": 46_122.0, "stderr": 512.3}, "data_facts": {"folds": 5},
    }  # fmt: skip
    said = "validation said 46,100 ± 512 over 5 folds, the sealed test 47,600: optimism 1,490, within the uncertainty"
    assert words.optimism(result).startswith(said)
    assert "no optimism" in words.optimism({**result, "optimism": 12.0})
    assert "optimism −1,490, so none" in words.optimism({**result, "optimism": -1490.0})


def test_inert_text_can_be_written_and_keeps_what_is_harmless() -> None:
    for text in HOSTILE:
        shown = words.inert(text)
        shown.encode("utf-8")
        assert all(char.isprintable() for char in shown)
    assert words.inert("Ärger 日本 👩\u200d🔬 a\\b") == "Ärger 日本 👩\u200d🔬 a\\b"


def test_numbers_are_written_as_people_write_them() -> None:
    assert [words.compact(v) for v in (3e-5, 0.003, 30, 1e-4, True, "sgd", 0.0, 12345)] == [
        "3e-5", "0.003", "30", "0.0001", "yes", "sgd", "0", "12,345",
    ]  # fmt: skip
    assert [words.number(v) for v in (None, math.nan, math.inf, -0.0001, -0.25)] == ["–", "–", "–", "0.000", "−0.250"]
    assert [words.number(v) for v in (1e11, -1e308)] == ["100,000,000,000.000", "−1e308"]
    big = [words.significant(v) for v in (0.0, 0.0123456, 9.999, -1.5, 47_612.0, 999_999.0, 1.234e9, 4e-7, None)]
    assert big == ["0", "0.0123", "10.0", "−1.50", "47,600", "1,000,000", "1.23e9", "4e-7", "–"]
    assert [words.compact(-4e-7), words.compact(12_345.0)] == ["−4e-7", "12,300"]
    assert [words.measured(v) for v in (0.9617, 0.0, 4e-4, 47_612.0, None)] == [
        "0.962",
        "0.000",
        "0.000400",
        "47,600",
        "–",
    ]
    assert words.number(-1234.5678) == "−1,234.568"
    assert [words.duration(s) for s in (3.21, 59.7, 60, 3725)] == ["3.2 s", "1 min 0 s", "1 min 0 s", "1 h 2 min"]


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_charts_leave_out_what_is_no_number(bad: float | None) -> None:
    line = Line(((1, 0.7), (2, bad), (3, 0.5), (4, 0.4)), "winner", "x")
    frame: dict[str, Any] = {"name": "n", "title": "t", "desc": "d"}
    drawn = [
        curves([line, Line(((1, bad),))], low=0, high=1, y_label="y", **frame),
        curves([], low=0, high=1, y_label="y", **frame),
        scatter([Dot(1e-3, bad), Dot(1e-2, 0.4, "winner", "w")], high=1, x_label="x", y_label="y", **frame),
        scatter([], high=1, x_label="x", y_label="y", **frame),
        intervals([Row("a", bad), Row("b", 0.5, 0.4, 0.6)], low=0, high=1, **frame),
        shares([], **frame),
        agreement([Spot(0.5, bad or 7.0), Spot(0.2, 0.3, 0.1, 0.4)], low=0, high=1, x_label="x", y_label="y", **frame),
    ]
    for chart in drawn:
        ElementTree.fromstring(chart)
        assert not re.search(r'"[^"]*\b(nan|inf)\b', chart)
    assert drawn[0].count("M") >= 2


def test_labels_at_the_ends_of_lines_do_not_lie_on_one_another() -> None:
    lines = [Line(((1, 0.9), (9, 0.5 + i / 1e4)), "finalist", f"trial {i}") for i in range(8)]
    chart = curves(lines, name="n", title="t", desc="d", low=0, high=1, y_label="y")
    places = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="label', chart))
    assert len(places) == 8
    assert min(b - a for a, b in pairwise(places)) >= 14.9


def test_an_element_escapes_its_texts_and_attributes() -> None:
    assert tag("text", "<&\x1b", x=1.0, class_='"') == '<text x="1" class="&#34;">&lt;&amp;\\u001b</text>'


def printed(what: RenderableType, *, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), no_color=True, force_terminal=False, legacy_windows=False)
    console.print(what)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def state(case: str) -> State:
    result, past = made(case)
    findings = [Finding(**each) for each in result["findings"]]
    return State(history=past, findings=findings, last={"result": result, "data": {}}, used_s=57.8)


@pytest.mark.parametrize("case", CASES)
def test_the_terminal_keeps_to_80_columns_and_sends_no_control_characters(case: str) -> None:
    result, _ = made(case)
    for text in (printed(result_lines(result)), printed(study_table(state(case)))):
        assert all(len(line) <= 80 for line in text.splitlines())
        assert all(char.isprintable() or char in "\n\u200c\u200d" for char in text)
        assert text.strip()


def test_the_summary_in_the_terminal_says_what_matters() -> None:
    result, _ = made("two_classes")
    text = " ".join(printed(result_lines(result)).split())
    score = result["score"]
    for needed in (
        words.number(score["value"]), f"{words.number(score['low'])} to {words.number(score['high'])}",
        words.optimism(result)[1:], words.verdict(result)[1:], result["model"], result["report"],
        "tame predict runs/ants_bees-0001 photo.jpg", "verfitting since epoch 21", "58 s", "64 recipes",
    ):  # fmt: skip
        assert needed in text
    result["findings"][0]["title"] = HOSTILE[7]
    assert "[bold]markup[/bold] [link=http://evil.example]x[/link]" in printed(result_lines(result), width=2000)


def test_the_table_of_a_running_study_shows_trials_without_curves() -> None:
    running = State(history=History({0: Trial(0, BASE, "default", "the default recipe", "running", 4)}))
    text = printed(study_table(running))
    assert "running" in text
    assert "0/40" in text
    assert "no trial yet" in printed(study_table(State()))


def test_a_study_as_json_can_be_read_back_whole() -> None:
    config, own = StudyConfig(data="x"), state("hostile")
    found = json.loads(json.dumps(state_json(Path("runs/x"), config, own), allow_nan=False))
    assert found["schema"] == "tame/1"
    assert found["result"]["score"] == own.result["score"]
    assert len(found["trials"]) == len(own.history.trials)
    first = found["trials"][0]
    assert first["recipe"] == BASE.flat()
    assert first["points"][0]["epoch"] == 1
    assert first["reason"] == own.history.trials[0].reason
    assert len(found["findings"]) == 4
    assert json.loads(json.dumps(state_json(Path("runs/x"), config, State())))["result"] is None
