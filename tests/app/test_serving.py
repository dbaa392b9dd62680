"""The servers of docs/serve.md answer as the model predicts, on this machine only, without TAME and without torch."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processes import WITHOUT
from tame.worker.sockets import can_tell, descendants, listening

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVERS = {"serve.py": ("", "onnxruntime"), "serve_fastapi.py": ("predict", "fastapi", "uvicorn"),
           "serve_litserve.py": ("predict", "litserve")}  # fmt: skip
START_S = 90.0
LIGHT = ("onnxruntime", "numpy")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported model, rows as columns of plain values, and what it predicts for them."""
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from tame.app.model_files import export_model

    folder = tmp_path_factory.mktemp("exported")
    with zipfile.ZipFile(Path(__file__).parents[1] / "data" / "old_studies" / "table.zip") as archive:
        archive.extractall(folder)
    export_model(folder / "table", folder / "m.onnx", check=folder / "rows.csv")
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:4]
    given = {
        "age": [float(row["age"]) if row["age"] else None for row in rows], "ward": [row["ward"] for row in rows],
        "since": [datetime.fromisoformat(row["since"]).replace(tzinfo=UTC).timestamp() / 86_400 for row in rows],
        "visits": [float(row["visits"]) if row["visits"] else None for row in rows],
    }  # fmt: skip
    told = json.loads((folder / "predict.json").read_text(encoding="utf-8"))["predictions"][: len(rows)]
    return folder, given, [each["value"] for each in told]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file of the same form that is made by hand, since to export one takes long: it doubles the age."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    make, kinds = onnx.helper, onnx.TensorProto
    inputs = [make.make_tensor_value_info(n, k, ["n"]) for n, k in (("age", kinds.DOUBLE), ("ward", kinds.STRING))]
    node = make.make_node("Add", ["age", "age"], ["value"])
    graph = make.make_graph([node], "double", inputs, [make.make_tensor_value_info("value", kinds.DOUBLE, ["n"])])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    columns = [
        {"name": "age", "kind": "number", "type": "float64"},
        {"name": "ward", "kind": "category", "type": "text"},
    ]
    onnx.helper.set_model_props(model, {"tame": json.dumps({"inputs": columns, "labels": []})})
    folder = tmp_path_factory.mktemp("small")
    onnx.save(model, folder / "m.onnx")
    (folder / "rows.csv").write_text("age,ward\n3,south\n4,\n", encoding="utf-8")
    return folder, {"age": [3.0, 4.0], "ward": ["south", ""]}, [6.0, 8.0]


@contextmanager
def served(name: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The address and the process of an example that serves, without TAME and torch, once it answers."""
    port, path = free_port(), SERVERS[name][0]
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), "m.onnx", str(port)], cwd=folder, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, env=without_torch(folder), start_new_session=True,
    )  # fmt: skip
    try:
        address, until = f"http://127.0.0.1:{port}/{path}", time.monotonic() + START_S
        while asked(address, {})[0] == 0:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        yield address, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with those that it has started
        process.wait(timeout=20)


def without_torch(folder: Path) -> dict[str, str]:
    """The environment of a process that finds neither TAME nor torch."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT.format(names=("tame", "torch")), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def asked(address: str, given: object, *, host: str = "") -> tuple[int, object]:
    """The status and the answer; 0 where nobody listens."""
    request = urllib.request.Request(
        address, json.dumps(given).encode(), {"Content-Type": "application/json", **({"Host": host} if host else {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        return problem.code, None
    except (urllib.error.URLError, ConnectionError):
        return 0, None


@pytest.mark.parametrize(("name", "of"), [
    ("serve.py", "small"), pytest.param("serve.py", "exported", marks=pytest.mark.slow),
    pytest.param("serve_fastapi.py", "exported", marks=pytest.mark.slow),
    pytest.param("serve_litserve.py", "exported", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_server_says_what_the_model_predicts_to_this_machine_alone(request, name, of):
    folder, given, wanted = request.getfixturevalue(of)
    for needed in SERVERS[name][1:]:
        pytest.importorskip(needed, reason=f"{needed} is not installed, so {name} is not tried")
    with served(name, folder) as (address, process):
        status, found = asked(address, given)
        assert status == 200
        assert found["value"] == pytest.approx(wanted, rel=1e-6)
        for bad in ({}, {**given, "age": ["x"] * len(wanted)}, {**given, "age": 1.0}):
            assert 400 <= asked(address, bad)[0] < 500, "a bad request is told as one"
        assert asked(address, given)[0] == 200, "and ends nothing"
        if can_tell():
            own = listening(descendants(process))
            assert own
            assert all(each.is_local for each in own), own


def test_a_request_that_names_another_host_is_refused(small):
    with served("serve.py", small[0]) as (address, _):
        assert asked(address, small[1], host="evil.example")[0] == 403


def test_the_short_example_needs_neither_torch_nor_tame(small):
    folder, _, wanted = small
    command = [sys.executable, str(EXAMPLES / "predict_onnx.py"), "m.onnx", "rows.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=without_torch(folder))
    assert done.returncode == 0, done.stderr
    assert list(map(float, done.stdout.split())) == wanted


@pytest.mark.slow
def test_the_short_example_runs_where_neither_torch_nor_tame_is_installed(exported, tmp_path):
    folder, _, wanted = exported
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = next(path for path in (tmp_path / "env").glob("*/python*") if path.name in ("python", "python.exe"))
    made = subprocess.run([python, "-m", "pip", "install", "-q", *LIGHT], capture_output=True, check=False, text=True)
    if made.returncode:
        pytest.skip(f"{' and '.join(LIGHT)} cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    there = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False, env=own)
    assert there.returncode != 0, "torch came with it"
    command = [python, str(EXAMPLES / "predict_onnx.py"), "m.onnx", "rows.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=own)
    assert done.returncode == 0, done.stderr
    assert list(map(float, done.stdout.split()))[: len(wanted)] == pytest.approx(wanted, rel=1e-6)
