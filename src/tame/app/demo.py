"""`tame demo`: draws data with planted faults, runs a whole study on it, offline, and tells what came of it.

The demo knows which faults it planted, so it can say how many of them the study found.
"""

from __future__ import annotations

import math
import re
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tame.app.drawing.letters import IDENTIFIER as NUMBER
from tame.app.drawing.letters import LEAK as REPLY
from tame.app.drawing.letters import LETTER, LetterFaults, write_letters
from tame.app.drawing.letters import TARGET as TOPIC
from tame.app.drawing.picture import CLASSES
from tame.app.drawing.picture_set import Drawn, Faults, draw, planted
from tame.app.drawing.table import CONSTANT, IDENTIFIER, LEAK, TARGET, TableFaults, draw_table
from tame.app.from_scratch import FromScratch, from_scratch
from tame.app.preview import check_data
from tame.app.run import fit_study
from tame.app.show import from_here, result_lines
from tame.app.ui import how_to_watch
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.core.evaluation import ClassAnswers
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value
from tame.core.records import Finding
from tame.core.result import Result
from tame.data.split import groups_of
from tame.kinds.pictures.source import PictureFacts
from tame.parts.embedded import DEFAULT
from tame.report import formats, words
from tame.report.next_steps import document
from tame.study.session import Study
from tame.study.state import State, Watcher, read_state
from tame.worker.environment import usable_cores

COUNT = 320  # pictures per class
FAULTS = Faults(mislabelled=12, near_duplicates=16, copies=6, unreadable=6)
ROWS = 2400
TABLE_FAULTS = TableFaults(copies=24, conflicts=6, unlabelled=12, infinite=4)
LETTERS = 2000
LETTER_FAULTS = LetterFaults(copies=24, near=16, conflicts=6, unlabelled=12, empty=8)
# Insects lie in any direction, and many steps on few pixels are worth more than few on many: chosen on pictures drawn
# with a seed that no demo uses (benchmarks/README.md).
SETTINGS: Mapping[str, Value] = {"input.size": 96, "augment.rotation": 180.0}
# Of the clock, kept for the same network from scratch, which gets all that the study leaves; less is not begun.
SCRATCH_SHARE, LEAST_SCRATCH_S = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Planted:
    """A kind of fault: how many were planted and found, and how they were found or what became of them."""

    fault: str
    planted: int
    found: int
    how: str


@dataclass(frozen=True, slots=True)
class Demo:
    """A study on drawn data, with what was wrong with that. scratch: None of a table, or without time for it."""

    result: Result
    faults: tuple[Planted, ...]
    scratch: FromScratch | None = None

    def to_json(self) -> dict[str, object]:
        """The document of `tame demo --json`: that of `tame fit --json`, and `demo`."""
        about = {"faults": to_plain(self.faults), "from_scratch": to_plain(self.scratch)}
        return {**document(self.result), "demo": about}

    def lines(self) -> RenderableType:
        """What people read: what was wrong with the data, the result, and what pretraining was worth."""
        parts: list[RenderableType] = [Text("What is wrong with the data", "bold"), _fault_table(self.faults), Text()]
        if self.scratch is not None:
            parts += [Text(pretraining_in_words(self.result, self.scratch)), Text()]
        watch = Text(formats.inert(how_to_watch(Path(self.result.study))), overflow="fold")
        return Group(*parts, result_lines(self.result), Text(), watch, Text(LEARN))


LEARN = "New to training networks? Choose Learn there, or run tame learn: lessons on what you just trained."


def run_demo(
    watcher: Watcher, *, time_s: float, seed: int, out: str | None, pictures: str | None, started: float
) -> Demo:
    """Draws the pictures (once per seed), fits a network to them, and the same one with random weights."""
    folder = Path(pictures) if pictures else Path("runs") / f"demo-insects-{seed}"
    if not folder.exists():
        watcher.phase(f"drawing {COUNT * len(CLASSES):,} pictures of bees, wasps, other insects and nothing")

        def draw_all(draft: Path) -> None:
            draw(draft, seed=seed, counts=COUNT, faults=FAULTS, processes=usable_cores())

        drawn_once(folder, draw_all)
    drawn = planted(folder, seed=seed, counts=COUNT, faults=FAULTS)
    if not all((folder / name).is_file() for name in (*drawn.mislabelled, *drawn.unreadable)):
        raise UsageError(f"{folder} does not hold the pictures of seed {seed}; give another --pictures, or remove it")
    scratch_s = SCRATCH_SHARE * time_s
    if scratch_s < LEAST_SCRATCH_S:
        scratch_s = 0.0
    config = StudyConfig(
        data=str(folder), backbone=DEFAULT, time_s=time_s - scratch_s, set=SETTINGS, seed=seed, out=out
    )
    beside = list[FromScratch]()

    def compare(study: Study, result: Result) -> None:
        if not scratch_s:
            return
        watcher.phase("training the same network from random weights, for comparison")
        found = from_scratch(study, result, seconds=time_s - (time.monotonic() - started))
        beside.extend([found] if found else [])

    result = fit_study(config, watcher, started=started, afterwards=compare)
    if not beside:
        watcher.note("there was no time to train the same network from random weights; give it more with --time")
    _, state = read_state(Path(result.study))
    return Demo(result, faults_in_pictures(drawn, state, result), beside[0] if beside else None)


