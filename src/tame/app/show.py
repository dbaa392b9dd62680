"""A study in the terminal: readable at 80 columns and without colour. Foreign texts are made inert first."""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tame.core.config import StudyConfig
from tame.core.evaluation import LanguageAnswers, NumberAnswers
from tame.core.importance import Mattered
from tame.core.plain import to_plain
from tame.core.recipe import Value
from tame.core.records import FINALIST, LOST, REMEDY, Finding, Trial
from tame.core.result import Result
from tame.core.result_parts import CaseRow
from tame.kinds.known import FIRST
from tame.report import formats, words
from tame.report.case_words import came_of_it
from tame.report.delivered_section import sentences
from tame.report.evidence import SURE, evidence, to_do
from tame.report.fields import in_plain_words, name_of, names_of
from tame.report.importance_words import in_words as importance_words
from tame.report.importance_words import worth
from tame.report.language_section import NO_ADVICE, of_language
from tame.report.more_data_section import in_words
from tame.report.next_steps import document, next_steps
from tame.report.quotes_section import cut
from tame.report.trade_section import sentences as of_price
from tame.study.case_rows import row_of
from tame.study.events import Row, Summary
from tame.study.state import State, unmuted
from tame.study.summary import summary_of

if TYPE_CHECKING:
    from tame.app.exchange import Imported

MOST_TRIALS = 40
MOST_FINDINGS = 6
MOST_CASES = 4
MOST_CHANGES = 6  # of the winner's fields that are listed
MOST_ENGINES = 4
MOST_COLUMNS = 2  # for fields in the table of trials: more do not fit into 80 characters
SIGNS = {"problem": ("!!", "bold red"), "warning": ("! ", "yellow"), "info": ("· ", "dim")}
SEARCHED_STATES = ("running", "complete", "paused", "stopped", "waiting", "diverged", "failed")


def result_lines(result: Result, *, details: bool = False) -> RenderableType:
    """The end of a study: score, baselines, findings, winner, what to do next, and where the files are.

    details: also which engine trained what.
    """
    score = result.score
    metric = result.metric
    head = Text.assemble(
        (f"{formats.metric_name(metric)} {formats.shown(metric, score.value)}", "bold"),
        f"  (95 % interval {words.span(score, metric)}, {words.examples(result, score.n, 'test')})",
    )
    return Group(
        _text(f"A network that {words.ability(result)}.", "bold"),
        Text(),
        head,
        *(_sentence(badge, "yellow") for badge in words.badges(result)),
        *([_sentence(score.doubt, "yellow")] if score.doubt else []),
        _text(f"on the sealed test part, {words.opened(result)}", "dim"),
        *([_sentence(edited, "yellow")] if (edited := words.edited(result)) else []),
        *([_text(f"by other metrics: {others}", "dim")] if (others := words.other_metrics(result)) else []),
        Text(),
        _scores(result),
        Text(),
        _sentence(words.verdict(result)),
        *map(_sentence, words.other_verdicts(result)),
        _sentence(words.optimism(result)),
        *_judged(result),
        *map(_sentence, sentences(result, brief=True)),
        *map(_sentence, of_price(result)),
        *([_sentence(in_words(result, result.more_data))] if result.more_data else []),
        *findings_lines(result.findings, total=result.all_findings, kind=result.kind),
        *_cases(result.cases),
        Text(),
        _text(_winner(result)),
        _sentence(words.trials_words(result)),
        _text(f"{formats.count(result.epochs, 'epoch')} in {formats.duration(result.wall_s)}{_workers(result)}."),
        *(_engines(result) if details else []),
        *_steps(result),
        Text(),
        _places(result),
    )


