"""Writes examples/bees_vs_wasps.ipynb from its marimo twin, examples/bees_vs_wasps.py, without outputs.

The twin is the one that is edited: each cell of it is a function, whose body becomes a cell of the notebook.
"""

from __future__ import annotations

import ast
import json
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "examples" / "bees_vs_wasps.py"
PAGE = SOURCE.with_suffix(".ipynb")
OWN = ("import marimo as mo",)  # cells that only marimo needs


def notebook(source: str) -> dict[str, object]:
    """The notebook of a marimo file, in Jupyter's format 4.5, without outputs."""
    cells = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and any("app.cell" in ast.unparse(each) for each in node.decorator_list):
            text = _body(source, node)
            if text not in OWN:
                cells.append(_cell(f"cell-{len(cells) + 1}", text))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _body(source: str, node: ast.FunctionDef) -> str:
    """What a cell holds: its lines up to the `return`, which names what other cells may use."""
    own = [each for each in node.body if not isinstance(each, ast.Return)]
    if not own:
        return ""
    lines = source.splitlines()[node.body[0].lineno - 1 : own[-1].end_lineno]
    after = source.splitlines()[node.lineno : own[0].lineno - 1]  # comments before the first statement
    lead = [each for each in after if each.lstrip().startswith("#")]
    return textwrap.dedent("\n".join([*lead, *lines])).strip()


def _cell(name: str, text: str) -> dict[str, object]:
    """Text that `mo.md` shows becomes text of the notebook, everything else code."""
    [*_, last] = ast.parse(text).body
    call = last.value if isinstance(last, ast.Expr) else None
    if isinstance(call, ast.Call) and ast.unparse(call.func) == "mo.md":
        shown = textwrap.dedent(ast.literal_eval(call.args[0])).strip()
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(shown)}
    code = {"cell_type": "code", "execution_count": None, "id": name, "metadata": {}, "outputs": []}
    return {**code, "source": _lines(text)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def page() -> str:
    """The whole file."""
    return json.dumps(notebook(SOURCE.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
