"""Packages of two builds of torch beside each other are named, and other failures are not taken for that."""

from __future__ import annotations

import pytest

from tame.core.errors import UsageError
from tame.kinds.kind import referred
from tame.parts.beside_torch import found_misfit

UNFIT = 'exec(compile("raise {}", "x", "exec"), {{"__name__": "{}.ops"}})\n'  # what a module of that name raises


def loaded(tmp_path, monkeypatch, name, text):
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return referred(f"{name}:anything")


@pytest.mark.parametrize("problem", ["RuntimeError('no operator nms')", "OSError('no libcudart')"])
def test_a_torchvision_for_another_torch_is_named_with_what_to_do(tmp_path, monkeypatch, problem):
    with pytest.raises(UsageError, match=r"torchvision .*no .*install torch and torchvision together"):
        loaded(tmp_path, monkeypatch, "needs_pictures", UNFIT.format(problem, "torchvision"))


def test_a_missing_torchvision_is_named_too(tmp_path, monkeypatch):
    text = "raise ModuleNotFoundError(\"No module named 'torchvision'\", name='torchvision')\n"
    with pytest.raises(UsageError, match=r"No module named 'torchvision'.; install torch and torchvision"):
        loaded(tmp_path, monkeypatch, "lacks_pictures", text)


@pytest.mark.parametrize("problem", ["RuntimeError('mine')", "ImportError('mine')", "OSError('mine')"])
def test_a_failure_of_anything_else_stays_what_it_is(tmp_path, monkeypatch, problem):
    with pytest.raises((RuntimeError, ImportError, OSError), match="mine"):
        loaded(tmp_path, monkeypatch, "fails_alone", f"raise {problem}\n")


def test_what_is_installed_fits():
    assert found_misfit() == ""
