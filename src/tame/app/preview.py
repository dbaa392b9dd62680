"""`tame check` and `tame plan`: what is in the data, what is wrong with it, what a study would do. Keeps nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tame.adjust.searchers import compared_after, require_installed
from tame.app.console import ResultConsole
from tame.app.own_cache import cache_folder, cache_path
from tame.app.run import resolved
from tame.core.config import AUTO, NONE, StudyConfig, command_of
from tame.core.files import write_bytes
from tame.core.plain import from_plain, to_plain
from tame.core.rate_range import RateRange
from tame.core.recipe import Recipe, Value
from tame.core.records import Finding
from tame.core.result import without_none
from tame.core.result_parts import BackboneFacts, ColumnFacts, DataFacts, FewerDimensions
from tame.core.space import Space, field_of
from tame.core.text import printable
from tame.kinds.known import FIRST, KINDS, kind_of
from tame.kinds.tables.kind import TABLES
from tame.kinds.texts.kind import TEXTS
from tame.parts.embedded import DEFAULT
from tame.report.fields import name_of
from tame.report.formats import compact, count, sentence
from tame.report.words import setting
from tame.study.clock import foretold
from tame.study.draft import fewer_dimensions
from tame.study.events import Forecast
from tame.study.forecast import CODE as SHORT
from tame.study.forecast import foretell
from tame.study.opening import open_data, read_skipped
from tame.study.plan import Plan, make_plan
from tame.study.result import facts_of
from tame.study.session import Study, begin
from tame.study.space import planned
from tame.study.state import Silent, unmuted

MOST_COLUMNS, MOST_SKIPPED = 60, 20  # shown
RATES_S = 10.0  # that trying rising learning rates may take, at most
BARS = "▁▂▃▄▅▆▇█"
NEXT = "tune a network on it, in five minutes unless you give another --time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is in the data, and what is wrong with it."""

    data: str
    facts: DataFacts
    findings: tuple[Finding, ...]
    command: str  # that tunes a network on this data
    skipped: tuple[tuple[str, str], ...] = ()  # every file that could not be used, and why

    def to_json(self) -> dict[str, object]:
        """The document of `tame check --json`."""
        findings = [finding.document() for finding in self.findings]
        return {"schema": "tame/1", "data": self.data, **(without_none(self.facts) or {}), "findings": findings,
                "skipped_files": [{"id": name, "reason": why} for name, why in self.skipped],
                "next": [{"command": self.command, "why": NEXT}]}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A setting that may be a mistake, and what to do about it."""

    title: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a study would do: the split, the space, and what it will take.

    portfolio: number of recipes tried first; rungs: epochs after which trials are compared; clock_s, search_until_s:
    seconds, None without a clock; rates: of a test of rising learning rates, where it was asked for.
    """

    schema: str = "tame/1"
    data: str
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]  # of examples, by part and class
    split: str
    folds: int
    metric: str
    task: str
    default_recipe: Mapping[str, Value]
    portfolio: int
    space: Mapping[str, object]
    searched: FewerDimensions | None
    questions: tuple[Question, ...]
    search: str
    rungs: tuple[int, ...]
    sizes: tuple[int, ...]
    backbone: BackboneFacts | None
    clock_s: float | int | None
    search_until_s: float | int | None
    trials: int | None
    forecast: Forecast
    rates: RateRange | None = None

    def to_json(self) -> dict[str, object]:
        """The document of `tame plan --json`."""
        plain: dict[str, object] = to_plain(self)
        return plain


def check_data(config: StudyConfig) -> Check:
    """Facts and findings about pictures or a table."""
    asked, config = config, resolved(config)
    if config.backbone == AUTO:  # whether it suits small pictures is judged by training, and a check trains nothing
        config = replace(config, backbone=DEFAULT)
    elif config.backbone is None and kind_of(config) in (TABLES, TEXTS):
        # An encoder of texts may take minutes, and finds nothing that a check tells.
        config = replace(config, backbone=NONE)
    with _throwaway(config) as study:
        open_data(study)
        facts = facts_of(study.state.data or {})
        found, command = tuple(unmuted(study.state)), command_of(asked)
        return Check(data=config.data, facts=facts, findings=found, command=command, skipped=read_skipped(study.folder))


