"""The examples run as they stand, each in a process and a folder of its own, and print what they promise."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kernels import NEEDS, execute
from made_rows import together
from made_text_models import ENCODED, SAID, TFIDF, WORDS
from made_text_models import made_network as made_text_network
from made_texts import made_encoder
from processes import WITHOUT
from tame.app.model_files import export_model
from tame.app.predict import predict_paths
from tame.parts.encoders import open_encoder
from tame.parts.network import write_network

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVERS = ("serve.py", "serve_fastapi.py", "serve_litserve.py")  # which test_serving.py asks
LIMIT_S = 1800  # for a machine that others use too: the exercise needs about two minutes of one processor

pytestmark = pytest.mark.slow


def run_example(name: str, folder: Path, *words: str, without: tuple[str, ...] = (), threads: int = 0) -> str:
    """What the example prints, when it is run in this folder. without: packages that it does not find; threads: of
    torch, 0: as many as it takes by itself."""
    variables = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    variables |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
    if without:
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(WITHOUT.format(names=without), encoding="utf-8")
        variables["PYTHONPATH"] = os.pathsep.join([str(folder / "site"), variables.get("PYTHONPATH", "")])
    command = [sys.executable, str(EXAMPLES / name), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=LIMIT_S, check=False,
        env={**variables, "TAME_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    tested = set(re.findall(r'run_example\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested | set(SERVERS)


def test_a_module_of_ones_own_is_searched_scored_and_used(tmp_path):
    score, winner, first = run_example("own_module.py", tmp_path).splitlines()
    value, low, high = map(float, re.findall(r"\d\.\d+", score))
    assert low <= value <= high
    assert value > 0.9  # a digit guessed without looking: 0.1
    width, dropout, lr = map(float, re.findall(r": ([0-9.e-]+)", winner.removeprefix("winner:")))
    assert 16 <= width <= 256
    assert 0 <= dropout <= 0.5
    assert 1e-3 <= lr <= 1e-1
    right = sum(said == str(digit) for digit, said in enumerate(re.findall(r"'(\d)'", first)))
    assert right >= 8  # the first ten digits are 0 to 9
    assert (tmp_path / "runs" / "arrays-0001" / "report.html").is_file()


def test_two_phases_are_compared_with_one(tmp_path):
    one, two, compared = run_example("phases.py", tmp_path).splitlines()
    found = []
    for line, title in ((one, "Adam throughout"), (two, "Adam, then momentum")):
        assert line.startswith(f"{title}: log loss ")
        value, low, high = map(float, re.findall(r"\d\.\d+", line))
        assert low <= value <= high < 0.66  # 0.66 nats: guessing by the shares of the two classes
        found.append((low, high))
    apart = found[0][1] < found[1][0] or found[1][1] < found[0][0]
    assert compared.startswith("the intervals do not overlap" if apart else "the intervals overlap")


def test_an_exported_model_predicts_without_tame_and_without_torch(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    with zipfile.ZipFile(Path(__file__).parents[1] / "data" / "old_studies" / "table.zip") as archive:
        archive.extractall(tmp_path)
    export_model(tmp_path / "table", tmp_path / "m.onnx", check=tmp_path / "rows.csv")
    said = run_example("predict_onnx.py", tmp_path, "m.onnx", "rows.csv", without=("tame", "torch", "pandas"))
    wanted = [each["value"] for each in json.loads((tmp_path / "predict.json").read_text())["predictions"]]
    assert list(map(float, said.split())) == pytest.approx(wanted, rel=1e-6)


def test_an_exported_model_of_texts_predicts_without_tame_and_without_torch(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("tokenizers", reason="the extra text is not installed")
    encoder = open_encoder(str(made_encoder(tmp_path / "encoder")))
    network = together(*(made_text_network(each, encoder=encoder) for each in (ENCODED, WORDS, TFIDF)))
    write_network(network, tmp_path / "model")
    with open(tmp_path / "rows.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["review", "stars", "note"])
        for place in range(20):
            odd = ("\u1e9e \u0130 cafe\u0301", "", "two\nlines", " spaces ", "\U0001f600")[place % 5]
            out.writerow([odd and f"{SAID[place % 4]} {odd}", "" if place == 3 else place % 5, SAID[place % 3]])
    export_model(tmp_path / "model", tmp_path / "m.onnx", check=tmp_path / "rows.csv")
    said = run_example("predict_onnx_texts.py", tmp_path, "m.onnx", "rows.csv", without=("tame", "torch", "pandas"))
    wanted = predict_paths(tmp_path / "model", [tmp_path / "rows.csv"]).predictions
    assert said.split()[::2] == [each.label for each in wanted]
    assert list(map(float, said.split()[1::2])) == pytest.approx([each.probability for each in wanted], abs=1e-4)


# What TAME's checks say of the faults that are planted in the exercise, and the doctor of a training that is too long.
FOUND = (
    r"the accuracy is 0\.\d+, but the confusion matrix gives 0\.\d+",
    r"promised too much by: [+-]",
    r"pairs of copies; the split divides [1-9]\d*, by groups 0",
    r"TAME: the model ends in Softmax",
    r"TAME202 the first loss is",
    r"against overfitting of trial 0: validation loss .\d",  # what the doctor tried
)
NETWORKS = ("from scratch", "pretrained")
INTERVAL = re.compile(r"([+-]?\d\.\d{3}) \(([+-]?\d\.\d{3}) to ([+-]?\d\.\d{3}), \d+ pictures\)")


def require_exercised(lines: Sequence[str]) -> None:
    """Each planted fault was found by its check, and each conclusion has an interval that holds its value."""
    text = "\n".join(lines)
    assert [each for each in FOUND if not re.search(each, text)] == []
    told = [tuple(map(float, found)) for found in INTERVAL.findall(text)]
    assert len(told) > 20
    assert all(low <= value <= high for value, low, high in told)
    assert not re.findall(r"^(?:accuracy|log loss)(?!.*\(.* to .*\)).*", text, re.MULTILINE), (
        "a number without interval"
    )
    scratch, pretrained = (float(re.findall(rf"^{name}: (\S+)", text, re.MULTILINE)[0]) for name in NETWORKS)
    assert pretrained > scratch > 0.5  # one of two classes, guessed without looking


def test_the_exercise_runs_as_a_script_of_marimo(tmp_path):
    pytest.importorskip("marimo", reason="needs marimo: pip install marimo")
    # Its networks are tiny: on a busy machine two threads wait for each other most of the time.
    require_exercised(run_example("bees_vs_wasps.py", tmp_path, threads=1).splitlines())


def test_the_exercise_runs_as_a_notebook_of_jupyter(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason=NEEDS)
    text = (EXAMPLES / "bees_vs_wasps.ipynb").read_text(encoding="utf-8")
    kept = json.loads(text)
    assert not [cell for cell in kept["cells"] if cell.get("outputs") or cell.get("execution_count")]
    book = nbformat.reads(text, as_version=4)
    nbformat.validate(book)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    execute(book, tmp_path, monkeypatch, timeout=LIMIT_S)
    outputs = [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]
    require_exercised([line for each in outputs if "text" in each for line in each["text"].splitlines()])
    shown = [each["data"]["text/html"] for each in outputs if "text/html" in each.get("data", {})]
    screens = [html for html in shown if "A network that" in html]
    assert len(screens) == 2  # of the first study, and of the pretrained one
    assert all(len(html.encode()) < 30_000 and "<script" not in html for html in shown)
    assert [html for html in shown if "<svg" in html]
