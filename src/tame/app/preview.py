"""`tame check` and `tame plan`: what is in the data, what is wrong with it, what a study would do; nothing is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sized
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tame.adjust.searchers import compared_after
from tame.app.console import ResultConsole
from tame.app.run import cache_folder, cache_path, resolved
from tame.core.config import StudyConfig
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.space import Space, field_of, to_text
from tame.core.text import printable
from tame.kinds.known import KINDS, kind_of
from tame.study.clock import foretold
from tame.study.draft import fewer_dimensions
from tame.study.events import Forecast, event_of
from tame.study.forecast import CODE as SHORT
from tame.study.forecast import foretell
from tame.study.opening import open_data
from tame.study.plan import Plan, make_plan
from tame.study.session import Study, begin
from tame.study.space import planned
from tame.study.state import Silent

MOST_COLUMNS = 60  # that are shown


def check_data(config: StudyConfig) -> dict[str, Any]:
    """Facts and findings about pictures or a table."""
    with _throwaway(config) as study:
        open_data(study)
        about = {k: v for k, v in (study.state.data or {}).items() if k not in ("digests", "pairs")}
        pairs = (study.state.data or {})["pairs"]
        assert isinstance(pairs, Sized)
        about["pairs"] = len(pairs)
        findings = [finding.to_json() for finding in study.state.findings]
    return {"schema": "tame/1", "data": config.data, **about, "findings": findings}


def plan_study(config: StudyConfig) -> dict[str, Any]:
    """The split, the space, and what it will take. Reads the cache, and leaves nothing there or elsewhere."""
    with _throwaway(config, keeps=False) as study:
        data = open_data(study)
        plan = make_plan(study, data)
        foretell(study, data, plan)
        kept, split, findings = planned(study.state), study.state.data or {}, study.state.findings
        forecast = foretold(study.state)
    warned = [finding for finding in findings if finding.code in ("linear_range", SHORT)]
    return {
        "schema": "tame/1",
        "data": config.data,
        "classes": split["classes"],
        "counts": split["counts"],
        "split": split["split"],
        "folds": data.split.folds,
        "metric": data.metric,
        "task": data.task,
        "default_recipe": Recipe.from_flat(kept.base).flat(),
        "portfolio": len(kept.portfolio) + 1,
        "space": kept.space,
        "searched": to_plain(fewer_dimensions(kept)),
        "questions": [{"title": f.title, "change": f.change} for f in warned],
        "search": config.search,
        "rungs": list(compared_after(config.search, plan.search)),
        "sizes": list(plan.sizes),
        "backbone": None if data.backbone is None else asdict(data.backbone),
        "clock_s": config.clock_s,
        "search_until_s": kept.search_until_s,
        "trials": config.trials,
        "forecast": {**event_of(forecast).data, "words": [*forecast.words, *_of_pictures(config, plan, forecast)]},
    }


def print_check(found: dict[str, Any]) -> None:
    """For people."""
    console = ResultConsole()
    num, thing = found.get("pictures", found.get("examples")), KINDS.get(found["kind"]).words.nouns
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


def _throwaway(config: StudyConfig, *, keeps: bool = True) -> Study:
    """A study in a folder that is gone when the program ends.

    keeps: whether decoded pictures and features stay in the cache; else they lie in the study's folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="tame-"))
    kind_of(config)
    study = begin(replace(resolved(config), out=str(folder)), Silent())
    study.throwaway = True
    if keeps:
        study.hire(cache=cache_folder(), inline=False)
    else:
        study.hire(cache=_borrowed(folder / "cache"), inline=False, under=cache_path())
    return study


def _borrowed(folder: Path) -> Path:
    """The folder, made, with a copy of what the cache remembers of this machine."""
    folder.mkdir(mode=0o700)
    for path in cache_path().glob("*.json"):
        shutil.copyfile(path, folder / path.name)
    return folder


def _of_pictures(config: StudyConfig, plan: Plan, forecast: Forecast) -> list[str]:
    """What there is to say of a backbone, and of the clock that fine-tuning goes by."""
    speed = plan.speed
    if speed is None:
        return []
    how = f"{speed.rate:.0f} pictures a second at {speed.size} pixels"
    each = ", ".join(f"{cost:.0f} s at {size} pixels" for size, cost in forecast.features_s.items())
    words = [f"{how} here ({speed.precision}, {speed.way})", f"features, once: {each}"]
    if config.clock_s is None:
        return words
    later = "fine-tuning is tried with what is left" if plan.tunes else "no fine-tuning"
    return [*words, f"{later}; {plan.end_s:.0f} s are kept for scoring, delivery and report"]


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
