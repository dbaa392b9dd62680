"""Registries, and the tree of errors."""

from __future__ import annotations

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


def test_errors_form_one_tree_with_exit_codes_of_their_own():
    codes = [kind.exit_code for kind in TameError.__subclasses__() if kind.__module__ == "tame.core.errors"]
    assert all(1 <= code < 10 for code in codes)
    with pytest.raises(RefusedError, match="no"):
        require(False, "no", error=RefusedError)
    require(True, "never said")
    assert unknown("thing", "x", []) == "no thing named 'x' (known: none)"
    assert unknown("search", "GRIDD", ["grid", "tpe"]).startswith("no search named 'GRIDD'; did you mean 'grid'? (")
    assert unknown("class", "Bee", ["BEE", "Be"]).startswith("no class named 'Bee'; did you mean 'Be'? (")