def plan_study(config: StudyConfig, *, rate: bool = False) -> Preview:
    """The split, the space, and the forecast. Reads the cache; writes nothing there or anywhere else.

    rate: whether rising learning rates are tried with the default recipe.
    """
    require_installed(config.search)
    with _throwaway(config, keeps=False) as study:
        data = open_data(study)
        plan = make_plan(study, data)
        foretell(study, data, plan)
        kept, facts, findings = planned(study.state), facts_of(study.state.data or {}), unmuted(study.state)
        forecast = foretold(study.state)
        rates = study.worker.rates(plan.search.base, folds=[0], limit_s=RATES_S) if rate else None
    return Preview(
        rates=rates,
        data=config.data,
        classes=facts.classes or (),
        counts=facts.counts,
        split=facts.split,
        folds=data.split.folds,
        metric=data.metric,
        task=data.task,
        default_recipe=Recipe.from_flat(kept.base).flat(),
        portfolio=len(kept.portfolio) + 1,
        space=kept.space,
        searched=fewer_dimensions(kept),
        questions=tuple(Question(f.title, f.change) for f in findings if f.code in ("linear_range", SHORT)),
        search=config.search,
        rungs=tuple(compared_after(config.search, plan.search)),
        sizes=plan.sizes,
        backbone=data.backbone,
        clock_s=config.clock_s,
        search_until_s=kept.search_until_s,
        trials=config.trials,
        forecast=replace(forecast, words=(*forecast.words, *_of_pretrained(config, plan, forecast))),
    )


def print_check(found: Check) -> None:
    """Prints the check for people."""
    console = ResultConsole()
    facts = found.facts
    num = facts.examples if facts.pictures is None else facts.pictures
    thing = KINDS.get(facts.kind or FIRST).words.nouns
    what = f"in {len(facts.classes)} classes" if facts.classes else "with a number to predict"
    console.print(Text(f"{num or 0:,} {thing} {what}; {facts.split}"))
    console.print(_counts(facts.counts, facts.classes or ()))
    if facts.target:
        console.print(Text(f"target {facts.target.name}: {facts.target.why}"))
    if facts.columns and facts.target:
        console.print(_columns(facts.columns))
    if found.skipped:
        console.print(Text(f"{count(len(found.skipped), 'file')} skipped:"))
        for name, why in found.skipped[:MOST_SKIPPED]:
            console.print(Text(f"  {name}: {why}"))
        if len(found.skipped) > MOST_SKIPPED:
            console.print(Text(f"  and {len(found.skipped) - MOST_SKIPPED} more; --json names all"))
    for note in facts.notes:
        console.print(Text(f"note: {note}"))
    for finding in found.findings:
        console.print(
            Text(f"{finding.severity}: {sentence(finding.title)} {sentence(finding.change)} {finding.id}".rstrip())
        )
        for one, other in _pairs(finding)[:3]:
            console.print(Text(f"  {one}  and  {other}"))
    if not found.findings:
        console.print(Text("no problems found"))
    console.print(Text(f"next: {NEXT}"))
    console.print(Text(f"  {found.command}"))


