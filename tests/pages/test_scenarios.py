"""Each promise of the pages has a test, and none of a browser escapes what watches them all."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLES = Path(__file__).with_name("README.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", TABLES, flags=re.M)
BAD = re.findall(r"^\| ([^|]+) \| (`[^|]+) \|$", TABLES, flags=re.M)
OF_PAGES = sorted(Path(__file__).parent.glob("test_*.py"))
FREE = {"test_hostile.py", "test_scenarios.py"}  # whose pages are not ours
OWN = {
    "test_teach_in_browser.py": 1,  # nothing watches it: a server is killed, with all its errors
    # A browser that all lessons share, whose pages are watched there; two more see a server end and a study deleted.
    "test_lessons_in_browser.py": 4,
}


@cache
def defined():
    """The names of all tests."""
    texts = [path.read_text() for path in TESTS.rglob("test_*.py")]
    return {name for text in texts for name in re.findall(r"^def (test_\w+)\(", text, flags=re.M)}


def test_all_scenarios_are_in_the_table_once():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 19))


@pytest.mark.parametrize(("number", "tests"), [(number, tests) for number, _, tests in ROWS])
def test_a_scenario_has_its_tests_or_says_that_it_has_none_yet(number, tests):
    named = re.findall(r"`(test_\w+)`", tests)
    assert named or "not yet" in tests
    assert set(named) - defined() == set()


@pytest.mark.parametrize(("what", "tests"), BAD)
def test_what_is_not_as_it_should_be_has_its_tests(what, tests):
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) - defined() == set()


@pytest.mark.parametrize("path", [path for path in OF_PAGES if path.name not in FREE], ids=lambda path: path.name)
def test_every_page_of_a_browser_is_watched(path):
    """A context of its own would see no listener; `bypass_csp` would see no rule."""
    called = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    own = [node.lineno for node in called if node.attr in ("new_context", "launch", "connect_over_cdp")]
    assert len(own) == OWN.get(path.name, 0), own
    assert "bypass_csp" not in path.read_text()
