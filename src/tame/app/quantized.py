"""`--int8`: the weights of an ONNX file in 8 bits, and what that costs, told beside what it saves. Needs `onnx`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx

from tame.core.errors import RefusedError, require
from tame.core.exported import Quantized
from tame.evaluate.compare import paired_shares
from tame.kinds.onnx import Asked
from tame.parts.network import Network
from tame.parts.traced_modules import quiet
from tame.report.delivered_section import of_int8

OPERATORS = ["MatMul", "Gemm", "Conv"]  # whose weights become whole numbers; their inputs do so as they come
FIRST = 20  # calls that are timed
ROUNDS = 3  # of which the quickest counts
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def in_8_bits(content: bytes) -> bytes:
    """An ONNX file with weights in 8 bits: each times a scale of its matrix, and inputs scaled as they come."""
    with tempfile.TemporaryDirectory(prefix="tame-int8-") as folder, quiet():
        from onnxruntime.quantization import QuantType, quantize_dynamic  # speaks to the root logger when it is loaded

        made = Path(folder) / "model.onnx"
        # Without a sign: with one, sums of products saturate on processors without instructions for them.
        own = onnx.load_from_string(content)
        quantize_dynamic(own, made, op_types_to_quantize=OPERATORS, weight_type=QuantType.QUInt8)
        found = onnx.load_from_string(made.read_bytes())
    kept = [each for each in found.metadata_props if each.key != "onnx.infer"]
    del found.metadata_props[:]
    found.metadata_props.extend(kept)
    return bytes(found.SerializeToString())


def require_judged(network: Network, examples: Asked) -> None:
    """Raises UsageError where nothing shows whether 8 bits are good enough."""
    require(bool(network.labels), "--int8 is judged by the accuracy it leaves; this model predicts a number")
    said = "--int8 is judged by the study's validation examples, each of one class; leave out --check"
    require(examples.truth is not None, said)


def quantized(network: Network, examples: Asked, *, before: Run, after: Run, sizes: tuple[int, int]) -> Quantized:
    """What 8 bits change. before, after: the files, asked; sizes: of both in bytes.

    Raises RefusedError where the accuracy falls by more than so many examples leave to chance, and for a value that
    is not finite.
    """
    assert examples.truth is not None
    truth = np.array(network.labels, dtype=object)[examples.truth]
    first, other = (_labels(run, examples) for run in (before, after))
    found = paired_shares(other == truth, first == truth)
    about = Quantized(
        n=len(truth), changed=int((first != other).sum()), before=float((first == truth).mean()),
        after=float((other == truth).mean()), value=found.value, low=found.low, high=found.high,
        times=seconds(after, examples) / seconds(before, examples), saved=1 - sizes[1] / sizes[0],
    )  # fmt: skip
    if about.high < 0:
        raise RefusedError(f"no file was written: with weights in 8 bits {of_int8(about, examples.what)}")
    return about


def _labels(run: Run, examples: Asked) -> np.ndarray:
    calls = [list(run(feeds).values()) for feeds in examples.feeds]
    whole = all(np.isfinite(call[1]).all() for call in calls)
    if not whole:
        raise RefusedError("no file was written: with weights in 8 bits some probabilities are not finite numbers")
    return np.concatenate([call[0] for call in calls])


def seconds(run: Run, examples: Asked) -> float:
    """Processor seconds that a file takes for some of these, the quickest of several rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for feeds in examples.feeds[:FIRST]:
            run(feeds)
        found.append(time.process_time() - begun)
    return max(min(found), 1e-9)