def run_table_demo(watcher: Watcher, *, time_s: float, seed: int, out: str | None, started: float) -> Demo:
    """Draws the table (once per seed), checks it, and fits a network to it without the column that gives all away."""
    path = Path("runs") / f"demo-table-{seed}.csv"
    if not path.exists():
        watcher.phase(f"drawing a table of {ROWS:,} measured insects")
        drawn_once(path, lambda draft: draw_table(draft, seed=seed, rows=ROWS, faults=TABLE_FAULTS))
    watcher.phase("looking at the table, as tame check does")
    seen = check_data(StudyConfig(data=str(path), target=TARGET, seed=seed)).findings
    config = StudyConfig(data=str(path), target=TARGET, columns={LEAK: "ignore"}, time_s=time_s, seed=seed, out=out)
    result = fit_study(config, watcher, started=started)
    return Demo(result, faults_in_table([*seen, *result.findings]))


def run_text_demo(watcher: Watcher, *, time_s: float, seed: int, out: str | None, started: float) -> Demo:
    """Writes letters (once per seed), checks them, and fits a model to them without the replies, which give all
    away."""
    path = Path("runs") / f"demo-letters-{seed}.csv"
    if not path.exists():
        watcher.phase(f"writing {LETTERS:,} letters to a botanic garden")
        drawn_once(path, lambda draft: write_letters(draft, seed=seed, rows=LETTERS, faults=LETTER_FAULTS))
    watcher.phase("looking at the letters, as tame check does")
    seen = check_data(StudyConfig(data=str(path), target=TOPIC, seed=seed))
    config = StudyConfig(
        data=str(path), target=TOPIC, text=LETTER, columns={REPLY: "ignore"}, time_s=time_s, seed=seed, out=out
    )
    result = fit_study(config, watcher, started=started)
    missing = {each.name: each.missing for each in result.data_facts.columns or ()}
    return Demo(result, faults_in_letters([*seen.findings, *result.findings], empty=missing.get(LETTER, 0)))


def faults_in_pictures(drawn: Drawn, state: State, result: Result) -> tuple[Planted, ...]:
    """What was planted in the pictures, and what of it the study found."""
    about = from_plain(PictureFacts, state.data or {}, what="the facts of the pictures")
    ids = [each.rpartition(":")[0] for each in about.digests]
    group = dict(zip(ids, groups_of(len(ids), about.pairs).tolist(), strict=True))

    def joined(pairs: Sequence[tuple[str, str]]) -> int:
        return sum(a in group and group[a] == group.get(b) for a, b in pairs)

    lost = [name for name in drawn.unreadable if name not in group]
    near, beside = drawn.near_duplicates, "kept on one side of the split"
    found, how = _wrong_labels(set(drawn.mislabelled), result)
    return (
        Planted("files that are no pictures", len(drawn.unreadable), len(lost), "left out, named in skipped.csv"),
        Planted("pictures that are there twice", len(drawn.copies), joined(drawn.copies), beside),
        Planted("pictures saved again, a little changed", len(near), joined(near), beside),
        Planted("pictures in the wrong folder", len(drawn.mislabelled), found, how),
    )  # fmt: skip


def faults_in_table(findings: Sequence[Finding]) -> tuple[Planted, ...]:
    """What was planted in the table, and what of it was found."""
    by_code = {each.code: each.evidence for each in findings}
    named, counted = partial(_named, findings), partial(_counted, findings)
    infinite = sum(map(int, re.findall(r"(\d+) cells? (?:is|are) infinite", str(by_code.get("infinite_values", "")))))
    faults, left_out, ignored = TABLE_FAULTS, "left out", f"left out: --column {LEAK}=ignore"
    return (
        Planted("a column that gives the answer away", 1, named("target_leak", LEAK), ignored),
        Planted("a column of names", 1, named("identifier_columns", IDENTIFIER), left_out),
        Planted("a column that never changes", 1, named("constant_columns", CONSTANT), left_out),
        Planted("rows without an answer", faults.unlabelled, counted("skipped_rows", "count"), left_out),
        Planted("masses that are infinite", faults.infinite, infinite, "taken as missing"),
        Planted("rows that are there twice", faults.copies, _twins(findings), "kept on one side of the split"),
        Planted(
            "rows that are there twice, with two answers", faults.conflicts, counted("label_conflict", "count") // 2,
            "named, kept on one side",
        ),
    )  # fmt: skip


