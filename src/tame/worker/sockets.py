"""On which addresses processes of this machine wait for others, as Linux reports it. Does not load torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc")
LISTENS = "0A"  # the state of a socket that waits


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket on which a process waits for others."""

    address: IPv4Address | IPv6Address
    port: int
    process: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        own = self.address
        mapped = own.ipv4_mapped if isinstance(own, IPv6Address) else None
        return (mapped or own).is_loopback

    @property
    def words(self) -> str:
        shown = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{shown}:{self.port}"


def can_tell() -> bool:
    """Whether this system reports sockets in a way that is read here."""
    return (PROC / "net" / "tcp").is_file()


def listening(processes: Iterable[int]) -> list[Socket]:
    """The sockets on which these processes wait for others."""
    known = {inode: (address, port) for name in ("tcp", "tcp6") for inode, address, port in _table(PROC / "net" / name)}
    found = []
    for process in processes:
        for inode in _inodes(process):
            if inode in known:
                found.append(Socket(*known[inode], process))
    return sorted(set(found), key=lambda each: (each.process, each.port, str(each.address)))


def descendants(process: int) -> list[int]:
    """This process and all that it has started, directly or not, and that live."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
                children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found = [process]
    for each in found:
        found += children.get(each, [])
    return found


def _table(path: Path) -> Iterator[tuple[str, IPv4Address | IPv6Address, int]]:
    """Inode, address and port of each socket that waits, from a table of the kernel."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        cells = line.split()
        if cells[3] == LISTENS:
            host, _, port = cells[1].partition(":")
            yield cells[9], _address(host), int(port, 16)


def _address(host: str) -> IPv4Address | IPv6Address:
    """The address that the kernel writes as words of four bytes, each in the order of this machine."""
    words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
    return ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def _inodes(process: int) -> Iterator[str]:
    try:
        links = list((PROC / str(process) / "fd").iterdir())
    except OSError:
        return
    for link in links:
        with suppress(OSError):
            target = os.readlink(link)
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]