def study_table(
    state: State, *, mattered: Mattered | None, details: bool = False, summary: Summary | None = None
) -> RenderableType:
    """A running or finished study: its scores if there are any, its findings, and at last its trials, the best first.

    mattered: in imported trials; details: also which engine trained what; summary: of its trials, made of the state
    where it is not given.
    """
    told = summary or summary_of(state.history)
    rows = [row for row in told.trials if row.origin not in (FINALIST, REMEDY)]
    if not rows:
        return Text("no trials yet")
    parts: list[RenderableType] = []
    if state.imported is not None:
        parts += [_text(f"imported from {state.imported.name} in {state.imported.source}", "dim")]
        parts += [] if mattered is None else _mattered(mattered)
    elif state.result is None:
        parts += [_text(f"not finished; {formats.duration(state.used_s)} used", "dim")]
        parts += findings_lines(_each_once(unmuted(state)), total=len(unmuted(state)), kind=state.kind)
        parts += _cases([row_of(case) for case in state.cases])
    else:
        parts += [result_lines(Result.from_json(state.result), details=details)]
    return Group(*parts, Text(), *_ranked(rows, told, state))


def _each_once(findings: Sequence[Finding]) -> list[Finding]:
    """The findings; of those of one kind about several trials the first, with how many more there are."""
    many = Counter(finding.code for finding in findings if finding.trial is not None)
    found: dict[object, Finding] = {}
    for finding in findings:
        more = many[finding.code] - 1
        if finding.trial is None or not more:
            found[id(finding)] = finding
        elif finding.code not in found:
            title = f"{finding.title} (trial {finding.trial}; {formats.count(more, 'more trial')} alike)"
            found[finding.code] = replace(finding, title=title)
    return list(found.values())


def _ranked(rows: list[Row], told: Summary, state: State) -> list[RenderableType]:
    """How many trials are in which state, and a table of the best. rows: of the search."""
    again, tried = (sum(row.origin == own for row in told.trials) for own in (FINALIST, REMEDY))
    going_on = state.result is None and state.imported is None
    counts = {name: sum(row.state == name for row in rows) for name in SEARCHED_STATES}
    head = f"{formats.count(len(rows), 'recipe')}: {words.counted(counts, going_on=going_on, lives=going_on)}"
    head += f"; {formats.count(tried, 'run')} of remedies" if tried else ""
    head += f"; {formats.count(again, 'run')} of finalists" if again else ""
    ranked = sorted(rows, key=lambda row: (_loss(row), row.number))
    more = len(ranked) - MOST_TRIALS
    parts: list[RenderableType] = [
        _text(head, "bold"),
        _trials(ranked[:MOST_TRIALS], rows, told.base, going_on=going_on),
    ]
    if more > 0:
        parts.append(_text(f"and {formats.count(more, 'more recipe')}; tame show --json lists all", "dim"))
    return parts


def state_json(folder: Path, config: StudyConfig, state: State, *, mattered: Mattered | None) -> dict[str, object]:
    """The study as plain values: all trials with recipe and curve, the findings, and the result if there is one.

    mattered: of a study without a result.
    """
    result = state.result
    return {
        "schema": "tame/1",
        "study": str(folder),
        "config": config.to_json(),
        "finished": result is not None,
        "used_s": state.used_s,
        "trials": [_trial_json(trial) for _, trial in sorted(state.history.trials.items())],
        "findings": [finding.document() for finding in unmuted(state)],
        "imported": None if state.imported is None else to_plain(state.imported),
        "mattered": mattered.to_json() if mattered is not None else (result or {}).get("mattered"),
        "result": dict(result) if result is not None else None,
        "next": [] if result is None else document(Result.from_json(result))["next"],
    }


def imported_lines(found: Imported) -> RenderableType:
    """The end of an import: how many trials, the field of each parameter, and what to do next."""
    better = "lower" if found.mode == "min" else "higher"
    how = f"compared by {found.metric} ({better} is better)"
    head = f"{formats.count(found.trials, 'trial')} in {found.folder}, {how}"
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for name, field in found.names.items():
        table.add_row(_text(name), _text(field))
    notes = [_sentence(note, "dim") for note in found.notes]
    folder = shlex.quote(formats.inert(str(found.folder)))
    return Group(
        _text(head, "bold"), table, *notes, _text(f"tame show {folder}"), _text(f"tame fit DATA --start-from {folder}")
    )


