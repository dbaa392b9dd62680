"""`tame export --onnx` and `--pt2`: a delivered model as one file that runs without TAME, if it says the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tame.app.own_stores import store_of
from tame.app.own_studies import is_own
from tame.app.predict import open_model
from tame.core.errors import RefusedError, StorageError, UsageError, require
from tame.core.exported import Exported, Parity, Quantized, keep_export, read_exports
from tame.core.files import require_new, write_bytes, write_text
from tame.core.result import Result
from tame.core.sums import WEIGHTS, sha256_of
from tame.evaluate.score import softmax
from tame.kinds.kind import Known
from tame.kinds.onnx import CHECK, Asked, OnnxForm, onnx_form, require_onnx
from tame.report.model_card import model_card
from tame.study.delivered import MODEL
from tame.study.delivery import TIE, TOLERANCE, add_card
from tame.study.record import is_study
from tame.study.session import reopen
from tame.study.state import Silent, read_state

if TYPE_CHECKING:
    from torch import nn

    from tame.core.recipe import Value
    from tame.parts.network import Build, Network

NOTE = ".json"  # behind the file's name
Format = Literal["onnx", "pt2"]
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # from inputs to outputs, in their order


def export_model(
    study: Path, file: Path, *, to: Format = "onnx", int8: bool = False, check: object = None,
    build: Build | None = None, store: str | None = None,
) -> Exported:  # fmt: skip
    """Writes the delivered model as a file, and what it was compared on as JSON beside it and for the report.

    to: an ONNX file, or a program of torch.export; int8: with weights in 8 bits, of an ONNX file; check: a file or
    folder to compare on, or examples as `predict` takes them from Python, in place of the study's validation examples;
    build: the function that made a module of the user's own. Raises UsageError for a study without a model, one that
    such a file cannot hold, and a file that exists; RefusedError, with no file written, where the file would not say
    the same; StorageError where it cannot be written.
    """
    require(to == "onnx" or not int8, "--int8 goes with --onnx")
    note = file.with_name(file.name + NOTE)
    for each in (file, note):
        require_new(each)
    network = open_model(study, build or _only_yours(study, file, to), store=store)
    form = onnx_form(network.kind)
    if to == "onnx":
        require_onnx()
    if isinstance(check, Path):
        first = form.of_path(network, check)
    elif check is not None:
        first = form.of_inputs(network, check)
    else:
        require(is_study(study), f"{study} holds no study with data to compare on; {CHECK}")
        config, state = read_state(study, store=store_of(study, store))
        first = form.of_study(
            network, config, Known(state.data, None, state.edited.edits if state.edited else None), study
        )
    content, run, runtime = _written(network, form, first, to)
    every = (first, *form.extremes(network, first))
    found, saved = tuple(parity(run, network, each) for each in every), None
    if int8:
        content, saved = _in_8_bits(network, first, content, run)
        run = onnx_runner(content)
        found = tuple(compared(run, network, each)[0] for each in every)
    folder = study / MODEL if (study / MODEL / WEIGHTS).exists() else study
    written = Exported(
        file=file.name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content),
        model=sha256_of(folder, WEIGHTS), task=network.task, runtime=runtime, parity=found, int8=saved,
    )  # fmt: skip
    try:
        write_text(file.parent, note.name, json.dumps(written.to_json(), indent=1) + "\n")
        write_bytes(file.parent, file.name, content)
    except OSError as problem:
        with suppress(OSError):
            note.unlink()
        raise StorageError(f"{file} cannot be written: {problem.strerror}") from None
    if is_study(study):
        keep_export(study, written)
        _tell_card(study, store)
    return written


def _tell_card(study: Path, store: str | None) -> None:
    """Writes the model card of a study again, with the files of its model; not that of a study of somebody else's."""
    _, state = read_state(study, store=store_of(study, store))
    if state.result is None or not is_own(state):
        return
    with reopen(study, Silent(), store=store_of(study, store)) as opened:
        result = Result.from_json(state.result)
        add_card(opened, model_card(result, read_exports(study, result.delivered.files.get(WEIGHTS, ""))))


