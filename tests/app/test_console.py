"""What is told goes to stderr, whatever stands in its place."""

from __future__ import annotations

import sys

from rich.live import Live

from tame.app.console import TalkConsole


def test_a_live_display_does_not_write_into_itself(capsys):
    """It puts itself in place of stderr, and what it draws must not come back to it."""
    console = TalkConsole()
    console._force_terminal = True
    with Live("training", console=console, auto_refresh=False):
        print("said meanwhile", file=sys.stderr)
    said = capsys.readouterr().err
    assert said.count("said meanwhile") == 1
    assert "training" in said
