"""A study in a notebook: one output that is drawn again and again, no widgets, and what the study shows of itself."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from kernels import NEEDS, execute
from made_results import HOSTILE, made, read
from tame.app.notebook import as_html, as_text, notebook
from tame.app.progress import Lines, NotebookDisplay, watcher_for
from tame.report.formats import inert
from tame.study.state import Silent

CODE = """
import numpy as np, tame
X = np.random.default_rng(0).normal(size=(60, 3))
study = tame.fit((X, (X[:, 0] > 0).astype(int)), trials=2, epochs=2, folds=2, out="study")
"""

BOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import numpy as np, tame
    X = np.random.default_rng(0).normal(size=(60, 3))
    study = tame.fit((X, (X[:, 0] > 0).astype(int)), trials=2, epochs=2, folds=2, out="study")
    return (study,)


@app.cell
def _(study):
    study
    return


@app.cell
def _(study):
    study.plot()
    return
"""


def test_outside_of_a_notebook_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPython", "marimo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert notebook() is None
    monkeypatch.setenv("CI", "1")
    assert isinstance(watcher_for(quiet=False), Lines)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))  # type: ignore[arg-type]
    assert notebook() is None, "IPython is loaded, but no notebook runs"
    shell = types.SimpleNamespace(kernel=None)  # of a terminal
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert notebook() is None


def test_a_program_does_not_load_what_notebooks_are_made_of() -> None:
    code = (
        "import sys, tame.app.progress as p; p.watcher_for(quiet=False); print({'IPython', 'marimo'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_output_of_marimo_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    output = types.SimpleNamespace(replace=drawn.append)
    marimo = types.SimpleNamespace(running_in_notebook=lambda: True, output=output, Html=str)
    monkeypatch.setitem(sys.modules, "marimo", marimo)  # type: ignore[arg-type]
    watcher = watcher_for(quiet=False)
    assert isinstance(watcher, NotebookDisplay)
    watcher.phase("stage 3 of 6: searching")
    assert "stage 3 of 6: searching" in drawn[-1]
    assert isinstance(watcher_for(quiet=True), Silent)
    marimo.running_in_notebook = lambda: False  # as a script
    assert not isinstance(watcher_for(quiet=False), NotebookDisplay)


def test_it_is_drawn_at_once_for_what_is_new_and_twice_a_second_for_what_goes_on() -> None:
    drawn: list[tuple[str, str | None, float | None, list[str]]] = []
    watcher = NotebookDisplay(lambda first, clock, share, below: drawn.append((first, clock, share, list(below))))
    watcher.phase("stage 3 of 6: searching")
    for done in range(1000):
        watcher.progress("features", done, 1000)
    watcher.history(made("two_classes")[1])
    watcher.note("memory is short")
    assert len(drawn) <= 5
    assert drawn[-1][3][-1] == "memory is short"
    watcher.close()
    first, clock, share, below = drawn[-1]
    assert first.startswith("TAME: stage 3 of 6: searching, 0:0")
    assert (clock, share) == (None, None)
    assert below[0].startswith("best so far: validation")
    assert below[-1] == "memory is short"


@pytest.mark.parametrize("bad", HOSTILE)
def test_text_from_outside_is_inert(bad: str) -> None:
    html = as_html(bad, bad, 0.5, [bad])
    found = read(html)
    assert found.tags <= {"div", "b", "span", "progress"}
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert inert(html) == html
    assert as_text(bad, None, [bad]) == f"{inert(bad)}\n{inert(bad)}"


@pytest.mark.slow
def test_an_executed_notebook_has_one_output_that_was_updated_and_shows_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason=NEEDS)
    cells = [CODE, "study", "study.trials().head()", "study.plot()", "print(repr(study))"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    seen = execute(book, tmp_path, monkeypatch)
    fitted, shown, frame, chart, line = (cell["outputs"] for cell in book["cells"])
    [progress] = fitted
    assert progress["output_type"] == "display_data"
    assert set(progress["data"]) == {"text/html", "text/plain"}
    assert progress["data"]["text/plain"].startswith("TAME: ")
    assert seen.count("update_display_data") > 3
    assert "best so far: validation" in progress["data"]["text/html"]
    [own] = shown
    assert "A network that" in own["data"]["text/html"]
    assert own["data"]["text/plain"].startswith("<tame study study: accuracy ")
    assert "<table" in frame[0]["data"]["text/html"]
    assert "<svg" in chart[0]["data"]["text/html"]
    assert len(line[0]["text"]) < 200
    every = [output for cell in book["cells"] for output in cell["outputs"]]
    assert not [each for each in every if each["output_type"] == "error" or each.get("name") == "stderr"]
    kinds = {kind for each in every for kind in each.get("data", {})}
    assert not [kind for kind in kinds if "widget" in kind or "javascript" in kind]


@pytest.mark.slow
def test_a_notebook_of_marimo_shows_the_progress_the_study_and_a_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("marimo", reason="needs marimo: pip install marimo")
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "book.py").write_text(BOOK, encoding="utf-8")
    command = [sys.executable, "-m", "marimo", "export", "html", "book.py", "-o", "book.html"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    page = (tmp_path / "book.html").read_text(encoding="utf-8")
    for shown in ("TAME: stage 6 of 6", "best so far: validation", "A network that", "u003Csvg"):
        assert shown in page
    assert "Traceback" not in page