def _written(network: Network, form: OnnxForm, examples: Asked, to: Format) -> tuple[bytes, Run, str]:
    """The content of a file, what it says when it is read again, and by what."""
    if to == "onnx":
        import onnxruntime  # an extra

        from tame.parts.onnx_nodes import graph_of

        content = graph_of(network, form.write).SerializeToString()
        return content, onnx_runner(content), f"onnxruntime {onnxruntime.__version__}"
    import torch

    from tame.parts.torch_programs import program_file, program_runner

    content = program_file(network, form.write, examples.feeds[0])
    return content, program_runner(content), f"torch {torch.__version__}"


def _in_8_bits(network: Network, examples: Asked, content: bytes, run: Run) -> tuple[bytes, Quantized]:
    """A file in 8 bits, and what that changes. run: the file in 32 bits, asked."""
    from tame.app.quantized import in_8_bits, quantized, require_judged

    require_judged(network, examples)
    found = in_8_bits(content)
    sizes = (len(content), len(found))
    return found, quantized(network, examples, before=run, after=onnx_runner(found), sizes=sizes)


def onnx_runner(content: bytes) -> Run:
    """What an ONNX file says, by ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are about the shapes of nodes, for those who write runtimes
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, dict(feeds)), strict=True))


def _only_yours(study: Path, file: Path, to: Format) -> Build:
    """A function in place of the user's, where none is given, that says how such a module is written from Python."""

    def refuse(**_: Value) -> nn.Module:
        raise UsageError(
            f"{study} holds a module of your own, which only your function can build; from Python: "
            f"tame.load({str(study)!r}, model=build).export({to}={str(file)!r})"
        )

    return refuse


def parity(run: Run, network: Network, examples: Asked) -> Parity:
    """How far a file is from what TAME says of examples. Raises RefusedError where it would not say the same."""
    found, differs = compared(run, network, examples)
    if found.labels_differ:
        raise RefusedError(f"{_refuse(examples)} ({found.labels_differ:,} labels differ: {differs})")
    if not found.largest <= TOLERANCE:
        largest = f"largest difference {found.largest:.2g}, at most {TOLERANCE:g} is allowed"
        raise RefusedError(f"{_refuse(examples)} ({largest})")
    return found


def compared(run: Run, network: Network, examples: Asked) -> tuple[Parity, str]:
    """How far a file is from what TAME says of examples, and the first other label in words.

    Raises RefusedError for a value that is not finite.
    """
    calls = [run(feeds) for feeds in examples.feeds]
    told = {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
    for name, values in told.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            gone = int((~np.isfinite(values)).sum())
            raise RefusedError(f"{_refuse(examples)} ({name}: {gone:,} values are not finite numbers)")
    said, *more = told.values()
    found = Parity(what=examples.what, n=len(said), labels_differ=0, largest=0.0, distance=_distance(told, examples))
    if not network.labels:
        return replace(found, largest=_in_spreads(network, said, examples.outputs[:, 0])), ""
    probabilities = softmax(examples.outputs)
    labels = np.array(network.labels, dtype=object)[probabilities.argmax(axis=1)]
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    differs = (said != labels) & (first - second > TIE)
    row = int(np.argmax(differs))
    largest = float(np.abs(more[0] - probabilities).max())
    found = replace(found, labels_differ=int(differs.sum()), largest=largest)
    return found, f"{said[row]!r} and not {labels[row]!r} in example {row + 1:,}"


def _refuse(examples: Asked) -> str:
    some = f"{len(examples.outputs):,} {examples.what}"
    return f"no file was written: it would not say the same as tame predict of {some}"


def _in_spreads(network: Network, found: np.ndarray, own: np.ndarray) -> float:
    """The largest difference, in spreads of the target, or of how far a number is from their middle."""
    target = network.prepared["target"]
    size = np.maximum(float(target["scale"]), np.abs(own - float(target["shift"])))
    return float((np.abs(found - own) / size).max())


def _distance(told: Mapping[str, np.ndarray], examples: Asked) -> float:
    """The largest difference of distances, relative to those above 1."""
    if examples.distances is None:
        return 0.0
    *_, found = told.values()
    return float((np.abs(found - examples.distances) / np.maximum(examples.distances, 1)).max())
