"""A network as a program of torch.export: a file that torch runs without TAME, and without Python's code of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from tame.core.errors import RefusedError
from tame.parts.network import Network
from tame.parts.torch_operators import TorchOperators
from tame.parts.traced_modules import TRACED, program_of, quiet

METADATA = "tame"  # the name of the text in the file that says what goes in and what comes out
MISSING, UNSEEN = -1, -2  # categories that are not there, and those that are not known

Write = Callable[[Network, type[TorchOperators]], tuple[TorchOperators, Mapping[str, str]]]
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def program_file(network: Network, write: Write, feeds: Mapping[str, np.ndarray]) -> bytes:
    """A network as the content of a file. write: how its kind of data writes it down; feeds: inputs of some examples.

    Raises UsageError for what cannot be traced.
    """
    operators, metadata = write(network, TorchOperators)
    about = json.loads(metadata[METADATA])
    about["inputs"] = [_numbered(each) for each in about["inputs"]]
    numbers = _numbers(about, feeds)
    few = {name: _few(values) for name, values in numbers.items()}
    shapes = {
        name: {
            place: torch.export.Dim.DYNAMIC
            for place, side in enumerate(operators.shapes[name])
            if side != values.shape[place]
        }
        for name, values in few.items()
    }
    program = program_of(operators.eval(), few, shapes, name="the model")
    program.example_inputs = None  # rows of the user's, which torch would pickle into the file
    for node in program.graph.nodes:  # with the folders of this machine
        node.meta.pop("stack_trace", None)
    texts = {**metadata, METADATA: json.dumps(about)}
    file = BytesIO()
    with quiet():
        torch.export.save(program, file, extra_files=texts)
    return file.getvalue()


def program_runner(content: bytes) -> Run:
    """What such a file says, when it is read again. Classes are told by name."""
    texts = {METADATA: ""}
    with quiet():
        module = torch.export.load(BytesIO(content), extra_files=texts).module()
    about = json.loads(texts[METADATA])
    labels = np.array(about["labels"], dtype=object)

    def run(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        with torch.no_grad():
            try:
                said: Mapping[str, Tensor] = module(_numbers(about, feeds))
            except (AssertionError, RuntimeError) as problem:  # a size that the trace took for a fixed one
                first = str(problem).strip().splitlines()[0][:200]
                raise RefusedError(f"no file was written: as a program it fails on some examples ({first})") from None
        found = {name: said[name].numpy() for name in about["outputs"]}
        first, *_ = found
        return {**found, first: labels[found[first]]} if len(labels) else found

    return run


def _numbered(one: Mapping[str, object]) -> dict[str, object]:
    """What is said of an input, where texts are given as numbers."""
    if one["type"] != "text":
        return dict(one)
    meaning = f"the place in `categories`; {MISSING} where missing, {UNSEEN} for one that is not there"
    return {**one, "type": "int64", "missing": MISSING, "unseen": UNSEEN, "unit": meaning}


def _numbers(about: Mapping[str, list[Mapping[str, object]]], feeds: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Inputs as a program takes them: texts by their numbers."""
    found = {}
    for name, values in feeds.items():
        if values.dtype.kind == "O":
            [own] = [each for each in about["inputs"] if each["name"] == name]
            categories = own["categories"]
            assert isinstance(categories, list)
            known = {"": MISSING, **{text: place for place, text in enumerate(categories)}}
            values = np.array([known.get(text, UNSEEN) for text in values.tolist()], dtype=np.int64)
        found[name] = torch.from_numpy(np.array(values, order="C"))
    return found


def _few(values: Tensor) -> Tensor:
    """So many examples as a trace needs, repeated where there are fewer."""
    times = -(-TRACED // len(values))
    return values.repeat(times, *[1] * (values.ndim - 1))[:TRACED]
