"""What the pages show of a study, as plain values in words: the same for the first HTML and for the scripts.

Nothing of the sealed part is told before it was opened: what is told comes from events, and no event has it earlier.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Literal

from tame.core.codes import CODES
from tame.core.config import METRIC_MODES, StudyConfig
from tame.core.records import DEFAULT, FINALIST, LOST, REMEDY, Finding
from tame.core.result import Result
from tame.kinds.known import FIRST
from tame.pages.library import Shelf
from tame.report import formats, words
from tame.report.case_words import came_of_it, tries
from tame.report.evidence import SURE, evidence, to_do
from tame.report.fields import in_plain_words, name_of
from tame.study.case_rows import row_of
from tame.study.columns import METRIC, VALID, Columns, TrialRow
from tame.study.following import Followed
from tame.study.state import State, how_to_resume, unmuted

Plain = dict[str, object]
Life = Literal[
    "starting", "training", "paused", "evaluating", "finished", "stopped", "failed", "killed", "imported", "unreadable"
]
Teller = Callable[[Followed, Mapping[str, object]], Plain]
SEVERITIES = ("problem", "warning", "info")
LIFE_WORDS: Mapping[Life, str] = {
    "starting": "starting", "training": "training", "paused": "paused", "evaluating": "evaluating",
    "finished": "finished", "stopped": "stopped", "failed": "ended without a result", "killed": "its process has ended",
    "imported": "imported trials", "unreadable": "cannot be read",
}  # fmt: skip
STAGES = ("T", "A", "M", "E")
OF_COPIES = ("near_duplicates", "label_conflict", "leak")  # findings that name examples of all parts
OFFERED: Mapping[Life, tuple[str, ...]] = {  # what can be asked for
    "training": ("pause", "stop", "time", "space", "mute"), "paused": ("go_on", "stop", "time", "space", "mute"),
    "evaluating": ("pause", "mute"),
}  # fmt: skip
SEARCHED: tuple[Life, ...] = ("starting", "training", "paused", "stopped", "killed")  # unless its search has ended
OVER: tuple[Life, ...] = ("finished", "stopped", "failed", "killed", "imported", "unreadable")  # nothing goes on


def life_of(shelf: Shelf) -> Life:
    """The state of a study, from its events and the signs of life of its process."""
    if shelf.problem:
        return "unreadable"
    followed = shelf.followed
    return life_in(followed.state, followed.last_kind, alive=shelf.is_alive, has_trials=bool(followed.columns.rows))


def life_in(state: State, last_kind: str, *, alive: bool, has_trials: bool) -> Life:
    """The state of a study that can be read. last_kind: of its last event; alive: whether its process is."""
    if state.imported is not None:
        return "imported"
    if state.result is not None:
        return "finished"
    if not alive:
        return "stopped" if last_kind == "stopped" else "failed" if last_kind == "ended" else "killed"
    if state.is_paused:
        return "paused"
    if not has_trials:
        return "starting"
    return "evaluating" if state.search_ended is not None or state.finalists is not None else "training"


def overview(shelf: Shelf) -> Plain:
    """A study at a glance: what the list of studies and the head of its page show."""
    followed, life = shelf.followed, life_of(shelf)
    state, columns = followed.state, followed.columns
    config = None if state.opened is None else StudyConfig.from_json(state.opened.config)
    result = None if state.result is None else Result.from_json(state.result)
    found, clock = findings(shelf, most=6), _clock(shelf, life, config)
    return {
        "id": shelf.id, "name": formats.inert(shelf.folder.name), "seq": followed.seq, "life": life,
        "words": LIFE_WORDS[life], "problem": formats.inert(shelf.problem),
        "kind": "" if state.data is None else state.kind,
        "metric": _metric_of(shelf, result), "stage": _stage(shelf, life), "now": _now(shelf, life),
        "clock": clock, "score": _score(result), "best": best(shelf),
        "default": _default(columns), "counts": _counts(shelf), "trials": _searched(columns),
        "recipes": formats.count(_searched(columns), "recipe"),
        "epochs": columns.epochs, "findings": found, "found": len(unmuted(state)),
        "seal": _seal(shelf, result), "forecast": _forecast(shelf, life),
        "ask": _offered(life, clock), "next": _next(shelf, life), "begun_at": followed.begun_at,
        "last_at": followed.last_at, "when": _when(followed.last_at) if life in OVER else "",
        "has_report": (shelf.folder / "report.html").is_file(),
        "verdict": "" if result is None else formats.sentence(words.verdict(result)),
    }  # fmt: skip


def _forecast(shelf: Shelf, life: Life) -> list[str]:
    """What was expected at the beginning, while it may still come true."""
    known = shelf.followed.state.forecast
    return [] if known is None or life in OVER else [formats.sentence(text) for text in known.words]


def _when(at: str) -> str:
    """A time as people of this machine read it; "" for none, or for what a stranger wrote in its place."""
    with suppress(ValueError, OverflowError, OSError):
        own = datetime.fromisoformat(at).astimezone()
        return f"{own.day} {own:%B %Y}, {own:%H:%M}"
    return ""


def _offered(life: Life, clock: Plain) -> list[str]:
    """What the study can be asked for: more time only where there is a clock."""
    return [what for what in OFFERED.get(life, ()) if what != "time" or clock["given_s"] is not None]


def _stage(shelf: Shelf, life: Life) -> str:
    """Where the loop stands: T, A, M or E; "" where it does not turn."""
    if life == "evaluating":
        return "E"
    if life not in ("training", "paused") or shelf.moment is None:
        return "E" if life == "finished" else ""
    last = shelf.followed.lines[-1].kind if shelf.followed.lines else ""
    return "M" if last in ("finding", "prescribed", "remedied") and not shelf.moment.what else "T"


def _now(shelf: Shelf, life: Life) -> str:
    """What goes on at this moment, in words."""
    moment = shelf.moment
    if moment is None or not shelf.is_alive:
        return ""
    if life == "paused":
        return "waits for you; its clock stands still"
    phase = formats.inert(moment.phase.partition(": ")[2] or moment.phase)
    step = f"{moment.what} {moment.done:,} of {moment.total:,}" if moment.total else ""
    return f"{phase}: {step}" if phase and step else phase or step or "starting"


def _clock(shelf: Shelf, life: Life, config: StudyConfig | None) -> Plain:
    state, moment = shelf.followed.state, shelf.moment
    if life == "imported":  # another program had the clock
        return {"used_s": 0.0, "given_s": None, "kept_s": None, "words": "", "runs": False}
    given = None if config is None else config.clock_s
    if state.clock is not None:
        given = state.clock.time_s
    if given is not None:
        given += state.extra_s
    live = moment is not None and shelf.is_alive
    used = state.used_s if moment is None else moment.clock.used_s if live else max(state.used_s, moment.clock.used_s)
    until = None if state.plan is None else state.plan.search_until_s
    kept = None if given is None or until is None else max(given - until - state.extra_s, 0.0)
    said = (
        f"{formats.duration(used)} used" if given is None else f"{formats.duration(used)} of {formats.duration(given)}"
    )
    return {
        "used_s": round(used, 2), "given_s": given, "kept_s": kept, "words": said,
        "runs": live and life not in ("paused", "finished"),
    }  # fmt: skip


def _metric_of(shelf: Shelf, result: Result | None) -> Plain:
    name = shelf.followed.state.metric if result is None else result.metric
    return {"name": name, "words": formats.metric_name(name), "rising": METRIC_MODES.get(name, "max") == "max"}


def _score(result: Result | None) -> Plain | None:
    """The score on the sealed part; None before it was opened."""
    if result is None:
        return None
    score, metric = result.score, result.metric
    return {
        "value": score.value, "low": score.low, "high": score.high, "n": score.n,
        "words": formats.shown(metric, score.value), "span": words.span(score, metric),
        "examples": words.examples(result, score.n, "test"),
    }  # fmt: skip


def best(shelf: Shelf) -> Plain | None:
    """The best trial of the search so far, on validation: not a final score."""
    columns = shelf.followed.columns
    number = best_trial(columns)
    return None if number is None else _measured(columns, number)


def best_trial(columns: Columns) -> int | None:
    """The trial of the search with the lowest validation loss; None before the first."""
    known = [row for row in columns.rows.values() if row.state not in LOST and row.origin != FINALIST]
    row = min(known, key=lambda each: (each.loss, each.number), default=None)
    return None if row is None or math.isinf(row.loss) else row.number


def _default(columns: Columns) -> Plain | None:
    row = next((row for row in columns.rows.values() if row.origin == DEFAULT), None)
    return None if row is None or not row.spans else _measured(columns, row.number)


def _measured(columns: Columns, number: int) -> Plain:
    point = columns.judged(number)
    assert point is not None
    return {
        "trial": number, "epochs": columns.rows[number].epochs, "loss": finite(point[VALID]),
        "metric": finite(point[METRIC]), "words": formats.measured(finite(point[METRIC])),
        "loss_words": formats.number(finite(point[VALID]), 4),
    }  # fmt: skip


def finite(value: float) -> float | None:
    """The number; None where it is not one."""
    return float(value) if math.isfinite(value) else None


def _searched(columns: Columns) -> int:
    return sum(row.origin not in (FINALIST, REMEDY) for row in columns.rows.values())


def _counts(shelf: Shelf) -> str:
    counts: dict[str, int] = {}
    for row in shelf.followed.columns.rows.values():
        if row.origin not in (FINALIST, REMEDY):
            counts[row.state] = counts.get(row.state, 0) + 1
    going_on, lives = _goes_on(shelf)
    return words.counted(counts, going_on=going_on, lives=lives)


def _goes_on(shelf: Shelf) -> tuple[bool, bool]:
    """Whether the search has not ended, also where it waits to be resumed; whether a process works on the study."""
    state, life = shelf.followed.state, life_of(shelf)
    is_searched = state.search_ended is not None or state.finalists is not None
    return life in SEARCHED and not is_searched, life not in OVER


def findings(shelf: Shelf, *, most: int | None = None) -> list[Plain]:
    """The findings that the user did not mute, the gravest first."""
    state = shelf.followed.state
    found = sorted(unmuted(state), key=lambda each: SEVERITIES.index(each.severity))
    return [finding_of(_told_now(each, state), state.kind) for each in found[:most]]


def _told_now(finding: Finding, state: State) -> Finding:
    """The finding without the names of examples that may be in the sealed test part, before it is opened."""
    if finding.code not in OF_COPIES or state.test_opened is not None:
        return finding
    return replace(finding, evidence={k: v for k, v in finding.evidence.items() if k not in ("pairs", "pictures")})


def finding_of(finding: Finding, kind: str = FIRST) -> Plain:
    """A finding in words."""
    return {
        "code": finding.code, "id": finding.id, "severity": finding.severity, "trial": finding.trial,
        "title": _inert(in_plain_words(finding.title)), "evidence": _inert(in_plain_words(evidence(finding, kind))),
        "to_do": to_do(finding), "change": _inert(finding.change), "outcome": _inert(finding.outcome),
        "why": finding.why, "sure": SURE.get(finding.confidence or "", ""), "mute": finding.mute,
        "can_mute": finding.code in CODES,
    }  # fmt: skip


def _inert(text: str) -> str:
    return formats.inert(formats.sentence(text))


def _seal(shelf: Shelf, result: Result | None) -> Plain:
    opened = shelf.followed.state.test_opened
    if shelf.followed.state.imported is not None:
        return {"open": False, "words": ""}  # trials without their data have no test part
    if opened is None:
        return {"open": False, "words": "The test part is sealed. It is opened once, at the end."}
    said = f"opened for trial {opened.trial}: {opened.n:,} examples, after {formats.duration(float(opened.used_s))}"
    return {"open": True, "words": formats.sentence(said if result is None else f"{said}; {words.opened(result)}")}


def _next(shelf: Shelf, life: Life) -> Plain | None:
    """What to do next, as a command to copy."""
    folder, state = shelf.folder, shelf.followed.state
    model = None if state.opened is None else state.opened.config.get("model")
    again = how_to_resume(folder, model=None if model is None else str(model))
    match life:
        case "killed":
            return {"words": "Nothing was lost. Go on with:", "command": formats.inert(again)}
        case "stopped":
            return {"words": "Everything is saved. Go on with:", "command": formats.inert(again)}
        case "failed":
            why = "" if state.ended is None else state.ended.why
            return {"words": formats.inert(formats.sentence(why)), "command": ""}
        case "finished":
            quoted = shlex.quote(str(folder))
            return {"words": "Use the model with:", "command": formats.inert(f"tame predict {quoted} INPUT")}
        case "imported":
            return {"words": "Begin a search with its best recipes:",
                    "command": formats.inert(f"tame fit DATA --start-from {shlex.quote(str(folder))}")}  # fmt: skip
        case _:
            return None


def lines(followed: Followed, *, after: int, most: int = 200) -> list[Plain]:
    """What was decided, found and done after that event: the last ones, in order."""
    fresh = [line for line in followed.lines if line.id > after][-most:]
    return [own for line in fresh if (own := _line(followed, line.kind, line.data, line.id, line.at)) is not None]


def _line(followed: Followed, kind: str, data: Mapping[str, object], number: int, at: str) -> Plain | None:
    said = _SAID.get(kind)
    if said is None:
        return None
    own: Plain = {"id": number, "at": at, "kind": kind, "trial": data.get("trial")}
    return {**own, **said(followed, data)}


def _decided(_: Followed, data: Mapping[str, object]) -> Plain:
    trial, verb = data.get("trial"), _VERBS.get(str(data.get("kind")), str(data.get("kind")))
    return {"words": formats.inert(f"{verb} trial {trial}"), "reason": formats.inert(str(data.get("reason", "")))}


def _found(followed: Followed, data: Mapping[str, object]) -> Plain:
    own = next(
        (f for f in followed.state.findings if f.title == data.get("title") and f.code == data.get("code")), None
    )
    if own is None:
        return {"words": formats.inert(str(data.get("title", ""))), "reason": ""}
    told = finding_of(_told_now(own, followed.state), followed.state.kind)
    return {"words": told["title"], "reason": told["evidence"], "severity": own.severity, "code": own.code}


def _cased(followed: Followed, data: Mapping[str, object]) -> Plain:
    first = data.get("trial")
    patient, code = data.get("patient"), data.get("code")
    for case in followed.cases:
        own = case.prescribed
        if own.first == first:
            return {"words": "; ".join(came_of_it(row_of(case))), "reason": "", "trial": own.patient}
        if (own.patient, own.code) == (patient, code):
            return {"words": formats.sentence(tries(row_of(case))), "reason": "", "trial": own.patient}
    return {"words": "a remedy is tried", "reason": ""}


def _answered(followed: Followed, data: Mapping[str, object]) -> Plain:
    wish = followed.state.wishes.get(str(data.get("id")))
    asked = "go on" if wish is None else _ASKED[wish.what]
    verb = "You asked to" if data.get("done") else "Refused:"
    return {
        "words": f"{verb} {asked}", "reason": formats.inert(str(data.get("reason", ""))), "done": data.get("done"),
        "asked": "" if wish is None else wish.what,
    }  # fmt: skip


def _plain(text: str, reason: str = "") -> Teller:
    return lambda _, data: {"words": text, "reason": formats.inert(str(data.get(reason, ""))) if reason else ""}


_VERBS = {"start": "Started", "copy": "Copied into", "pause": "Paused", "stop": "Stopped", "complete": "Finished"}
_ASKED = {
    "pause": "pause", "go_on": "go on", "stop": "stop and evaluate", "time": "give it more time",
    "mute": "leave a finding out", "space": "search a wider space", "edit": "edit an example of the data",
}  # fmt: skip
_SAID: Mapping[str, Teller] = {
    "decision": _decided, "early_stop": _plain("Stopped early", "reason"), "finding": _found, "prescribed": _cased,
    "remedied": _cased, "answered": _answered, "opened": _plain("The study began"),
    "data": _plain("The data was read and split"), "plan": _plain("The search was planned"),
    "forecast": _plain("The cost was forecast"), "space": _plain("The space was widened", "reason"),
    "region": _plain("New recipes come from a part of the space", "reason"),
    "search_ended": _plain("The search ended", "reason"), "finalists": _plain("The finalists were chosen"),
    "tuning_judged": _plain("Fine-tuning was judged", "why"), "test_opened": _plain("The test part was opened"),
    "delivered": _plain("The model was delivered"), "worker_restarted": _plain("Training was restarted", "how"),
    "stopped": _plain("The study was stopped"), "ended": _plain("It ended without a result", "why"),
    "result": _plain("The study is finished"), "imported": _plain("Trials were imported"),
    "clock": _plain("It was given another clock"), "limits": _plain("It was given other limits"),
}  # fmt: skip


def row_words(shelf: Shelf, row: TrialRow) -> Plain:
    """A trial as a row of the table."""
    point = shelf.followed.columns.judged(row.number)
    going_on, lives = _goes_on(shelf)
    return {
        "number": row.number, "origin": formats.inert(words.origin(row.origin)),
        "state": words.state(row.state, going_on=going_on, lives=lives), "raw": row.state,
        "epochs": row.epochs, "most": row.most,
        "loss": None if point is None else finite(point[VALID]),
        "metric": None if point is None else finite(point[METRIC]),
        "reason": formats.inert(row.last_reason or row.reason),
        "changes": formats.inert(", ".join(f"{name_of(k)} {formats.compact(v)}" for k, v in _shown(row.changes))),
    }  # fmt: skip


def _shown(changes: Mapping[str, object]) -> Sequence[tuple[str, object]]:
    return [(name, value) for name, value in changes.items() if name not in ("seed", "epochs")]
