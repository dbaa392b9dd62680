"""Opening a file that should hold a table: what it is, whether it fits into memory, and its raw columns."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from pathlib import Path

from tame.core.errors import DataError, require
from tame.data.table_csv import read_csv, read_head
from tame.data.table_parquet import PARQUET_MAGIC, parquet_bytes, parquet_names, read_parquet
from tame.data.tables import RawTable

HEAD_BYTES = 1 << 18  # that hold the names of columns
CSV_FACTOR = 8  # bytes in memory for a byte of CSV: a cell of one character costs 8 as an object and 9 in Arrow
REFUSED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook (.xlsx); open it and save the sheet as 'CSV UTF-8', so that "
    "formulas and links become plain values",
    b"\xd0\xcf\x11\xe0": "an old Office file (.xls); open it and save the sheet as 'CSV UTF-8', so that formulas and "
    "links become plain values",
    b"\x1f\x8b": "compressed by gzip; unpack it first (gunzip)",
    b"BZh": "compressed by bzip2; unpack it first (bunzip2)",
    b"\xfd7zXZ": "compressed by xz; unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard; unpack it first (unzstd)",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"PARE": "an encrypted Parquet file; decrypt it first",
}


def read_raw(path: Path) -> RawTable:
    """The columns of a CSV or Parquet file, not yet typed; which of the two is seen from its first bytes.

    Raises DataError for what is not a regular file or such a table, broken, or larger than the memory.
    """
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        require(size > 0, f"{path} is empty", error=DataError)
        head = file.read(16)
        for magic, advice in REFUSED.items():
            require(not head.startswith(magic), f"{path} is {advice}", error=DataError)
        is_parquet = head.startswith(PARQUET_MAGIC)
        named = path.suffix.lower() in (".parquet", ".pq")
        require(is_parquet or not named, f"{path} is not a Parquet file: it does not begin with PAR1", error=DataError)
        _require_memory(path, size if is_parquet else CSV_FACTOR * size, size)
        file.seek(0)
        try:
            data = file.read()
        except OSError as problem:
            raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    if is_parquet:
        _require_memory(path, parquet_bytes(data, where=str(path)), size)
        return read_parquet(data, where=str(path), digest=digest)
    return read_csv(data, where=str(path), digest=digest)


def names_of(path: Path) -> tuple[str, ...]:
    """The columns of a CSV or Parquet file, from its beginning or its footer; () where these cannot be read."""
    if not path.is_file():
        return ()
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ()
    return parquet_names(path) if head.startswith(PARQUET_MAGIC) else read_head(head)[0]


def available_memory() -> int | None:
    """Bytes that a process may still take without swapping, or None where the system does not say."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        if sys.platform != "win32":
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    group = Path("/sys/fs/cgroup")  # a container may have less than the machine
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            used = int((group / "memory.current").read_text(encoding="ascii"))
            stat_lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            cached = sum(int(line.split()[1]) for line in stat_lines if line.startswith("inactive_file "))
            found.append(int(limit) - used + cached)  # memory that files take is given back on demand
    except OSError:
        pass  # not in such a group
    return max(min(found), 0) if found else None


def _require_memory(path: Path, needed: int, size: int) -> None:
    free = available_memory()
    if free is not None and needed > free:
        raise DataError(
            f"{path} ({_size(size)}) needs about {_size(needed)} of memory to be read and {_size(free)} are free; "
            "give a sample of its rows or fewer columns, or use a machine with more memory"
        )


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"


def _open_regular(path: Path) -> io.BufferedReader:
    """The file, opened without following a link, waiting for a pipe or touching a device."""
    try:
        _require_regular(path, os.lstat(path).st_mode)
        flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
        file = os.fdopen(os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags)), "rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be opened: {problem.strerror}") from None
    try:
        _require_regular(path, os.fstat(file.fileno()).st_mode)  # of what is open now, whatever has the name
    except BaseException:
        file.close()
        raise
    return file


def _require_regular(path: Path, mode: int) -> None:
    kinds = {
        stat.S_IFLNK: "a link; give the path of the file that it leads to",
        stat.S_IFDIR: "a folder; give the path of one CSV or Parquet file",
        stat.S_IFIFO: "a pipe; write its contents into a file first",
        stat.S_IFSOCK: "a socket; give the path of a file",
    }
    kind = kinds.get(stat.S_IFMT(mode), "a device; give the path of a file")
    require(stat.S_ISREG(mode), f"{path} is {kind}", error=DataError)
