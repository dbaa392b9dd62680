"""What the process that trains is given of a table. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tame.data.tables import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A table, its columns as they were understood. kept: rows of the files, one after the other.

    arrays: where the values lie, if somebody has read them already; a process that is started again later reads the
    files. beside: columns of the files that are no features: target, groups, order; encoder: of its texts, a name or a
    folder; None: none; kind: of data, which may be one that is turned into columns.
    """

    files: tuple[str, ...]
    arrays: str | None
    columns: tuple[Column, ...]
    kept: tuple[int, ...]
    beside: tuple[str, ...] = ()
    encoder: str | None = None
    kind: str = "table"


QUOTES = "quotes"  # of the material: what decided about texts


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesAsked:
    """Which rows are quoted. model: the folder of what is delivered; answers: of each row the class that was predicted,
    -1 of a regression; among: rows among which the likest are; judged: rows of which is told whether they were cut;
    limit_s: that leaving words out may take, None for as long as it takes."""

    model: str
    rows: tuple[int, ...]
    answers: tuple[int, ...]
    among: tuple[int, ...]
    judged: tuple[int, ...]
    limit_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A row and its texts. words: that decided, with how much lower the answer is without them; likest: the row among
    those that were trained on with the likest texts, by their cosine; was_weighed: whether there was time to."""

    row: int
    text: str
    words: tuple[tuple[str, float], ...]
    likest: int
    likeness: float
    likest_text: str
    was_weighed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesTold:
    """cut: judged rows with a text of which not all is read; trained: how many others there are among those that were
    trained on; read: how much is read, in which unit; by: what likeness is measured by."""

    quotes: tuple[Quoted, ...]
    cut: tuple[int, ...]
    trained: int
    read: int
    unit: str
    by: str
