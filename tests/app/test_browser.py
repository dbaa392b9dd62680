"""A report is opened in a browser where a person sits before one, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tame.app.browser import open_page
from tame.core.files import write_text

OPEN = "import sys; from pathlib import Path; from tame.app.browser import open_page; open_page(Path(sys.argv[1]))"


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("given", [{}, {"CI": "1"}, {"DISPLAY": None}, {"piped": ""}])
def test_the_report_is_opened_where_a_person_sits_before_a_browser(
    tmp_path: Path, given: dict[str, str | None]
) -> None:
    """With a browser that writes down what it is asked to open."""
    page, seen, browser = tmp_path / "report.html", tmp_path / "seen", tmp_path / "browser"
    write_text(tmp_path, "browser", f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o700)
    own = {**os.environ, "BROWSER": f"{browser} %s", "DISPLAY": ":0", **given}
    own.pop("CI", None) if "CI" not in given else None
    environment = {name: value for name, value in own.items() if value is not None}
    terminal, other = os.openpty()
    out = subprocess.PIPE if "piped" in given else other
    subprocess.run([sys.executable, "-c", OPEN, str(page)], stdout=out, env=environment, check=True, timeout=60)
    os.close(other)
    os.close(terminal)
    assert seen.exists() == (not given)
    assert not seen.exists() or seen.read_text().strip() == page.as_uri()


def test_nothing_is_opened_without_a_terminal(tmp_path: Path) -> None:
    assert not open_page(tmp_path / "report.html")
