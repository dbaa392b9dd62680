"""A network as a program of torch says what it says in TAME: written in the same operators as the ONNX file."""

from __future__ import annotations

import ast
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from made_rows import CLASSES, made_network, made_table, together
from tame.app.model_files import parity
from tame.kinds.tables.onnx_table import asked, extremes, write
from tame.parts.torch_operators import FIXED, OPS, TorchOperators
from tame.parts.torch_programs import program_file, program_runner

pytestmark = pytest.mark.usefixtures("one_thread")

SOURCE = Path(__file__).parents[2] / "src" / "tame"
TABLE = made_table(60)


def compared(network, write, read, extremes):
    content = program_file(network, write, read.feeds[0])
    run = program_runner(content)
    found = [parity(run, network, each) for each in (read, *extremes(network, read))]
    assert max(each.largest for each in found) < 1e-5
    assert max(each.distance for each in found) < 1e-4
    return content


@pytest.mark.slow
@pytest.mark.parametrize("labels", [CLASSES, ()], ids=len)
def test_a_program_of_a_table_says_the_same_whatever_is_given(labels):
    numbers = [{"table.scaling": scaling, "table.numbers": own} for scaling, own in
               (("quantile", "piecewise"), ("standard", "periodic"))]  # fmt: skip
    members = [made_network({**each, "seed": seed}, labels) for seed, each in enumerate(numbers)]
    network = together(*members)
    content = compared(network, write, asked(network, TABLE, what="rows"), extremes)
    texts = {"tame": ""}
    torch.export.load(BytesIO(content), extra_files=texts)
    told = {each["name"]: each for each in json.loads(texts["tame"])["inputs"]}
    assert (told["town"]["type"], told["town"]["missing"], told["town"]["unseen"]) == ("int64", -1, -2)
    assert told["day"]["type"] == "float64"


def test_every_operator_that_a_model_is_written_in_is_known_to_torch():
    found = set()
    for file in [*SOURCE.glob("kinds/*/onnx_*.py"), *SOURCE.glob("parts/onnx_networks.py"),
                 *SOURCE.glob("parts/onnx_encoders.py"), *SOURCE.glob("parts/onnx_nodes.py")]:  # fmt: skip
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "op":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(first.value)
    assert len(found) > 40
    assert found - OPS.keys() - FIXED.keys() == set()


def test_equal_values_are_computed_once():
    operators = TorchOperators(["x"])
    x = operators.input("x", 1, ["n"])
    one = operators.constant(np.array(1, np.float32))
    first = operators.op("Add", x, one)
    assert operators.op("Add", x, operators.constant(np.array(1, np.float32))) == first
    assert operators.output("x", first, 1, ["n"]) == "x_"
    assert operators({"x": torch.zeros(3)})["x_"].tolist() == [1, 1, 1]
