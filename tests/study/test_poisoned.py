"""Events with the right checksum that hold what no study writes: every command ends as it is documented.

A folder may come from a stranger, who can write any event and the checksum that fits it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from unittest import mock

import numpy as np
import pytest

from command_line import tame_here
from tame.store.schema import event_checksum

ODD = ({}, [], "", None, -1, 1e308, list(range(2000)))
DOCUMENTED = {0, 6, 7}
CHANGED = "changed since the study began"  # exit 3: what the user gives is not what the record says of it
SHOWING = (
    ("show",), ("show", "--json"), ("show", "--details"), ("verify",), ("report",), ("predict", "ROWS", "--csv"),
    ("export", "--optuna", "OUT"),
)  # fmt: skip
SAMPLE_SHOWN, SAMPLE_RESUMED = 20, 6
MANY_SHOWN, MANY_RESUMED = 300, 150  # of 3,300: all would take 40 minutes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small table, and the folder of a finished study of it that has nearly every kind of event."""
    here = tmp_path_factory.mktemp("poisoned")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 2)).round(3)
    rows = [f"{a},{b},{'yes' if a + b + rng.normal() > 0 else 'no'}" for a, b in x.tolist()]
    (here / "rows.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    words = (
        "fit", "rows.csv", "--target", "label", "--trials", "3", "--epochs", "3", "--folds", "2", "--set",
        "model.width=8", "--set", "model.depth=1", "--doctor", "--out", "study", "--quiet", "--inline",
    )  # fmt: skip
    done = tame_here(*words, cache=here / "cache", cwd=here)
    assert done.returncode == 0, done.stderr
    return here


def events_of(study):
    with closing(sqlite3.connect(study / "study.db")) as store:
        return list(store.execute("select id, seq, kind, data, at from event order by seq"))


def poison(study, number, kind, at, seq, data, *, cut):
    """Writes other data into an event, with its checksum. cut: whether the events after it are taken away."""
    text = json.dumps(data, separators=(",", ":"))
    with closing(sqlite3.connect(study / "study.db")) as store:
        crc = event_checksum("study", seq, kind, text, at)
        store.execute("update event set data = ?, crc = ? where id = ?", (text, crc, number))
        if cut:
            store.execute("delete from event where seq > ?", (seq,))
        store.commit()


def spots(value, path=(), depth=2):
    """Every key of plain values, down to two levels, and the first entry of each list."""
    if path:
        yield path
    if depth == 0:
        return
    if isinstance(value, dict):
        for key, own in value.items():
            yield from spots(own, (*path, key), depth - 1)
    elif isinstance(value, list) and value:
        yield from spots(value[0], (*path, 0), depth - 1)


def put(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


def rounds_of(study, *, kinds=None):
    """Each poisoned event: its row, the place, and what stands there; of each kind the first event and the last."""
    chosen = {}
    for row in events_of(study):
        chosen.setdefault(row[2], []).append(row)
    found = []
    for kind, rows in chosen.items():
        if kinds is None or kind in kinds:
            for row in {rows[0][1]: rows[0], rows[-1][1]: rows[-1]}.values():
                data = json.loads(row[3])
                found += [(row, path, odd) for path in ((), *spots(data)) for odd in ODD]
                found += [(row, None, {})]  # an event without any of its keys
    return found


def told(row, path, odd, done):
    at = ".".join(map(str, path or ())) or "all of it"
    return f"event {row[1]} ({row[2]}), {at} = {str(odd)[:20]!r}: exit {done.returncode}: {done.stderr[-300:]}"


def poisoned_copy(made, name, row, path, odd, *, cut):
    number, seq, kind, text, at = row
    study = made / name
    shutil.rmtree(study, ignore_errors=True)
    shutil.copytree(made / "study", study)
    data = odd if not path else put(json.loads(text), path, odd)
    poison(study, number, kind, at, seq, data, cut=cut)
    return study


def show_ends_well(made, rounds):
    wrong = []
    for row, path, odd in rounds:
        study = poisoned_copy(made, "shown", row, path, odd, cut=False)
        for word, *more in SHOWING:
            (made / "out.db").unlink(missing_ok=True)
            words = [made / {"ROWS": "rows.csv", "OUT": "out.db"}[each] if each.isupper() else each for each in more]
            done = tame_here(word, study, *words, cache=made / "cache", cwd=made)
            if done.returncode not in DOCUMENTED or "Traceback" in done.stderr:
                wrong.append(f"{word}: {told(row, path, odd, done)}")
    assert not wrong, f"{len(wrong)} ended otherwise:\n" + "\n".join(wrong[:20])


def resume_ends_well(made, rounds):
    """As a stranger's study, which names data that this user has to give again."""
    wrong = []
    for number, (row, path, odd) in enumerate(rounds):
        study = poisoned_copy(made, "resumed", row, path, odd, cut=True)
        words = ("resume", study, "--quiet", "--inline", "--data", made / "rows.csv")
        with mock.patch.dict(os.environ, {"TAME_STATE": str(made / "states" / str(number))}):
            done = tame_here(*words, cache=made / "cache", cwd=made)
        if done.returncode == 3 and CHANGED in done.stderr and row[2] == "data":
            continue
        if done.returncode not in DOCUMENTED or "Traceback" in done.stderr:
            wrong.append(told(row, path, odd, done))
    assert not wrong, f"{len(wrong)} ended otherwise:\n" + "\n".join(wrong[:20])


def sample(rounds, count):
    return random.Random(0).sample(rounds, min(count, len(rounds)))


def test_a_sample_of_poisoned_events_is_shown_or_refused(made):
    show_ends_well(made, sample(rounds_of(made / "study"), SAMPLE_SHOWN))


def test_a_sample_of_poisoned_events_is_resumed_or_refused(made):
    resume_ends_well(made, sample(rounds_of(made / "study"), SAMPLE_RESUMED))


@pytest.mark.torture
def test_many_poisoned_events_are_shown_or_refused(made):
    show_ends_well(made, sample(rounds_of(made / "study"), MANY_SHOWN))


@pytest.mark.torture
def test_many_poisoned_events_are_resumed_or_refused(made):
    resume_ends_well(made, sample(rounds_of(made / "study"), MANY_RESUMED))
