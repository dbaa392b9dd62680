"""What SQLite and PostgreSQL do each in its own way, and how their failures become plain words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tame.core.errors import StorageError

# Execution option of a connection that is going to write.
WRITES = "tame_writes"


@dataclass(frozen=True, slots=True)
class Backend:
    """A database that was opened and checked."""

    engine: Engine
    where: str  # for messages; holds no password
    explain: Callable[[BaseException], str]  # a failure of the driver in one line
    keep_others_out: Callable[[Connection, str], None]  # no second writer of a study until the transaction ends
    forget: Callable[[], None] | None = None  # removes the private copy that is read


def one_line(text: str) -> str:
    """The text without line breaks and control characters, which a damaged file can put into a message."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return line if len(line) <= 300 else f"{line[:300]}..."


@contextmanager
def plain_errors(where: str, explain: Callable[[BaseException], str]) -> Iterator[None]:
    """Failures of the database within are raised as StorageError, in one line that begins with `where`."""
    try:
        yield
    except DBAPIError as error:
        raise StorageError(f"{where}: {one_line(explain(error.orig or error))}") from error
    except sqlite3.Error as error:
        raise StorageError(f"{where}: {one_line(explain(error))}") from error
    except UnicodeDecodeError as error:  # the driver cannot even decode what a damaged file says
        raise StorageError(
            f"{where}: it holds text that is not UTF-8, so it is damaged; it was left as it is"
        ) from error
    except PoolTimeoutError as error:
        raise StorageError(f"{where}: no connection became free in time") from error
