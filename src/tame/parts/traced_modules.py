"""Modules of torch as programs: traced with three examples, for any number of them, and what cannot be traced named."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import PurePath
from typing import TypeVar

import torch
from torch import nn
from torch.export import ExportedProgram

from tame.core.errors import UsageError

TRACED = 3  # examples: with one, the exporter takes their number for a fixed one
MOST_SAID = 300  # characters of a problem
T = TypeVar("T")
_CALL = re.compile(r'File "([^"]+)", line (\d+), in \w+\n\s+(.+)')
_LACKING = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)'")


def program_of(module: nn.Module, inputs: object, shapes: object, *, name: str) -> ExportedProgram:
    """A module in evaluation mode as a program. inputs: its one argument, for three examples; shapes: which sides of it
    may change, as torch.export takes them; name: of the module, for errors.

    Raises UsageError for what cannot be traced, with the line.
    """
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(module, (inputs,), dynamic_shapes=(shapes,), strict=False)
    except Exception as problem:  # the module may be the user's own, and torch raises many kinds
        raise UsageError(f"{name} cannot be traced: {_first(problem)}{_line(str(problem))}") from None


def converted(program: ExportedProgram, convert: Callable[[ExportedProgram], T], *, name: str) -> T:
    """What a conversion to ONNX makes of a program. Raises UsageError for an operator that ONNX lacks, and where."""
    try:
        with quiet(), torch.no_grad():
            return convert(program)
    except torch.onnx.OnnxExporterError as problem:
        every: list[BaseException] = [problem]
        while (cause := every[-1].__cause__) is not None:
            every.append(cause)
        lacking = _LACKING.search("\n".join(map(str, every)))
        said = f"the operator {lacking[1]}{_place(program, lacking[1])}" if lacking else _first(every[-1])
        raise UsageError(f"{name} has a part that ONNX does not have: {said}") from None


def _place(program: ExportedProgram, operator: str) -> str:
    """In which part of a module an operator is, or one that is made of it; "" where that is not known."""
    name = operator.rpartition(".")[2]
    for node in program.graph.nodes:
        if node.op == "call_function" and name in str(node.target):
            paths = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
            part = f", in {paths[-1].removeprefix('module.')}" if paths else ""
            return part + _line(node.meta.get("stack_trace") or "")
    return ""


def _line(trace: str) -> str:
    """The last line of code that a trace tells."""
    *_, (file, line, code) = [("", "", ""), *_CALL.findall(trace)]
    return f" ({PurePath(file).name}, line {line}: {code.strip()})" if file else ""


def _first(problem: BaseException) -> str:
    """The first line of a message."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:MOST_SAID]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters say of themselves, and the graphs that they print where they fail."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)
