"""The pages in the browser, started from the command line: a process of its own, beside those that train."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tame.app.browser import has_display
from tame.app.console import raw
from tame.app.learn import progress_folder
from tame.app.own_key import own_key
from tame.app.own_stores import store_of
from tame.core.errors import require
from tame.study.record import is_study
from tame.study.state import Silent

NEEDED = ("starlette", "uvicorn")
FIT = (sys.executable, "-P", "-m", "tame.app.cli", "fit")
ANSWERS = (sys.executable, "-P", "-m", "tame.app.answering")
LESSONS = (sys.executable, "-P", "-m", "tame.app.lessons")
GET = "the pages need two small packages more: pip install 'tame-ml[ui]'"


def show_pages(folder: Path, *, port: int, browser: bool, read_only: bool) -> None:
    """Serves the pages of a folder of studies until Ctrl-C. Raises UsageError without the packages or the folder."""
    require(all(importlib.util.find_spec(name) for name in NEEDED), GET)
    require(folder.is_dir() or folder == Path("runs"), f"the folder {folder} does not exist")
    from tame.pages.serve import serve
    from tame.pages.server import Settings

    settings = Settings(
        folders=(folder,), key=None if read_only else own_key(Silent()), store_of=_known_store, is_read_only=read_only,
        fit=() if is_study(folder) else FIT, answers=ANSWERS,
        lessons=LESSONS, progress=progress_folder(),
    )  # fmt: skip
    serve(settings, port=port, browser=browser and has_display(), say=_say)


def _known_store(folder: Path) -> str | None:
    """The address of a study's server where this user has named it; RefusedError where they have not."""
    return store_of(folder, None)


def _say(text: str) -> None:
    raw(sys.stdout).write(f"{text}\n")
    raw(sys.stdout).flush()