def print_plan(found: Preview) -> None:
    """Prints the plan for people."""
    console = ResultConsole()
    console.print(Text(f"split: {found.split}"))
    console.print(_counts(found.counts, found.classes))
    how = f"search: {found.search}; trials are compared after {', '.join(map(str, found.rungs))} epochs"
    console.print(Text(f"metric: {found.metric}; {how}"))
    space = Space.from_json(found.space)
    table = Table(box=None, pad_edge=False)
    for head in ("searched", "field", "range", "default"):
        table.add_column(head, overflow="fold")
    for name, dimension in space.dimensions.items():
        own = compact(found.default_recipe.get(field_of(name)))
        table.add_row(*map(Text, (name_of(field_of(name)), name, setting(dimension), own)))
    console.print(table)
    if found.searched is not None:
        left = ", ".join(name_of(field_of(each)) for each in found.searched.left_out)
        console.print(Text(f"searched: {found.searched.words}; kept at the default: {left}"))
    for each in found.questions:
        console.print(Text(f"warning: {each.title}; {each.change}"))
    for line in found.forecast.words:
        console.print(Text(line))
    if found.rates is not None:
        console.print(Text(f"{sparkline([loss for _, loss in found.rates.points])}\n{found.rates.words}"))


def sparkline(values: Sequence[float], *, width: int = 60) -> str:
    """Values as a line of bars, the highest one full; of more than fit, every so-many-th.

    >>> sparkline([3.0, 2.0, 1.0, 8.0])
    '▃▂▁█'
    """
    shown = values[:: -(-len(values) // width)] if values else []
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((value - low) / step)] for value in shown)


def _throwaway(config: StudyConfig, *, keeps: bool = True) -> Study:
    """A study in a temporary folder, removed when the program ends.

    keeps: whether decoded pictures and features stay in the cache; otherwise they go to the study's folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="tame-"))
    kind_of(config)
    study = begin(replace(resolved(config), out=str(folder), store=None), Silent(), ours=True)
    study.throwaway = True
    if keeps:
        study.hire(cache=cache_folder(), inline=False)
    else:
        study.hire(cache=_borrowed(folder / "cache"), inline=False, under=cache_path())
    return study


def _borrowed(folder: Path) -> Path:
    """The folder, created, with a copy of the cache's measurements of this machine."""
    folder.mkdir(mode=0o700)
    for path in cache_path().glob("*.json"):
        write_bytes(folder, path.name, path.read_bytes())
    return folder


def _of_pretrained(config: StudyConfig, plan: Plan, forecast: Forecast) -> list[str]:
    """Lines about a backbone, and about the time left for fine-tuning."""
    speed = plan.speed
    if speed is None:
        kept = (
            f"{plan.tuning_s:.0f} s are kept for fine-tuning"
            if plan.tuning_s
            else "the clock has no room for fine-tuning"
        )
        return [kept] if plan.tunes and config.clock_s is not None else []
    how = f"{speed.rate:.0f} pictures a second at {speed.size} pixels"
    each = ", ".join(f"{cost:.0f} s at {size} pixels" for size, cost in forecast.features_s.items())
    words = [f"{how} on this machine ({speed.precision}, {speed.way})", f"features, computed once: {each}"]
    if config.clock_s is None:
        return words
    later = "fine-tuning uses the time that is left" if plan.tunes else "no fine-tuning"
    return [*words, f"{later}; {plan.end_s:.0f} s are reserved for scoring, delivery and report"]


def _counts(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for part in counts:
        table.add_column(part, justify="right")
    for name in classes or ("rows",):
        table.add_row(Text(printable(name)), *(str(own.get(name, 0)) for own in counts.values()))
    return table


def _columns(columns: Sequence[ColumnFacts]) -> Table:
    """The columns with their types; only the first if there are many."""
    table = Table(box=None, pad_edge=False)
    for name in ("column", "type", "missing", "why"):
        table.add_column(name, justify="right" if name == "missing" else "left", overflow="fold")
    for each in columns[:MOST_COLUMNS]:
        own = (printable(each.name), each.kind, str(each.missing), each.why)
        table.add_row(*(Text(cell) for cell in own))
    if len(columns) > MOST_COLUMNS:
        table.add_row(Text(f"and {len(columns) - MOST_COLUMNS:,} more"), Text(""), Text(""), Text(""))
    return table


def _pairs(finding: Finding) -> Sequence[tuple[str, str]]:
    """Pairs of pictures that a finding names."""
    return from_plain(tuple[tuple[str, str], ...], finding.evidence.get("pairs", ()), what="the pairs of a finding")
