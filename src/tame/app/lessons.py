"""The examples and the study of a lesson, opened for the terminal and for the process that computes for the pages.

That process reads one question a line as JSON from stdin, and writes one answer a line to stdout; it ends with its
stdin. Each question names the study that it is about. Between questions the process trains what the lesson at hand will
ask for, and loads what other lessons need. Without a study, or with one on which no lesson can be given, the demo's
table stands in, and it is said why.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from tame.app.drawing.picture_set import Faults, contents
from tame.app.drawing.table import LEAK, TARGET, TableFaults, draw_table
from tame.app.learn import look_at
from tame.app.own_cache import cache_folder
from tame.app.own_stores import store_of
from tame.app.own_studies import Outside, allowed
from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.kinds.tables.kind import TABLES
from tame.learn.answers import answer, load
from tame.learn.ground import Album, Ground, Whose
from tame.learn.kept import kept_or_read, key_of, key_of_study
from tame.learn.seen import Seen
from tame.learn.tutor import Tutor
from tame.report.formats import sentence
from tame.report.words import noun
from tame.study.state import State, read_state

DRAWN, EACH, DRAWN_NAME = ("bee", "wasp"), 120, "the drawn bees and wasps"
ROWS = 1200  # of the demo's table: enough for the examples of a lesson
DEMO = "the measured insects of the demo"
ANY = "demo"  # in a question, in place of the whole path of a study: any examples will do
NO_STUDY = "no study was begun yet; begin one with tame fit or tame demo"
_DRAWING = threading.Lock()
QUIET_S = 0.3  # without a question, after which the process works ahead
Say = Callable[[str, int, int], None]


def open_tutor(study: Path | None, *, why: str = NO_STUDY, say: Say = lambda what, done, of: None) -> Tutor:
    """The lessons on a study, or on the demo where there is none or it cannot be used. why: the demo stands in for
    nothing. Nothing is written into the study's folder."""
    if study is not None:
        try:
            return Tutor(*_own(study), say=say, stands_in=_demo, album=_drawn, cache=cache_folder())
        except TameError as problem:
            why = f"the examples of {study} cannot be used for a lesson: {problem}"
    ground = _demo()
    counts = Counter(ground.classes[int(each)] for each in ground.y)
    seen = Seen(
        name=DEMO, is_own=False, why=sentence(why), nouns=ground.nouns, task="multiclass", metric="accuracy",
        counts=dict(counts), train=len(ground.x), valid=len(ground.x_valid),
    )  # fmt: skip
    return Tutor(ground, seen, say=say, stands_in=_demo, album=_drawn, cache=cache_folder())


def _own(study: Path) -> tuple[Ground, Seen]:
    config, state = read_state(study, store=store_of(study, None))
    config = allowed(study, config, state, Outside())  # a stranger's study names no file that is read
    whose = Whose(study.name, noun(state.kind))
    return _ground(study, config, state, whose, key=key_of_study(config, state)), look_at(study)


def _ground(folder: Path, config: StudyConfig, state: State, whose: Whose, *, key: str | None) -> Ground:
    cache = cache_folder()

    def read() -> Ground:
        from tame.learn.reading import read_ground  # what reads data takes seconds to load

        return read_ground(folder, config, state, whose, cache=cache)

    return kept_or_read(cache, key, read, whose)


def _demo() -> Ground:
    with TemporaryDirectory(prefix="tame-learn-") as kept:
        path = Path(kept) / "insects.csv"
        draw_table(path, seed=0, rows=ROWS, faults=TableFaults())
        config = StudyConfig(data=str(path), target=TARGET, columns={LEAK: "ignore"})
        key = key_of("demo", path.read_text(encoding="utf-8"))
        return _ground(path.parent, config, State(), Whose(DEMO, noun(TABLES.name)), key=key)


def _drawn() -> Album:
    """Bees and wasps for the exercise, with copies among them; drawn once, which takes a second or two."""
    with _DRAWING:  # one thread works ahead
        return _draw_once()


@cache
def _draw_once() -> Album:
    files = contents(seed=1, counts=dict.fromkeys(DRAWN, EACH), faults=Faults(near_duplicates=6, copies=4))
    pictures = [np.asarray(Image.open(BytesIO(each)).convert("RGB")) for each in files.values()]
    labels = np.array([DRAWN.index(name.partition("/")[0]) for name in files])
    return Album(DRAWN_NAME, DRAWN, pictures, labels, is_drawn=True)


def main() -> None:
    """Answers until stdin ends."""
    # What a lesson computes is small: threads would wait for each other, for seconds where a study trains beside it.
    torch.set_num_threads(1)
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_hear, args=(lines,), daemon=True).start()
    serve(lines, lambda text: print(text, flush=True), lambda study: open_tutor(None if study == ANY else Path(study)))


def _hear(lines: SimpleQueue[bytes]) -> None:
    """Puts each line of stdin into the queue, and an empty one at its end."""
    while line := sys.stdin.buffer.readline():
        lines.put(line)
    lines.put(b"")


def serve(lines: SimpleQueue[bytes], say: Callable[[str], None], tutor_of: Callable[[str], Tutor]) -> None:
    """Answers each line, up to an empty one; works ahead while there is none. say: hears each answer; tutor_of: opens
    the study that a question names."""
    tutors: dict[str, Tutor] = {}  # the one of the last study
    ahead = threading.Timer(QUIET_S, load_ahead)  # not at once: who asked first goes on to ask
    ahead.daemon = True
    is_quiet = False
    while True:
        own = next(iter(tutors.values()), None)
        wait_s = None if own is None or not own.has_work else 0.0 if is_quiet else QUIET_S
        try:
            line = lines.get(timeout=wait_s)
        except Empty:
            assert own is not None
            own.work()
            is_quiet = True
            continue
        is_quiet = False
        if not line:
            return
        question = json.loads(line)
        study = str(question["study"])
        found: dict[str, object] = {}
        if study not in tutors:
            try:
                tutors = {study: tutor_of(study)}
            except TameError as problem:  # of the cache
                found = {"problem": str(problem)}
        say(json.dumps(found or said(tutors[study], question), allow_nan=False))
        if ahead.ident is None:
            ahead.start()


def load_ahead() -> None:
    """Loads what takes seconds, before a lesson needs it."""
    load()
    import_module("torch._dynamo")  # by the first optimizer of torch
    import_module("tame.learn.reading")  # by the first picture of a study
    import_module("tame.parts.backbones")
    _drawn()


def said(tutor: Tutor, question: dict[str, object]) -> dict[str, object]:
    """The answer to one question with the mark of what it is about, or why there is none."""
    given = question.get("asked")
    try:
        found = answer(tutor, str(question.get("what")), given if isinstance(given, dict) else {})
        return {**found, "ground": tutor.mark}
    except TameError as problem:
        return {"problem": str(problem)}


if __name__ == "__main__":
    main()
