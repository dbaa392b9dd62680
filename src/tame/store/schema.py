"""The tables of a store, the same on SQLite and PostgreSQL, and the marks by which a database is known as TAME's."""

from __future__ import annotations

import zlib

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text, UniqueConstraint

APPLICATION_ID = 0x54414D45  # "TAME"; SQLite keeps it in the file's header
SCHEMA_VERSION = 1  # of the tables; SQLite's user_version
EVENT_FORMAT = 1  # of what the events of a study mean
POSTGRES_SCHEMA = "tame"

# SQLite gives its row numbers only to a column that is declared INTEGER PRIMARY KEY.
_number = BigInteger().with_variant(Integer, "sqlite")

TABLES = MetaData()

STUDY = Table(
    "study",
    TABLES,
    Column("id", _number, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Text, nullable=False),
    Column("format", Integer, nullable=False),
    Column("crc", BigInteger, nullable=False),
)

EVENT = Table(
    "event",
    TABLES,
    Column("id", _number, primary_key=True),
    Column("study_id", _number, ForeignKey("study.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),  # the event's id within its study: 1, 2, 3
    Column("kind", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("crc", BigInteger, nullable=False),
    UniqueConstraint("study_id", "seq"),
)

# PostgreSQL has no user_version.
POSTGRES_TABLES = MetaData()
VERSION = Table("version", POSTGRES_TABLES, Column("version", Integer, primary_key=True, autoincrement=False))


def checksum(*fields: str | int) -> int:
    """CRC-32 of a row: SQLite has no checksums, and a byte that flips inside a text would go unseen."""
    return zlib.crc32("\x1f".join(map(str, fields)).encode("utf-8", "surrogatepass"))


def event_checksum(study: str, seq: int, kind: str, data: str, at: str) -> int:
    """`checksum` of an event, of which a large study has a hundred thousand."""
    return zlib.crc32(f"{study}\x1f{seq}\x1f{kind}\x1f{data}\x1f{at}".encode("utf-8", "surrogatepass"))
