"""What a user says of the columns of a table: `--column year=category`, [columns] in TOML, columns={...} in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tame.core.errors import UsageError, require, unknown

# What may be said. After the colon: the decimal mark of numbers, the order of day, month and year.
SAYABLE = (
    "number", "number:point", "number:comma", "category", "boolean", "date", "date:ymd", "date:dmy", "date:mdy",
    "text", "ignore",
)  # fmt: skip


def check_columns(columns: object) -> None:
    """Raises UsageError unless these are kinds of columns by name."""
    require(isinstance(columns, Mapping), f"columns must give a kind for each name, got {columns!r:.80}")
    assert isinstance(columns, Mapping)
    for name, kind in columns.items():
        require(isinstance(name, str) and bool(name), f"a column must have a name, got {name!r}")
        if kind not in SAYABLE:
            raise UsageError(f"column {name!r}: {unknown('kind', str(kind), SAYABLE)}")


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Kinds by name of ("year=category", ...). Raises UsageError for a wrong form or a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, kind = text.rpartition("=")  # a name may hold the sign, a kind does not
        require(bool(equals and name), f"cannot read {text!r}: write COLUMN=KIND, such as year=category")
        require(name not in found, f"column {name!r} is given twice")
        found[name] = kind.strip()
    check_columns(found)
    return found


def write_columns(columns: object) -> tuple[str, ...]:
    """Kinds by name as `parse_columns` reads them."""
    assert isinstance(columns, Mapping)
    return tuple(f"{name}={kind}" for name, kind in columns.items())


def toml_columns(value: object, where: str) -> object:
    """The kinds of a [columns] table."""
    if not isinstance(value, Mapping):
        raise UsageError(f'{where}: columns must be a table of kinds by name, such as year = "category"')
    return dict(value)
