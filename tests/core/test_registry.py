"""Registries, and the tree of errors."""

from __future__ import annotations

import sys

import pytest

from tame.core.errors import RefusedError, TameError, UsageError, require, unknown
from tame.core.registry import Registry


def test_a_registry_gives_what_was_added_and_refuses_the_rest():
    things: Registry[int] = Registry("thing")
    assert things.add("two")(2) == 2
    things.add("one")(1)
    assert things.names() == ("one", "two")
    assert things.get("one") == 1
    with pytest.raises(UsageError, match="thing 'one' is registered already"):
        things.add("one")(3)
    with pytest.raises(UsageError, match=r"no thing named 'tow'; did you mean 'two'\? \(known: one, two\)"):
        things.get("tow")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts packages with entry points of the group tests.things where Python looks for them."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def put(package, code, *, name=""):
        (tmp_path / f"{package}_of_tests.py").write_text(code)
        info = tmp_path / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[tests.things]\n{name or package} = {package}_of_tests:PART\n")

    yield put
    for name in [name for name in sys.modules if name.endswith("_of_tests")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "why"),
    [("raise RuntimeError('no')", "RuntimeError: no"), ("raise SystemExit(3)", "SystemExit: 3"),
     ("PART = 'text'", "a thing must be a number, not 'text'")],
)  # fmt: skip
def test_each_call_names_the_package_that_fails_and_no_other(code, why, install):
    install("good", "PART = 1")
    install("bad", code)
    install("later", "PART = 2")

    def check(name, part):
        require(isinstance(part, int), f"a thing must be a number, not {part!r}")

    things: Registry[int] = Registry("thing", group="tests.things", check=check)
    for _ in range(3):
        with pytest.raises(UsageError, match=f"the thing 'bad' of the package bad cannot be loaded: {why}"):
            things.names()


def test_a_name_that_two_packages_take_is_refused_each_time(install):
    install("first", "PART = 1", name="same")
    install("second", "PART = 2", name="same")
    things: Registry[int] = Registry("thing", group="tests.things")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"the thing 'same' of the package .* 'same' is registered already"):
            things.get("other")


def test_a_stop_while_a_package_loads_is_a_stop(install):
    install("bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry("thing", group="tests.things").names()


def test_a_part_that_no_package_adds_is_said_to_come_from_one():
    with pytest.raises(UsageError, match=r"no thing named 'x' \(known: none\); install the package that adds it"):
        Registry("thing", group="tests.things").get("x")


def test_errors_form_one_tree_with_exit_codes_of_their_own():
    codes = [kind.exit_code for kind in TameError.__subclasses__() if kind.__module__ == "tame.core.errors"]
    assert all(1 <= code < 10 for code in codes)
    with pytest.raises(RefusedError, match="no"):
        require(False, "no", error=RefusedError)
    require(True, "never said")
    assert unknown("thing", "x", []) == "no thing named 'x' (known: none)"
    assert unknown("search", "GRIDD", ["grid", "tpe"]).startswith("no search named 'GRIDD'; did you mean 'grid'? (")
    assert unknown("class", "Bee", ["BEE", "Be"]).startswith("no class named 'Bee'; did you mean 'Be'? (")
