"""The report: one HTML file that needs no network, no script and nothing beside it.

Whatever comes from outside (names of files, columns and classes, reasons) is text: made inert here, escaped by the
template.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tame.core.records import Finding, History
from tame.report import data_section as facts
from tame.report import importance_section as mattered
from tame.report import search_section as searched
from tame.report import test_section as answers
from tame.report import words
from tame.report.charts import Kind, Row, intervals
from tame.report.glossary import terms

FIRST_FINDINGS = 3  # on the first screen


def render_report(result: Mapping[str, Any], history: History, thumbnails: Mapping[str, bytes]) -> str:
    """The report as one HTML text. result: what finals.py returns; thumbnails: JPEG files by picture id."""
    return _environment().get_template("report.html").render(view(result, history, thumbnails))


def render_failure(name: str, why: str, findings: Sequence[Finding], history: History, *, kind: str = "images") -> str:
    """The page of a study in which nothing usable was trained: why, what was found, and every trial.

    kind: images, table or arrays.
    """
    found = [_finding(finding.to_json(), kind) for finding in findings]
    trials = list(history.trials.values())
    return _environment().get_template("failed.html").render(name=name, why=why, findings=found, trials=trials)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tame.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else words.inert(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number, "signed": words.signed, "compact": words.compact, "duration": words.duration,
        "short": words.short, "sentence": words.sentence,
    }  # fmt: skip
    environment.globals |= {"count": words.count}
    return environment


def view(result: Mapping[str, Any], history: History, thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    """What the templates print: plain values, sentences, and charts as markup."""
    trials = searched.ranked([trial for trial in history.trials.values() if trial.origin != searched.FINALIST])
    default = searched.default_recipe(result, trials)
    columns = searched.columns(trials)
    kind = words.kind_of(result)
    is_regression = words.is_regression(result)
    return {
        "result": result,
        "name": PurePath(str(result["data"]).rstrip("/")).name or "data",
        "kind": kind, "one": words.noun(kind, 1), "a_one": words.a_noun(kind), "many": words.noun(kind),
        "is_regression": is_regression,
        "metric": words.metric_name(result["metric"]),
        "shown": partial(words.shown, result["metric"]),
        "rising": words.is_rising(result["metric"]),
        "learnt": words.learnt(result),
        "span": words.span(result["score"], result["metric"]),
        "right": _right(result),
        "opened": words.opened(result) + words.other_metrics(result),
        "verdict": words.verdict(result),
        "default_is_beaten": _is_beaten(result),
        "dummy_verdict": words.dummy_verdict(result),
        "optimism": words.optimism(result),
        "findings": [_finding(each, kind) for each in result["findings"]],
        "first_findings": FIRST_FINDINGS,
        "predict": words.predict_command(result, shlex.quote),
        "score_chart": _score_chart(result),
        **searched.training(result, history, trials),
        **(answers.of_numbers(result) if is_regression else answers.of_classes(result, thumbnails)),
        **facts.of_data(result),
        **mattered.of_search(result, history),
        "recipe": searched.recipe_rows(result["winner"]["recipe"], default),
        "space": [(name, words.setting(dimension)) for name, dimension in result["space"].items()],
        "columns_of_trials": [head for _, head in columns],
        "trials": [searched.trial_row(trial, default, result, columns) for trial in trials],
        "states": searched.states(trials),
        "rest_worth": words.rest(result),
        "fewer_dimensions": (result.get("searched") or {}).get("words", ""),
        "not_searched": words.listed((result.get("searched") or {}).get("left_out", [])),
        "lr_chart": searched.lr_chart(result, trials),
        "finalists": [searched.finalist_row(each, default, result) for each in result["finalists"]],
        "finalist_chart": searched.finalist_chart(result),
        "tie_break": words.metric_name(searched.tie_break(result)),
        "is_retrained": words.is_retrained(result),
        "fine_tuning": searched.fine_tuning(result) if kind == "images" else None,
        "engines": searched.engines(result),
        "again": _again(result),
        "terms": terms(result, history),
    }  # fmt: skip


def _right(result: Mapping[str, Any]) -> str:
    tested = words.examples(result, result["score"]["n"], "test")
    if words.is_regression(result):
        return f"on {tested}"
    return f"{sum(each['right'] for each in result['per_class']):,} of {tested} right"


def _is_beaten(result: Mapping[str, Any]) -> bool:
    own = result["baselines"]["default"]
    if own is None or own["is_winner"]:
        return False
    return bool(words.is_real(own["difference"]) and words.gain(result["metric"], own["difference"])[0] > 0)


def _finding(finding: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {**finding, "words": words.evidence(finding, kind), "outcome": words.outcome(finding)}


def _score_chart(result: Mapping[str, Any]) -> Markup:
    """The interval of the score beside what it must be measured against."""
    score, validation, metric = result["score"], result["validation"]["value"], result["metric"]
    dummy, default = result["baselines"]["dummy"], result["baselines"]["default"]
    shown = [dummy, score, *([default] if default else [])]
    ends = [each[end] for each in shown for end in ("low", "high")]
    low, high = searched.value_range(metric, [validation, *ends])
    rows = [
        _row(metric, "sealed test", score, "winner"),
        *([_row(metric, "default recipe", default, "default")] if default else []),
        _row(metric, words.dummy_label(result), dummy, "dummy"),
        Row("validation", validation, note=words.shown(metric, validation), kind="valid"),
    ]
    desc = "; ".join(f"{row.label} {row.note}" for row in rows)
    title = f"{words.metric_name(metric)} with 95 % intervals"
    return intervals(
        rows, name="score", title=title, desc=desc, low=low, high=high, width=500, label_width=128, row_height=38,
        show=partial(words.shown, metric),
    )  # fmt: skip


def _row(metric: str, label: str, score: Mapping[str, Any], kind: Kind) -> Row:
    return Row(label, score["value"], score["low"], score["high"], words.shown(metric, score["value"]), kind)


def _again(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is needed to make the study once more."""
    machine, backbone, delivered = result["machine"], result.get("backbone"), result["delivered"]
    rows = [
        ("seeds of the winner", ", ".join(str(seed) for seed in result["winner"]["seeds"])),
        ("wall time", words.duration(result["wall_s"])),
        *((name.replace("_", " "), words.compact(value)) for name, value in machine.items()),
        *((name, words.compact(value)) for name, value in result.get("versions", {}).items()),
    ]
    if result.get("speed"):
        rows.append(("backbone, as measured here", words.compact(result["speed"])))
    if backbone is not None:
        rows.append(("backbone", f"{backbone['name']}, SHA-256 {backbone['digest']}"))
    rows += [(f"model/{name}", f"SHA-256 {digest}") for name, digest in delivered["files"].items()]
    apart = words.compact(float(delivered["largest_difference"]))
    checked = words.examples(result, delivered["checked"], "test")
    what = f"a probability {apart}"
    if words.is_regression(result):
        what = f"a prediction {apart} standard deviations of the target"
    rows.append(("model loaded again", f"judged {checked} the same; largest difference of {what}"))
    return rows
