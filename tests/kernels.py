"""Notebooks executed as Jupyter does, by the Python that runs the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

NEEDS = "needs a Jupyter kernel: pip install nbclient ipykernel"


def execute(book: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, *, timeout: int = 600) -> list[str]:
    """Executes a notebook in a folder, with caches of its own; returns the kinds of messages that its kernel sent.

    Whatever kernels the machine has, it is that of this Python. Raises CellExecutionError where a cell fails.
    """
    nbclient = pytest.importorskip("nbclient", reason=NEEDS)
    pytest.importorskip("ipykernel", reason=NEEDS)
    from jupyter_client.manager import AsyncKernelManager

    monkeypatch.setenv("TAME_CACHE", str(folder / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    seen: list[str] = []

    class Own(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

    class Client(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        def process_message(self, msg: dict[str, object], cell: object, cell_index: int) -> object:
            seen.append(str(msg["msg_type"]))
            return super().process_message(msg, cell, cell_index)

    where = {"metadata": {"path": str(folder)}}
    Client(book, timeout=timeout, resources=where, kernel_manager_class=Own).execute()
    return seen
