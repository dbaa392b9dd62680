"""The examples and the study of a lesson, opened for the terminal and for the process that computes for the pages.

That process reads one question a line as JSON from stdin, and writes one answer a line to stdout; it ends with its
stdin. Without a study, or with one on which no lesson can be given, the demo's table stands in, and it is said why.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tame.app.drawing.table import LEAK, TARGET, TableFaults, draw_table
from tame.app.learn import look_at
from tame.app.own_cache import cache_folder
from tame.app.own_stores import store_of
from tame.app.own_studies import Outside, allowed
from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.kinds.tables.kind import TABLES
from tame.learn.answers import answer
from tame.learn.ground import Ground, read_ground
from tame.learn.seen import Seen
from tame.learn.tutor import Tutor
from tame.report.formats import sentence
from tame.report.words import noun
from tame.study.state import State, read_state

ROWS = 1200  # of the demo's table: enough for the examples of a lesson
DEMO = "the measured insects of the demo"
NO_STUDY = "no study was begun yet; begin one with tame fit or tame demo"
Say = Callable[[str, int, int], None]


def open_tutor(study: Path | None, *, why: str = NO_STUDY, say: Say = lambda what, done, of: None) -> Tutor:
    """The lessons on a study, or on the demo where there is none or it cannot be used. why: the demo stands in for
    nothing. Nothing is written into the study's folder."""
    if study is not None:
        try:
            return Tutor(*_own(study), say=say)
        except TameError as problem:
            why = f"the examples of {study} cannot be used for a lesson: {problem}"
    ground = _demo()
    counts = Counter(ground.classes[int(each)] for each in ground.y)
    seen = Seen(
        name=DEMO, is_own=False, why=sentence(why), nouns=ground.nouns, task="multiclass", metric="accuracy",
        counts=dict(counts), train=len(ground.x), valid=len(ground.x_valid),
    )  # fmt: skip
    return Tutor(ground, seen, say=say)


def _own(study: Path) -> tuple[Ground, Seen]:
    config, state = read_state(study, store=store_of(study, None))
    config = allowed(study, config, state, Outside())  # a stranger's study names no file that is read
    seen = look_at(study)
    return read_ground(study, config, state, cache=cache_folder(), nouns=noun(state.kind)), seen


def _demo() -> Ground:
    with TemporaryDirectory(prefix="tame-learn-") as kept:
        path = Path(kept) / "insects.csv"
        draw_table(path, seed=0, rows=ROWS, faults=TableFaults())
        config = StudyConfig(data=str(path), target=TARGET, columns={LEAK: "ignore"})
        found = read_ground(path.parent, config, State(), cache=cache_folder(), nouns=noun(TABLES.name))
    return replace(found, name=DEMO)


def main() -> None:
    """Answers until stdin ends. The argument is the whole path of a study, or "demo"."""
    asked = sys.stdin.buffer
    tutor = open_tutor(None if sys.argv[1] == "demo" else Path(sys.argv[1]))
    while line := asked.readline():
        print(json.dumps(said(tutor, json.loads(line)), allow_nan=False), flush=True)


def said(tutor: Tutor, question: dict[str, object]) -> dict[str, object]:
    """The answer to one question, or why there is none."""
    given = question.get("asked")
    try:
        return answer(tutor, str(question.get("what")), given if isinstance(given, dict) else {})
    except TameError as problem:
        return {"problem": str(problem)}


if __name__ == "__main__":
    main()
