"""`tame check` and `tame plan`: what is in the data, what is wrong with it, what a study would do; nothing is kept."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tame.adjust.searchers import compared_after
from tame.app.console import ResultConsole
from tame.app.run import cache_folder, resolved
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.space import Space, field_of, parse_dimension, to_text
from tame.data.images import printable
from tame.monitor.space import linear_ranges
from tame.study.first import put_first
from tame.study.opening import kind_of, open_data
from tame.study.plan import (
    Costs,
    check,
    costs,
    draft,
    fits_epochs,
    fitted,
    forward_s,
    plan_of,
    searched_json,
)
from tame.study.record import Silent, Study, begin

MOST_COLUMNS = 60  # that are shown


def check_data(config: StudyConfig) -> dict[str, Any]:
    """Facts and findings about pictures or a table."""
    with _throwaway(config) as study:
        open_data(study)
        about = {k: v for k, v in study.state.last["data"].items() if k not in ("digests", "pairs")}
        about["pairs"] = len(study.state.last["data"]["pairs"])
        findings = [finding.to_json() for finding in study.state.findings]
    return {"schema": "tame/1", "data": config.data, **about, "findings": findings}


def plan_study(config: StudyConfig) -> dict[str, Any]:
    """The split, the space, and how long it will take."""
    with _throwaway(config) as study:
        data = open_data(study)
        known = costs(study, data)
        about = draft(config, data, known, used_s=0.0)
        check(study, data, about)
        epoch_s = None
        if data.backbone is None:
            epoch_s = study.ask("rehearse", recipe=about["base"], folds=[0])["epoch_s"] * data.split.folds
            if fits_epochs(config):
                about = fitted(config, data, about, epoch_s, used_s=0.0)
        about = put_first(study, data, about)
        plan = plan_of(config, data, about)
        split = study.state.last["data"]
        base = Recipe.from_flat(about["base"])
        questions = linear_ranges(dict(parse_dimension(text) for text in config.space))
        forecast = _forecast(config, about, known, epoch_s)
    return {
        "schema": "tame/1",
        "data": config.data,
        "classes": split["classes"],
        "counts": split["counts"],
        "split": split["split"],
        "folds": data.split.folds,
        "metric": data.metric,
        "task": data.task,
        "default_recipe": base.flat(),
        "portfolio": len(about["portfolio"]) + 1,
        "space": about["space"],
        "searched": searched_json(about),
        "questions": [{"title": f.title, "change": f.change} for f in questions],
        "search": config.search,
        "rungs": list(compared_after(config.search, plan.search)),
        "sizes": about["sizes"],
        "backbone": data.backbone,
        "clock_s": config.clock_s,
        "search_until_s": about["search_until_s"],
        "trials": config.trials,
        "forecast": forecast,
    }


def print_check(found: dict[str, Any]) -> None:
    """For people."""
    console = ResultConsole()
    num, thing = (found["pictures"], "pictures") if found["kind"] == "images" else (found["examples"], "rows")
    what = f"of {len(found['classes'])} classes" if found["classes"] else "with a number to predict"
    console.print(Text(f"{num:,} {thing} {what}; {found['split']}"))
    console.print(_counts(found))
    if found.get("columns"):
        console.print(Text(f"target {found['target']['name']}: {found['target']['why']}"))
        console.print(_columns(found["columns"]))
    if found.get("skipped"):
        console.print(Text(f"{found['skipped']} files were skipped:"))
        for each in found["skipped_first"]:
            console.print(Text(f"  {each['id']}: {each['reason']}"))
    for note in found["notes"]:
        console.print(Text(f"note: {note}"))
    for finding in found["findings"]:
        console.print(Text(f"{finding['severity']}: {finding['title']}. {finding['change']}."))
        for pair in finding["evidence"].get("pairs", [])[:3]:
            console.print(Text(f"  {pair[0]}  and  {pair[1]}"))
    if not found["findings"]:
        console.print(Text("nothing wrong was found"))


def print_plan(found: dict[str, Any]) -> None:
    """For people."""
    console = ResultConsole()
    console.print(Text(f"split: {found['split']}"))
    console.print(_counts(found))
    how = f"search: {found['search']}; trials are compared after {_words(found['rungs'])} epochs"
    console.print(Text(f"metric: {found['metric']}; {how}"))
    space = Space.from_json(found["space"])
    table = Table(box=None, pad_edge=False)
    for name in ("searched", "range", "default"):
        table.add_column(name)
    for name, dimension in space.dimensions.items():
        span = to_text(name, dimension).partition("=")[2]
        table.add_row(name, span, f"{found['default_recipe'].get(field_of(name))}")
    console.print(table)
    if found["searched"]:
        left = ", ".join(found["searched"]["left_out"])
        console.print(Text(f"searched are {found['searched']['words']}; left at their default: {left}"))
    for each in found["questions"]:
        console.print(Text(f"warning: {each['title']}; {each['change']}"))
    for line in found["forecast"]["words"]:
        console.print(Text(line))


def _throwaway(config: StudyConfig) -> Study:
    """A study in a folder that is gone when the program ends. Decoded pictures and features stay in the cache."""
    folder = Path(tempfile.mkdtemp(prefix="tame-"))
    kind_of(config)
    study = begin(replace(resolved(config), out=str(folder)), Silent())
    study.hire(cache=cache_folder(), inline=False)
    study.throwaway = True
    return study


def _forecast(config: StudyConfig, about: dict[str, Any], known: Costs | None, epoch_s: float | None) -> dict[str, Any]:
    if known is None:
        assert epoch_s is not None
        words = [f"an epoch of the default recipe takes {epoch_s:.2g} s in company, its folds included"]
        if config.clock_s is not None:
            words.append(f"search and finalists end by {about['search_until_s']:.0f} s of {config.clock_s:.0f} s")
        return {"features_s": None, "epoch_s": epoch_s, "words": words}
    speed = about["speed"]
    features = {size: forward_s(speed, known.learnt[size], size) for size in about["sizes"]}
    words = [
        f"{speed['rate']:.0f} pictures a second at {speed['size']} pixels here ({speed['precision']}, {speed['way']})",
        "features, once: " + ", ".join(f"{cost:.0f} s at {size} pixels" for size, cost in features.items()),
    ]
    if config.clock_s is None:
        words.append("the clock plays no part; the study ends with its trials")
    else:
        words.append(f"the search ends by {about['search_until_s']:.0f} s of {config.clock_s:.0f} s")
        later = "fine-tuning is tried with what is left" if about["tunes"] else "no fine-tuning"
        words.append(f"{later}; {about['end_s']:.0f} s are kept for scoring, delivery and report")
    return {"features_s": sum(features.values()), "words": words}


def _counts(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    parts = list(found["counts"])
    table.add_column("class")
    for part in parts:
        table.add_column(part, justify="right")
    for name in found["classes"] or ["rows"]:
        table.add_row(Text(printable(name)), *(str(found["counts"][part].get(name, 0)) for part in parts))
    return table


def _columns(columns: list[dict[str, Any]]) -> Table:
    """Columns and how they were understood; of very many the first."""
    table = Table(box=None, pad_edge=False)
    for name in ("column", "is", "missing", "because"):
        table.add_column(name, justify="right" if name == "missing" else "left", overflow="fold")
    for each in columns[:MOST_COLUMNS]:
        own = (printable(each["name"]), each["kind"], str(each["missing"]), each["why"])
        table.add_row(*(Text(cell) for cell in own))
    if len(columns) > MOST_COLUMNS:
        table.add_row(Text(f"and {len(columns) - MOST_COLUMNS:,} more"), Text(""), Text(""), Text(""))
    return table


def _words(rungs: list[int]) -> str:
    return ", ".join(map(str, rungs))