def _mattered(found: Mattered) -> list[RenderableType]:
    """What mattered in imported trials."""
    parts: list[RenderableType] = [_sentence(importance_words(found.importance))]
    named = names_of(one.name for one in found.importance.each)
    each = [f"{named[one.name]} {100 * one.value:.0f} %" for one in found.importance.each]
    parts += [_sentence(f"importance: {formats.listed(each, MOST_CHANGES)}")] if each else []
    return parts + ([_sentence(worth(found.best_of, found.objective))] if found.best_of else [])


def _trial_json(trial: Trial) -> dict[str, object]:
    points = [
        {"epoch": p.epoch, "train_loss": p.train_loss, "valid_loss": p.valid_loss, "valid_metric": p.valid_metric}
        for p in trial.curve.points
    ]
    return {
        "number": trial.number, "origin": trial.origin, "state": trial.state,
        "reason": trial.reason, "last_reason": trial.last_reason,
        "until": trial.until, "epochs": trial.epochs, "recipe": trial.recipe.flat(), "points": points,
        **({"against": trial.against} if trial.is_remedy else {}),
    }  # fmt: skip


def _scores(result: Result) -> RenderableType:
    """The score next to the validation value and the baselines."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for number in range(3):
        table.add_column(justify="right" if number == 1 else "left")
    validation, baselines, metric = result.validation, result.baselines, result.metric
    rows = [
        ("winner", result.score.value, words.span(result.score, metric)),
        *([("one network of it", one.value, words.span(one, metric))] if (one := baselines.single) else []),
        *([("default recipe", own.value, words.span(own, metric))] if (own := baselines.default) else []),
        *([("linear model", line.value, words.span(line, metric))] if (line := baselines.linear) else []),
        *([(words.TREES, trees.value, words.span(trees, metric))] if (trees := baselines.trees) else []),
        (words.dummy_label(result), baselines.dummy.value, words.span(baselines.dummy, metric)),
        ("winner, validation", validation.value, validation.how),
    ]
    for place, (name, value, note) in enumerate(rows):
        style = "bold" if place == 0 else ""
        table.add_row(Text(name, style), Text(formats.shown(metric, value), style), _text(note, "dim"))
    return Padding(table, (0, 0, 0, 2))


def _judged(result: Result) -> list[Text]:
    """More about the answers: the spread of errors, calibration, costs."""
    size = formats.significant
    answers = result.answers
    if isinstance(answers, LanguageAnswers):
        return [_sentence(each) for each in (*of_language(result, answers).said, NO_ADVICE)]
    quotes = result.quotes
    found = [] if quotes is None or quotes.cut is None else [_sentence(cut(result, quotes.cut))]
    if isinstance(answers, NumberAnswers):
        return [_sentence(words.error_spread(answers.residuals)), *found]
    if calibration := answers.calibration:
        found.append(_sentence(words.calibration(result, calibration)))
    if costs := answers.costs:
        span = f"{size(costs.low)} to {size(costs.high)}"
        found.append(_sentence(f"expected cost {size(costs.value)} ({span}): {costs.how}"))
    return found


def _cases(cases: Sequence[CaseRow]) -> list[Text]:
    """What the doctor tried, and what came of it."""
    return [_sentence(f"tried: {line}") for case in cases[:MOST_CASES] for line in came_of_it(case)]


def _workers(result: Result) -> str:
    own = words.workers(result)
    return f", {own}" if own else ""


def _engines(result: Result) -> list[Text]:
    """Which engine trained which group, one line each."""
    return [
        _sentence(
            f"{each.engine} engine for {each.group} (up to {formats.count(each.members, 'network')} at a time): "
            f"{each.why}"
        )
        for each in result.engines
    ][:MOST_ENGINES]


def _winner(result: Result) -> str:
    """The winner in a few words: how it differs from the default recipe."""
    winner, default = result.winner, result.default_recipe
    changed = [
        f"{name_of(field)} {formats.compact(value)}"
        for field, value in winner.recipe.items()
        if field != "seed" and field in default and value != default[field]
    ]
    what = formats.listed(changed, MOST_CHANGES) if changed else "the default recipe itself"
    return f"The winner is trial {winner.from_trial}: {what}."


def findings_lines(findings: Sequence[Finding], *, total: int = 0, kind: str = FIRST) -> list[RenderableType]:
    """The findings, each with its evidence, change and outcome; the rest of the total is counted."""
    order = list(SIGNS)
    shown = sorted(findings, key=lambda finding: order.index(finding.severity))[:MOST_FINDINGS]
    if not shown:
        return []
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(width=2, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for finding in shown:
        sign, style = SIGNS[finding.severity]
        lines = [
            _sentence(in_plain_words(finding.title), "bold").append(f" {finding.id}".rstrip(), "dim"),
            _sentence(in_plain_words(evidence(finding, kind)), "dim"),
        ]
        if finding.change:
            tail = f". Outcome: {finding.outcome}" if finding.outcome else ""
            lines.append(_sentence(f"{to_do(finding)}: {finding.change}{tail}"))
        if finding.confidence in SURE:
            lines.append(_sentence(SURE[finding.confidence or ""], "dim"))
        table.add_row(Text(sign, style), Text("\n").join(lines))
    parts: list[RenderableType] = [Text(), table]
    if total > len(shown):
        parts.append(
            _text(f"   and {formats.count(total - len(shown), 'more finding')}; tame show --json lists all", "dim")
        )
    known = next((finding for finding in shown if finding.id), None)
    if known is not None:
        said = f"   why one matters: tame explain {known.id}; not to be told: {known.mute}"
        parts.append(_text(said, "dim"))
    return parts


def _places(result: Result) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("model"), _text(result.model))
    table.add_row(Text("report"), _text(result.report))
    return table


def _steps(result: Result) -> list[RenderableType]:
    """What to do next: commands, each with its reason."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(width=2, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for place, step in enumerate(next_steps(result), 1):
        command = from_here(step.command, result.data)
        table.add_row(Text(f"{place}."), Text("\n").join([_sentence(step.why), _text(command, "bold")]))
    return [Text(), _text("What to do next", "bold"), table] if table.row_count else []