def faults_in_letters(findings: Sequence[Finding], *, empty: int) -> tuple[Planted, ...]:
    """What was planted in the letters, and what of it was found. empty: letters that were taken as missing."""
    named, counted = partial(_named, findings), partial(_counted, findings)
    faults, left_out, together = LETTER_FAULTS, "left out", "kept on one side of the split"
    ignored = f"left out: --column {REPLY}=ignore"
    return (
        Planted("replies that give the topic away", 1, named("target_leak", REPLY), ignored),
        Planted("a column of numbers of letters", 1, named("identifier_columns", NUMBER), left_out),
        Planted("letters without a topic", faults.unlabelled, counted("skipped_rows", "count"), left_out),
        Planted("letters that are empty", faults.empty, empty, "taken as missing"),
        Planted("letters that are there twice", faults.copies, _twins(findings), together),
        Planted(
            "letters that are there twice, on two topics", faults.conflicts, counted("label_conflict", "count") // 2,
            "named, kept on one side",
        ),
        Planted("letters sent again, a little changed", faults.near, counted("near_duplicates", "count"), together),
    )  # fmt: skip


def _named(findings: Sequence[Finding], code: str, column: str) -> int:
    """1 where a finding names the column, else 0."""
    return int(any(column in str(each.evidence.get("columns", "")) for each in findings if each.code == code))


def _counted(findings: Sequence[Finding], code: str, name: str) -> int:
    """A number of the last finding of this code; 0 where there is none."""
    value = {each.code: each.evidence for each in findings}.get(code, {}).get(name, 0)
    return value if isinstance(value, int) else 0


def _twins(findings: Sequence[Finding]) -> int:
    """Rows that are there twice with one target."""
    return _counted(findings, "duplicate_rows", "rows") // 2 - _counted(findings, "label_conflict", "count") // 2


def pretraining_in_words(result: Result, beside: FromScratch) -> str:
    """The model beside the same network that started from random weights, and what each of them was given."""
    metric, own = result.metric, beside.score
    shown = f"{formats.shown(metric, own.value)} ({words.span(own, metric)})"
    took = f"{formats.count(beside.epochs, 'epoch')} at {beside.size} pixels in {beside.wall_s:.0f} s"
    winner, own_s = result.winner, math.ceil(result.wall_s)
    given = f"{formats.count(winner.epochs, 'epoch')} at {winner.recipe['input.size']} pixels"
    again = from_here(f"tame fit {shlex.quote(formats.inert(result.data))} --backbone none", result.data)
    return (
        f"The same network from random weights: {formats.metric_name(metric)} {shown}, one recipe for {took}. "
        f"Pretrained, as below: the best of {formats.count(result.trials, 'recipe')} in {own_s} s, {given}. "
        f"As much time for random weights: {again} --time {own_s}s"
    )


def _wrong_labels(wrong: set[str], result: Result) -> tuple[int, str]:
    """How many of the pictures in a wrong folder the study named, and how."""
    by_code = {each.code: each.evidence for each in result.findings}
    pairs = from_plain(list[list[str]], by_code.get("label_conflict", {}).get("pairs", []), what="pairs of copies")
    suspects = from_plain(
        list[dict[str, object]], by_code.get("suspect_labels", {}).get("pictures", []), what="suspects"
    )
    answers = result.answers
    assert isinstance(answers, ClassAnswers)
    named = {
        "as copies under two labels": {name for pair in pairs for name in pair},
        "as suspects": {str(each["picture"]) for each in suspects},
        "among the mistakes": {each.id for each in answers.mistakes},
    }
    found, said = set[str](), []
    for how, ids in named.items():
        fresh = (ids & wrong) - found
        found |= fresh
        said += [f"{len(fresh)} of {len(ids)} named {how}"] if ids else []
    return len(found), ", ".join(said)


def _fault_table(faults: Sequence[Planted]) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(2):
        table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for each in faults:
        table.add_row(Text(each.fault), Text(f"{each.found} of {each.planted} found"), Text(each.how, "dim"))
    return Padding(table, (0, 0, 0, 2))


def drawn_once(path: Path, draw_to: Callable[[Path], None]) -> None:
    """Draws under a name of its own first, so that what has the name is whole; what another run drew is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as work:
        draft = Path(work) / "draft"
        draw_to(draft)
        if not path.exists():
            draft.rename(path)
