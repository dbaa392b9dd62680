"""The operators that a model is written in, so that it runs without TAME: those of ONNX, whoever writes them down.

The same description of a model becomes an ONNX graph (`onnx_nodes`), or is computed in torch and traced there
(`torch_operators`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

ML = "ai.onnx.ml"  # the operators on texts
# Types of values, by the numbers that ONNX gives them.
FLOAT, BYTES, INT64, TEXT, TRUTH, DOUBLE = 1, 2, 7, 8, 9, 11
Attribute = int | float | Sequence[int] | Sequence[str] | str


class Operators(ABC):
    """Writes a model down, an operator at a time. Values are known by their names.

    Numbers enter as arrays of the type that is meant: exporters write Python numbers as float32 into graphs of float64.
    """

    @abstractmethod
    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """Something that is given, by its own name. Raises UsageError for one that is not Unicode text."""

    @abstractmethod
    def constant(self, values: np.ndarray) -> str:
        """Fixed numbers, of exactly this type."""

    def whole(self, *numbers: int) -> str:
        """Whole numbers, (n,) int64."""
        return self.constant(np.array(numbers, dtype=np.int64))

    @abstractmethod
    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """The result of one operator on these. Raises UsageError for a text that is not Unicode."""

    @abstractmethod
    def either(self, condition: str, true: Callable[[Self], str], false: Callable[[Self], str], *, kind: int) -> str:
        """What one of two parts gives. kind: of the result."""

    @abstractmethod
    def module(self, whole: nn.Module, given: str, *, example: Tensor, name: str) -> list[str]:
        """What a module of torch, which gives a tuple, makes of a value. example: as the value is, for three examples;
        name: of the module, for errors. Raises UsageError for an operator that has no form, and says where it is."""

    def cast(self, value: str, kind: int) -> str:
        """The same in another type."""
        return self.op("Cast", value, to=kind)

    def taken(self, value: str, columns: Sequence[int]) -> str:
        """These columns of a matrix, in this order."""
        return self.op("Gather", value, self.whole(*columns), axis=1)

    def beside(self, *values: str) -> str:
        """Matrices side by side."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=1)

    @abstractmethod
    def output(self, name: str, value: str, kind: int, shape: Sequence[int | str]) -> str:
        """Gives a result under a name, with underscores behind it where an input has that name. Returns it."""
