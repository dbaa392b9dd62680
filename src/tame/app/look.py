"""`tame check` and `tame plan`: what is in the data, what is wrong with it, what a study would do; nothing is kept."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tame.app.console import ResultConsole
from tame.app.run import cache_folder
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.space import Choice, Space
from tame.data.images import printable
from tame.study.plan import Costs, costs, draft, forward_s, plan_of
from tame.study.prepare import open_data
from tame.study.record import Silent, Study, begin


def check_data(config: StudyConfig) -> dict[str, Any]:
    """Facts and findings about a folder of pictures."""
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
        plan = plan_of(config, data, about)
        split = study.state.last["data"]
        base = Recipe.from_flat(about["base"])
        forecast = _forecast(config, about, known)
    return {
        "schema": "tame/1",
        "data": config.data,
        "classes": split["classes"],
        "counts": split["counts"],
        "split": split["split"],
        "folds": data.split.folds,
        "metric": config.metric,
        "default_recipe": base.flat(),
        "portfolio": len(about["portfolio"]) + 1,
        "space": about["space"],
        "rungs": list(plan.search.rungs),
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
    console.print(Text(f"{found['pictures']} pictures of {len(found['classes'])} classes; {found['split']}"))
    console.print(_counts(found))
    if found["skipped"]:
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
    console.print(Text(f"metric: {found['metric']}; trials are compared after {_words(found['rungs'])} epochs"))
    space = Space.from_json(found["space"])
    table = Table(box=None, pad_edge=False)
    for name in ("searched", "range", "default"):
        table.add_column(name)
    for name, dimension in space.dimensions.items():
        if isinstance(dimension, Choice):
            span = " | ".join(map(str, dimension.values))
        else:
            span = f"{dimension.low:g} to {dimension.high:g}{' (log)' if dimension.log else ''}"
        table.add_row(name, span, f"{found['default_recipe'].get(name)}")
    console.print(table)
    for line in found["forecast"]["words"]:
        console.print(Text(line))


def _throwaway(config: StudyConfig) -> Study:
    """A study in a folder that is gone when the program ends. Decoded pictures and features stay in the cache."""
    folder = Path(tempfile.mkdtemp(prefix="tame-"))
    study = begin(replace(config, out=str(folder), data=str(Path(config.data).resolve())), Silent())
    study.hire(cache=cache_folder(), inline=False)
    study.throwaway = True
    return study


def _forecast(config: StudyConfig, about: dict[str, Any], known: Costs | None) -> dict[str, Any]:
    if known is None:
        words = ["networks from scratch: how long an epoch takes is measured in the first minute of tame fit"]
        return {"features_s": None, "words": words}
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
    for name in found["classes"]:
        table.add_row(Text(printable(name)), *(str(found["counts"][part].get(name, 0)) for part in parts))
    return table


def _words(rungs: list[int]) -> str:
    return ", ".join(map(str, rungs))