def from_here(command: str, data: str) -> str:
    """The command with its data named from the current folder, where it lies below that: shorter, and the same."""
    here = os.path.join(Path.cwd(), "")
    if not data.startswith(here) or not command.startswith("tame "):
        return command
    near = data.removeprefix(here)
    near = f"./{near}" if near.startswith("-") else near
    return shlex.join(near if word == data else word for word in shlex.split(command))


def _trials(rows: list[Row], every: list[Row], base: Mapping[str, Value], *, going_on: bool) -> Table:
    """One row per trial, with the fields that vary over all trials. Fits into 80 characters."""
    fields = words.leading([row.changes for row in every], MOST_COLUMNS)
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    heads = ("trial", "origin", "state", "epochs", *(head for _, head in fields), "loss", "metric")
    for head in heads:
        table.add_column(head, justify="left" if head in ("origin", "state") else "right", no_wrap=True)
    for row in rows:
        flat = {**base, **row.changes}
        table.add_row(
            str(row.number),
            _text(words.origin(row.origin)),
            Text(words.state(row.state, going_on=going_on, lives=going_on), "red" if row.state in LOST else ""),
            _text(f"{row.epochs}/{flat['epochs']}"),
            *(_text(formats.compact(flat[field])) for field, _ in fields),
            formats.number(row.loss, 4),
            formats.measured(row.metric),
        )
    return table


def _loss(row: Row) -> float:
    return math.inf if row.state == "diverged" or row.loss is None else row.loss


def _sentence(text: str, style: str = "") -> Text:
    return _text(formats.sentence(text), style)


def _text(text: object, style: str = "") -> Text:
    """A text printed literally: no rich markup, no control characters, folded if it is too long."""
    return Text(formats.inert(str(text)), style, overflow="fold")
