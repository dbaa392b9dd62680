"""An ONNX graph, written a node at a time. Needs the extra `onnx`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import ExportedProgram

from tame import __version__
from tame.core.errors import UsageError, require
from tame.parts.network import Network
from tame.parts.operators import ML, Attribute, Operators
from tame.parts.traced_modules import converted, program_of

OPSET, ML_OPSET, IR_VERSION = 20, 3, 9  # of 2023: what runtimes of the last years read
MOST_BYTES = 2**31 - 1  # of a file: what its format can hold


class Nodes(Operators):
    """A graph that grows. What is computed already is not computed again: its name is given back.

    Numbers enter as arrays of the type that is meant: exporters write Python numbers as float32 into graphs of float64.
    inputs: the names of what the graph is given, which no name of its own takes.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self._prefix = "#"
        while any(name.startswith(self._prefix) for name in inputs):
            self._prefix += "#"
        self._count = 0
        self._taken = set(inputs)
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._constants: dict[tuple[object, ...], onnx.TensorProto] = {}
        self._known: dict[tuple[object, ...], str] = {}

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """Something that is given, by its own name. Raises UsageError for one that is not Unicode text."""
        _require_unicode([name])
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, values: np.ndarray) -> str:
        """Fixed numbers, of exactly this type."""
        values = np.asarray(values, order="C")  # which leaves one number alone a number
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(values, self._new())
        return str(self._constants[key].name)

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """The result of one operator on these. Raises UsageError for a text that is not Unicode."""
        for value in attributes.values():
            _require_unicode(value)
        key = (kind, domain, inputs, tuple(sorted((name, _hashable(value)) for name, value in attributes.items())))
        if key not in self._known:
            name = self._new()
            self._nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
            self._known[key] = name
        return self._known[key]

    def either(self, condition: str, true: Callable[[Nodes], str], false: Callable[[Nodes], str], *, kind: int) -> str:
        """What one of two parts gives, each of nodes of its own; only one is computed. kind: of the result."""
        graphs = {}
        for name, write in (("then_branch", true), ("else_branch", false)):
            part = copy.copy(self)
            part._nodes, part._known = [], dict(self._known)
            found = write(part)
            self._count = part._count
            value = helper.make_tensor_value_info(found, kind, None)
            graphs[name] = helper.make_graph(part._nodes, name, [], [value])
        name = self._new()
        self._nodes.append(helper.make_node("If", [condition], [name], name=name, **graphs))
        return name

    def module(self, whole: nn.Module, given: str, *, example: Tensor, name: str) -> list[str]:
        """See Operators."""
        program = program_of(whole, example, {0: torch.export.Dim("n", min=1)}, name=name)
        return self.include(converted(program, _graph_of, name=name), given)

    def include(self, graph: onnx.GraphProto, given: str) -> list[str]:
        """The outputs of another graph that is given one value. Its nodes and weights become those of this one."""
        names = {graph.input[0].name: given, "": ""}
        for tensor in graph.initializer:
            own = onnx.TensorProto()
            own.CopyFrom(tensor)
            own.name = names[tensor.name] = self._new()
            self._weights.append(own)
        self._nodes += self._renamed(graph.node, names)
        return [names[value.name] for value in graph.output]

    def _renamed(self, nodes: Sequence[onnx.NodeProto], names: dict[str, str]) -> list[onnx.NodeProto]:
        """Copies of nodes, with names of this graph; names: what they are given, which grows by what they make."""
        found = []
        for node in nodes:
            names |= {name: self._new() for name in node.output if name}
            own = onnx.NodeProto()
            own.CopyFrom(node)
            for side in ("input", "output"):
                own.ClearField(side)
                getattr(own, side).extend(names[name] for name in getattr(node, side))
            own.name = own.output[0]
            own.ClearField("metadata_props")  # of the exporter, with lines of code and folders of this machine
            own.ClearField("doc_string")
            for attribute in own.attribute:
                for part in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                    self._rename_part(part, dict(names))
            found.append(own)
        return found

    def _rename_part(self, part: onnx.GraphProto, names: dict[str, str]) -> None:
        """The same inside a graph that belongs to a node, as those of loops do."""
        for value in [*part.input, *part.initializer]:
            names[value.name] = value.name = self._new()
        inside = self._renamed(part.node, names)
        part.ClearField("node")
        part.node.extend(inside)
        part.ClearField("value_info")
        for value in part.output:
            value.name = names[value.name]

    def output(self, name: str, value: str, kind: int, shape: Sequence[int | str]) -> str:
        """Gives a result under a name, with underscores behind it where an input has that name. Returns it."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def model(self, metadata: Mapping[str, str], *, about: str) -> ModelProto:
        """The whole, with texts by name. about: what it does, in a sentence. Raises UsageError for one too large."""
        graph = helper.make_graph(
            self._nodes, "tame", self._inputs, self._outputs, doc_string=about,
            initializer=[*self._constants.values(), *self._weights],
        )  # fmt: skip
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
            ir_version=IR_VERSION, producer_name="TAME", producer_version=__version__, doc_string=about,
        )  # fmt: skip
        helper.set_model_props(made, dict(metadata))
        size = made.ByteSize()
        require(size <= MOST_BYTES, f"the model is {size / 1e9:.1f} GB large; one ONNX file holds 2.1 GB at most")
        return made

    def _new(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"


def _hashable(value: Attribute) -> object:
    return value if isinstance(value, int | float | str) else tuple(value)


def _require_unicode(value: Attribute) -> None:
    """Raises UsageError for texts that a file in UTF-8 cannot hold."""
    for text in value if isinstance(value, Sequence) and not isinstance(value, str) else ():
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UsageError(f"{text!r} cannot be in an ONNX file: it is not Unicode text") from None


def graph_of(network: Network, write: Callable[[Network, type[Nodes]], tuple[Nodes, Mapping[str, str]]]) -> ModelProto:
    """A network as an ONNX graph. write: how its kind of data writes it down. Raises UsageError."""
    nodes, metadata = write(network, Nodes)
    return nodes.model(metadata, about=f"A model of the kind {network.kind!r}, tuned by TAME")


def _graph_of(program: ExportedProgram) -> onnx.GraphProto:
    made = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert made is not None
    proto = made.model_proto
    return (onnx.inliner.inline_local_functions(proto) if proto.functions else proto).graph
