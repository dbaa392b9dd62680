"""A process that shows the pages the examples of a study one by one: pictures drawn again, rows, columns.

Asked as `pages/helper.py` says. It reads nothing for a study that this user did not begin, and ends with its stdin.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tame.app.own_stores import store_of
from tame.app.own_studies import Outside, allowed
from tame.core.errors import TameError, require
from tame.kinds.examples import Examples, examples_of
from tame.kinds.histograms import histogram
from tame.kinds.kind import Known
from tame.kinds.known import reader_of
from tame.study.state import read_state

Plain = dict[str, object]


def main() -> None:
    """Answers until stdin ends. The study is the only argument."""
    said, asked = sys.stdout.buffer, sys.stdin.buffer
    try:
        examples = opened(Path(sys.argv[1]))
    except TameError as problem:
        said.write(json.dumps({"problem": str(problem)}).encode() + b"\n")
        said.flush()
        return
    while line := asked.readline():
        found, content = answer(examples, json.loads(line))
        said.write(json.dumps(found).encode() + b"\n" + content)
        said.flush()


def opened(folder: Path) -> Examples:
    """The examples of a study. Raises RefusedError for one that this user did not begin, DataError where its data has
    changed."""
    config, state = read_state(folder, store=store_of(folder, None))
    require(state.data is not None, "the data of this study has not been read yet")
    config = allowed(folder, config, state, Outside())
    found = examples_of(reader_of(config, state.kind), config, Known(state.data), folder)
    require(found is not None, f"examples of the kind {state.kind!r} cannot be shown")
    assert found is not None
    return found


def answer(examples: Examples, question: Mapping[str, object]) -> tuple[Plain, bytes]:
    """What is asked for, with the bytes of a picture."""
    rows = [int(row) for row in _listed(question.get("rows"))]
    match question.get("ask"):
        case "all":
            pictured, counted = examples.picture_of is not None, bool(examples.columns)
            return {"ids": list(examples.ids), "labels": list(examples.labels), "pictured": pictured,
                    "counted": counted}, b""  # fmt: skip
        case "rows":
            return {"cells": [dict(examples.cells_of(row)) for row in rows]}, b""
        case "digest":
            return {"digest": examples.digest_of(rows[0])}, b""
        case "picture":
            draw, side = examples.picture_of, question.get("side")
            content = None if draw is None or not isinstance(side, int) else draw(rows[0], side)
            return {"bytes": len(content or b"")}, content or b""
        case _:
            classes = [str(name) for name in _listed(question.get("classes"))]
            labels = [examples.labels[row] for row in rows]
            return {"columns": [histogram(each, rows, labels, classes) for each in examples.columns]}, b""


def _listed(value: object) -> Sequence[int | str]:
    return value if isinstance(value, list) else ()


if __name__ == "__main__":
    main()
