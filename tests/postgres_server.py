"""A PostgreSQL server of the tests' own, on loopback, for as long as they need it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy

SECRET = "s3cr3t/x@y"


class Postgres:
    """A private server; each `address` is that of a new, empty database."""

    def __init__(self, binaries: Path, folder: Path, port: int) -> None:
        self.binaries, self.folder, self.port, self.made = binaries, folder, port, 0

    def run(self, *command: str) -> None:
        """Runs one of the server's programs; it refuses to work for root."""
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*as_user, str(self.binaries / command[0]), *command[1:]], capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 0, done.stderr

    def url(self, database: str, password: str = SECRET) -> str:
        return f"postgresql://tame:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def address(self) -> str:
        self.made += 1
        self.sql("postgres", f"CREATE DATABASE d{self.made}")
        return self.url(f"d{self.made}")

    def public_address(self) -> str:
        """An address as users give it, without the password."""
        return self.address().replace(f":{quote(SECRET, safe='')}@", "@")

    def sql(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        """The rows of the last statement."""
        url = self.url(database).replace("postgresql:", "postgresql+psycopg:")
        engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
        rows: list[tuple[object, ...]] = []
        with engine.connect() as connection:
            for statement in statements:
                found = connection.exec_driver_sql(statement)
                rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def start(self) -> None:
        quick = "-c fsync=off -c listen_addresses=127.0.0.1 -c shared_buffers=16MB -c max_connections=40"
        where = f"-p {self.port} -k {self.folder}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", f"{quick} {where}")

    def restart(self) -> None:
        """Starts the server again, whether it runs or not."""
        with suppress(AssertionError):  # it does not run
            self.stop()
        self.start()

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / "data"))


def installed() -> Path | None:
    """The folder of the newest server's programs; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running(binaries: Path) -> Iterator[Postgres]:
    """A server that runs within the block."""
    folder = Path(f"/tmp/tame-postgres-{os.getpid()}")
    folder.mkdir(mode=0o700)
    (folder / "password").write_text(SECRET)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    server = Postgres(binaries, folder, _free_port())
    try:
        ways = ["-U", "tame", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-N", "--no-instructions"]
        server.run("initdb", "-D", str(folder / "data"), "--locale=C", "-E", "UTF8", *ways)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
