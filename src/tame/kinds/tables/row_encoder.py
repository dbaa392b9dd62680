"""Rows of a table as a model sees them: columns of text beside those that `data/encode.py` makes numbers of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix, hstack, vstack

from tame.core.errors import DataError, UsageError
from tame.core.recipe import Recipe, TableRecipe
from tame.data.encode import Encoder, Layout
from tame.data.tables import MISSING, Table
from tame.kinds.tables.text_columns import CountedTexts, TextPlan, Way, fitted
from tame.parts.mlp import WORDS
from tame.parts.network import Plain


class Featured(Protocol):
    """(K, D) features of the different texts of a column by a frozen encoder that reads so many tokens of each."""

    def __call__(self, table: Table, name: str, length: int) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, eq=False)
class RowEncoder:
    """The fitted encoding of rows. encoder: of all columns but text, None where there is no other; texts: how each
    column of text enters."""

    encoder: Encoder | None
    texts: tuple[TextPlan, ...] = ()

    @classmethod
    def fit(
        cls, table: Table, rows: np.ndarray, recipe: Recipe, *, counted: CountedTexts, featured: Featured
    ) -> RowEncoder:
        """What `recipe` asks for, with everything taken from these rows only. Raises DataError as `Encoder.fit`."""
        encoder = _of_others(table, rows, recipe.table)
        way = way_of(recipe)
        plans = []
        for name in table.texts:
            if way == "encoder":
                length = recipe.input.length
                plans.append(replace(fitted(name, way, table, rows, featured(table, name, length)), length=length))
                continue
            tfidf, x = counted.fit(name, rows)
            axes = None if way == "words" else counted.axes(name, rows)
            plan = fitted(name, way, table, rows, None if axes is None else x @ axes.T)
            plans.append(replace(plan, tfidf=tfidf, axes=axes))
        return cls(encoder, tuple(plans))

    @property
    def layout(self) -> Layout:
        """The columns of the dense matrix: texts first, among the dense ones."""
        own = self.encoder.layout if self.encoder is not None else Layout(0, 0, ())
        return replace(own, dense=own.dense + sum(plan.width for plan in self.texts))

    @property
    def names(self) -> tuple[str, ...]:
        """The column that each of the `layout.dense` numbers of a row comes from."""
        own = () if self.encoder is None else self.encoder.names
        return (*(plan.name for plan in self.texts for _ in range(plan.width)), *own)

    def dense(
        self, table: Table, rows: np.ndarray | None, featured: Featured, counted: CountedTexts | None = None,
        fitted_on: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """The (n, width) float32 matrix of these rows (all if None).

        counted, fitted_on: the counts of this very table and the rows that the encoder was fitted on, where its texts
        need not be taken apart again.
        """
        every = np.arange(table.num_rows) if rows is None else np.asarray(rows)
        found = []
        for plan in self.texts:
            if plan.way == "encoder":
                vectors = featured(table, plan.name, plan.length)
            else:
                assert plan.axes is not None
                vectors = np.asarray(self._words(plan, table, counted, fitted_on) @ plan.axes.T)
            found.append(plan.dense(vectors, table.texts[plan.name], table.values[plan.name][every]))
        if self.encoder is not None:
            found.append(self.encoder.transform(without_texts(table), every))
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def sparse(
        self, table: Table, rows: np.ndarray | None, counted: CountedTexts | None = None,
        fitted_on: np.ndarray | None = None,
    ) -> csr_matrix:  # fmt: skip
        """(n, V) float32: the words of all columns of text, then all other columns. Arguments as of `dense`."""
        every = np.arange(table.num_rows) if rows is None else np.asarray(rows)
        found = []
        for plan in self.texts:
            x, codes = self._words(plan, table, counted, fitted_on), table.values[plan.name][every]
            none = csr_matrix((1, x.shape[1]), dtype=np.float32)
            found.append(vstack([x, none], format="csr")[np.where(codes == MISSING, x.shape[0], codes)])
        if self.encoder is not None:
            found.append(csr_matrix(self.encoder.transform(without_texts(table), every)))
        return csr_matrix(hstack(found, format="csr", dtype=np.float32))

    def to_json(self) -> dict[str, object]:
        """Names and small things; `arrays` has the rest. As before there were texts, where there are none."""
        own = None if self.encoder is None else self.encoder.to_json()
        return {"encoder": own, **({"texts": [plan.to_json() for plan in self.texts]} if self.texts else {})}

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs beside `to_json`."""
        found = {} if self.encoder is None else dict(self.encoder.tensors())
        for place, plan in enumerate(self.texts):
            found |= {f"texts.{place}.{name}": value for name, value in plan.arrays().items()}
        return found

    @classmethod
    def restore(cls, prepared: Plain, arrays: Mapping[str, np.ndarray]) -> RowEncoder:
        """What gave `to_json` and `arrays`. Raises UsageError for what none can have given."""
        plans = []
        for place, own in enumerate(prepared.get("texts", ())):
            start = f"texts.{place}."
            some = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
            plans.append(TextPlan.restore(own, some))
        plain = {name: value for name, value in arrays.items() if "." not in name}
        told = prepared["encoder"]
        if told is None and not plans:
            raise UsageError("the description of the rows names neither a column of text nor any other column")
        return cls(None if told is None else Encoder.restore(told, plain), tuple(plans))

    def _words(
        self, plan: TextPlan, table: Table, counted: CountedTexts | None, fitted_on: np.ndarray | None
    ) -> csr_matrix:
        """(K, V) the different texts of a column."""
        if counted is not None and fitted_on is not None:
            return counted.fit(plan.name, fitted_on)[1]
        assert plan.tfidf is not None
        return plan.tfidf.of_texts(table.texts[plan.name])


def _of_others(table: Table, rows: np.ndarray, recipe: TableRecipe) -> Encoder | None:
    try:
        return Encoder.fit(without_texts(table), rows, recipe)
    except DataError:  # no other column is left to learn from
        if not table.texts:
            raise
        return None


def way_of(recipe: Recipe) -> Way:
    """How the texts of a table enter a model of this recipe."""
    if recipe.model.name == WORDS:
        return "words"
    return "encoder" if recipe.table.texts == "encoder" else "tfidf"


def without_texts(table: Table) -> Table:
    """The table without its columns of text."""
    if not table.texts:
        return table
    columns = tuple(column for column in table.columns if column.kind != "text")
    values = {name: value for name, value in table.values.items() if name not in table.texts}
    return replace(table, columns=columns, values=values, texts={})
