"""Opens a report in a browser, where a person sits before one."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from tame.app.console import raw


def open_page(page: Path) -> bool:
    """Opens a page in a browser if stdout is a terminal with a display; returns whether it was opened."""
    return has_display() and webbrowser.open(page.resolve().as_uri())


def has_display() -> bool:
    """Whether stdout is a terminal with a display, where somebody may want a browser."""
    watched = raw(sys.stdout).isatty() and "CI" not in os.environ
    return watched and (sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)))
