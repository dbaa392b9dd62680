"""The pages in the browser, started from the command line: a process of its own, beside those that train."""

from __future__ import annotations

import importlib.util
import shlex
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
SHOWS = (sys.executable, "-P", "-m", "tame.app.looking")
EDITS = (sys.executable, "-P", "-m", "tame.app.editing")
LESSONS = (sys.executable, "-P", "-m", "tame.app.lessons")
INSTALL = "pip install 'tame-ml[ui]'"
GET = f"the pages need two small packages more: {INSTALL}"


def show_pages(folder: Path, *, port: int, browser: bool, read_only: bool) -> None:
    """Serves the pages of a folder of studies until Ctrl-C. Raises UsageError without the packages or the folder."""
    require(_is_installed(), GET)
    require(folder.is_dir() or folder == Path("runs"), f"the folder {folder} does not exist")
    from tame.pages.serve import serve
    from tame.pages.server import Settings

    settings = Settings(
        folders=(folder,), key=None if read_only else own_key(Silent()), store_of=_known_store, is_read_only=read_only,
        fit=() if is_study(folder) else FIT, answers=ANSWERS, shows=SHOWS, edits=EDITS,
        lessons=LESSONS, progress=progress_folder(),
    )  # fmt: skip
    serve(settings, port=port, browser=browser and has_display(), say=_say)


def how_to_watch(study: Path) -> str:
    """How to look at a study in the browser: the command, after what it needs where that is missing."""
    near = study.relative_to(Path.cwd()) if study.is_relative_to(Path.cwd()) else study
    command = shlex.join(["tame", "watch", str(near)])
    return f"Look at it in the browser: {command if _is_installed() else f'{INSTALL}, then {command}'}"


def _is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in NEEDED)


def _known_store(folder: Path) -> str | None:
    """The address of a study's server where this user has named it; RefusedError where they have not."""
    return store_of(folder, None)


def _say(text: str) -> None:
    raw(sys.stdout).write(f"{text}\n")
    raw(sys.stdout).flush()
