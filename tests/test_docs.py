"""The pages: examples run as they are written, the site builds without a warning, and it holds what there is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import re
import sys
from pathlib import Path

import pytest

import tame
from tame.app import cli
from tame.core.codes import CODES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tame"
DOCS = ROOT / "docs"
NAMES = [name for name in tame.__all__ if name != "__version__"]
# Studies are made by the first of these, and told of by the others.
FIRST = "fit"


def examples_of(thing: object, name: str) -> list[doctest.DocTest]:
    """The examples in a docstring, and for a class in those of its own methods."""
    found = doctest.DocTestFinder(exclude_empty=True, recurse=inspect.isclass(thing)).find(thing, name, globs={})
    return [each for each in found if each.examples]


def run(tests: list[doctest.DocTest], names: dict[str, object]) -> str:
    """What went wrong, "" if all came out as written. names: what earlier examples have defined."""
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF)
    for test in tests:
        test.globs = names  # which the runner changes, so that an example may go on where another ended
        runner.run(test, out=said.write, clear_globs=False)
    return said.getvalue()


@pytest.fixture(scope="module")
def after_the_first(tmp_path_factory):
    """The folder in which the examples run, and the names that the first one has defined."""
    folder, names = tmp_path_factory.mktemp("examples"), {"tame": tame}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(examples_of(getattr(tame, FIRST), FIRST), names) == ""
    return folder, names


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_comes_out_as_written(name, after_the_first, monkeypatch):
    folder, names = after_the_first
    if name == "to_optuna":
        pytest.importorskip("optuna", reason="needs Optuna, which is an extra")
    monkeypatch.chdir(folder)
    tests = examples_of(getattr(tame, name), name)
    assert tests, f"the docstring of tame.{name} has no example"
    assert name == FIRST or run(tests, dict(names)) == ""


WITH_EXAMPLES = sorted(
    path for path in SOURCE.rglob("*.py") if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_the_examples_of_all_other_docstrings_come_out_as_written(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts))
    public = {id(getattr(tame, name)) for name in NAMES}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        thing = getattr(module, test.name.removeprefix(f"{module.__name__}.").split(".")[0], None)
        if test.examples and id(thing) not in public:
            assert run([test], vars(module).copy()) == ""


def test_an_example_that_does_not_come_out_is_found():
    def wrong():
        """
        >>> 1 + 1
        3
        """

    assert "- 3\n    + 2" in run(examples_of(wrong, "wrong"), {})


# The site


@pytest.fixture(scope="module")
def makers():
    """The scripts that make the pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module("make_site"), importlib.import_module("make_pages")
        for name in ("make_site", "make_pages", "make_parts", "make_findings", "make_notebook"):
            sys.modules.pop(name, None)


def test_the_made_pages_hold_every_name_command_option_and_finding(makers):
    _, pages = makers
    reference, commands = pages.reference_page(), pages.commands_page()
    found = importlib.import_module("make_findings").page()
    assert [name for name in NAMES if f"}} tame.{name}" not in reference] == []
    assert "'" not in re.findall(r"py:function} tame[.]fit(.*)", reference)[0], "annotations are shown without quotes"
    named = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    assert [name for name in named if f"## tame {name}\n" not in commands] == []
    assert "`--backbone NAME`" in commands
    assert "`--details`" in commands
    assert [name for name, code in CODES.items() if f"### {code.id} {name}\n" not in found] == []


def test_a_public_name_that_the_reference_lacks_is_an_error(makers, monkeypatch):
    _, pages = makers
    monkeypatch.setattr(tame, "__all__", [*tame.__all__, "forgotten"])
    with pytest.raises(KeyError, match="forgotten"):
        pages.reference_page()


def test_examples_become_blocks_of_code(makers):
    _, pages = makers

    def shown():
        """What it is.

        >>> for each in range(2):
        ...     print(each)
        0
        1
        >>> 1 + 1
        2
        """

    block = "```python\n>>> for each in range(2):\n...     print(each)\n0\n1\n>>> 1 + 1\n2\n```"
    assert pages._markdown(shown).strip() == f"What it is.\n\n{block}"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_network(makers, tmp_path):
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install tame-ml[docs]")
    pytest.importorskip("pydata_sphinx_theme", reason="needs the theme: pip install tame-ml[docs]")
    make_site, _ = makers
    make_site.build(tmp_path / "site", tmp_path / "work")
    pages = {path.relative_to(tmp_path / "site").as_posix(): path for path in (tmp_path / "site").rglob("*.html")}
    for page in DOCS.glob("*.md"):
        assert f"docs/{page.stem}.html" in pages
    assert {"index.html", "reference.html", "command-line.html"} <= pages.keys()
    loads = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["'](?:https?:)?//[^"']*""")
    text = {name: path.read_text(encoding="utf-8") for name, path in pages.items()}
    assert {name: found for name, page in text.items() if (found := loads.findall(page))} == {}
    assert 'id="tame.fit"' in text["reference.html"]


@pytest.mark.slow
def test_a_link_that_leads_nowhere_is_an_error(makers, tmp_path, monkeypatch, capfd):
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install tame-ml[docs]")
    make_site, _ = makers
    planted = {**make_site.MADE, "findings.md": lambda: "# Findings\n\n[gone](docs/gone.md)\n"}
    monkeypatch.setattr(make_site, "MADE", planted)
    with pytest.raises(make_site.subprocess.CalledProcessError):
        make_site.build(tmp_path / "site", tmp_path / "work")
    assert "gone" in capfd.readouterr().err
