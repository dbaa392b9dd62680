"""`--int8` is judged by the accuracy that it leaves, paired on the validation examples, and says what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from made_rows import made_network, made_table  # noqa: E402
from tame.app.model_files import onnx_runner  # noqa: E402
from tame.app.quantized import in_8_bits, quantized, require_judged  # noqa: E402
from tame.core.errors import RefusedError, UsageError  # noqa: E402
from tame.core.exported import Exported, Parity  # noqa: E402
from tame.kinds.tables.onnx_table import asked, write  # noqa: E402
from tame.parts.onnx_nodes import graph_of  # noqa: E402
from tame.report.delivered_section import of_export  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

TABLE = made_table(200)
NETWORK = made_network({"model.width": 64})
ROWS = asked(NETWORK, TABLE, what="validation rows")
TRUTH = replace(ROWS, truth=ROWS.outputs.argmax(axis=1))


@pytest.fixture(scope="module")
def files():
    content = graph_of(NETWORK, write).SerializeToString()
    return content, in_8_bits(content)


def test_weights_take_a_quarter_and_what_that_changes_is_told(files):
    content, less = files
    matrices = [
        each for each in onnx.load_from_string(less).graph.initializer if each.data_type == onnx.TensorProto.UINT8
    ]
    layers = [each.weight.numel() for each in NETWORK.module.modules() if isinstance(each, nn.Linear)]
    assert sum(len(each.raw_data) for each in matrices) == sum(layers)
    assert [each.key for each in onnx.load_from_string(less).metadata_props] == ["tame"]
    found = quantized(
        NETWORK, TRUTH, before=onnx_runner(content), after=onnx_runner(less), sizes=(len(content), len(less))
    )
    assert (found.n, found.before) == (200, 1.0)
    assert found.after == 1 - found.changed / 200
    assert found.low <= found.value <= found.high
    assert 0 < found.saved < 0.75
    parity = Parity(what="validation rows", n=200, labels_differ=found.changed, largest=0.01)
    about = Exported(
        file="m.onnx", sha256="", size_bytes=len(less), model="", task="multiclass", runtime="onnxruntime 1",
        parity=(parity,), int8=replace(found, times=1.26),
    )  # fmt: skip
    said = of_export(about)
    assert f"with weights in 8 bits: {found.changed} of 200 validation rows have another label" in said
    assert "it takes 1.3 times as long (onnxruntime 1)" in said


def test_no_file_is_written_where_the_accuracy_falls_beyond_chance(files):
    content, _ = files
    before = onnx_runner(content)

    def wrong(share):
        def run(feeds):
            said = dict(before(feeds))
            label = said["label"].copy()
            label[: int(share * len(label))] = "never"
            return {**said, "label": label}

        return run

    few = quantized(NETWORK, TRUTH, before=before, after=wrong(0.01), sizes=(2, 1))
    assert few.changed == 2
    said = r"no file was written: with weights in 8 bits 40 of .* accuracy on them is 0\.800 instead of 1\.000, -0\.200"
    with pytest.raises(RefusedError, match=said):
        quantized(NETWORK, TRUTH, before=before, after=wrong(0.2), sizes=(2, 1))


def test_probabilities_that_are_not_finite_are_refused(files):
    before = onnx_runner(files[0])
    with pytest.raises(RefusedError, match="not finite"):
        quantized(
            NETWORK, TRUTH, before=before, sizes=(2, 1),
            after=lambda feeds: {**before(feeds), "probabilities": np.full((1, 3), np.nan)},
        )  # fmt: skip


def test_without_a_truth_or_classes_there_is_no_judgement():
    with pytest.raises(UsageError, match="leave out --check"):
        require_judged(NETWORK, ROWS)
    with pytest.raises(UsageError, match="this model predicts a number"):
        require_judged(made_network(labels=()), TRUTH)
    require_judged(NETWORK, TRUTH)
