"""A Ray cluster as the place where the workers of a study train: one on this machine, or one that the user runs.

Ray carries out whatever reaches it. So a cluster of this study alone listens on the loopback address, which is checked
after its start, and any cluster needs a token. Loads Ray, which takes seconds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tame.core.errors import RefusedError, TameError, UsageError, require
from tame.worker.crew import LOCAL, Crew, crew_of, require_ray
from tame.worker.executor import Place, WorkerLostError
from tame.worker.pipe import cpu_s
from tame.worker.ray_actor import READING, WRITING, Begun, Holder, boot, sum_of, versions
from tame.worker.sockets import can_tell, descendants, listening

START_S = 180.0  # for an actor and its process
REACH_S = 10.0  # for the head of a cluster to answer
SHARED_BYTES = 2**16  # of a line, from which on workers read one copy of it from Ray's object store
MOST_SHARED = 16  # such lines that are kept for a worker that begins later
STORE_BYTES = 200 * 2**20  # of the object store of a cluster of this study alone
MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
# Nothing but the loopback address: this is how Ray begins on systems whose firewalls ask, and nothing else confines it.
LOOPBACK: Mapping[str, str] = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# A cluster of this study alone: no messages to anybody, and time enough to start on a busy machine.
ALONE: Mapping[str, str] = {
    **LOOPBACK, "RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0",
    "RAY_agent_register_timeout_ms": "400000",
}  # fmt: skip
# What Ray prints on stdout is for people who look at it alone: there a study has its result. What was said to a process
# that has died meanwhile would be told with a traceback each time; whoever reads from it hears how it ended.
SILENT: Mapping[str, str] = {
    "RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "^", "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}  # fmt: skip
SERVERS = ("raylet", "gcs_server")  # the programs of a cluster without which it is none


class Cluster:
    """An open cluster. Starts workers, and shares what all of them are told."""

    def __init__(self, address: str, workers: int) -> None:
        """address: "local", or HOST:PORT of a cluster. Raises UsageError, and RefusedError where it is not safe."""
        self._folder: str | None = None
        self._shared: dict[str, object] = {}
        self._lock = threading.Lock()
        self._is_alone = address == LOCAL
        self._is_here = address == LOCAL or _is_loopback(address)
        self._servers: list[int] = []
        self._ray = _loaded(self._environment(address))
        with _own_signals():
            try:
                self._connect(address, workers)
            except TameError:
                self.close()
                raise
            except Exception as problem:
                self.close()
                raise _unreachable(address, problem) from None
        try:
            self._check_sockets()
            own = descendants(os.getpid()) if self._is_alone else []
            self._servers = [each for each in own if _program(each) in SERVERS]
            self.crew = self._crew(workers)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _environment(address: str) -> Mapping[str, str]:
        if address == LOCAL:
            return {**ALONE, **SILENT, MODE: "token", TOKEN: os.environ.get(TOKEN) or secrets.token_hex(32)}
        said = (
            f"whoever reaches a Ray cluster can run programs on it: start it with {MODE}=token, and set that here too"
        )
        require(os.environ.get(MODE) == "token", said, error=RefusedError)
        return {**SILENT, **LOOPBACK} if _is_loopback(address) else SILENT

    def _connect(self, address: str, workers: int) -> None:
        plain: dict[str, object] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
        if address != LOCAL:
            host, _, port = address.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S):
                pass  # Ray itself would try for minutes
            self._ray.init(address=address, **plain)
            return
        self._folder = tempfile.mkdtemp(prefix="tame-ray-")
        self._ray.init(
            address=LOCAL, num_cpus=workers, num_gpus=0, include_dashboard=False, _node_ip_address="127.0.0.1",
            _temp_dir=self._folder, object_store_memory=STORE_BYTES, **plain,
        )  # fmt: skip

    def _check_sockets(self) -> None:
        """Raises RefusedError where another machine can reach what was started here for this machine alone."""
        if not self._is_here:
            return
        require(can_tell(), "on which addresses Ray listens cannot be told on this system", error=RefusedError)
        found = [each.words for each in listening(descendants(os.getpid())) if not each.is_local]
        said = "Ray listens where other machines can reach it, although it was told not to"
        require(not found, f"{said}: {', '.join(found)}; nothing was trained", error=RefusedError)

    def _crew(self, workers: int) -> Crew:
        if self._is_alone:
            return crew_of(workers)
        there = self._ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        require(cpus >= workers, f"{workers} workers need a core each, and the cluster has {cpus}")
        few = f"{workers} workers need a GPU each, and the cluster has {gpus}: give --workers {gpus}"
        require(not gpus or gpus >= workers, few)
        named = tuple(f"GPU {number + 1} of the cluster" for number in range(workers)) if gpus else ()
        return Crew(workers=workers, threads=max(1, cpus // workers), gpus=named)

    @property
    def is_alive(self) -> bool:
        """Whether the programs of a cluster of this study alone run; of another one, Ray says it when it is asked."""
        return all(_program(each) in SERVERS for each in self._servers)

    def place(self, place: Place, number: int) -> Place:
        """The place of a worker. In a cluster Ray says which GPU it has."""
        own = self.crew.place(place, number)
        return own if self._is_alone else replace(own, gpu="")

    def way(self, place: Place) -> RayWay:
        """Starts an actor with a process that trains."""
        study = "" if place.study is None else str(place.study)
        if not self.is_alive:
            raise WorkerLostError(f"Ray ended in the middle of the study{_again(study)}")
        needs: dict[str, object] = {"num_cpus": 1 if self._is_alone else self.crew.threads}
        if not self._is_alone:
            needs |= {"num_gpus": 1 if self.crew.gpus else 0, "scheduling_strategy": "SPREAD"}
        known = sum_of(place.study) if place.study is not None else ""
        groups = {READING: 1, WRITING: 1}
        kind = self._ray.remote(concurrency_groups=groups, max_restarts=0, max_task_retries=0, **needs)
        actor = kind(Holder).remote()
        try:
            begun = self._first_word(actor.begin.remote(place.kind, study, known, place.gpu))
        except Exception as problem:
            self.kill(actor)
            raise WorkerLostError(f"Ray could not start a worker: {_first_line(problem)}{_again(study)}") from None
        way = RayWay(self, actor, begun)
        try:
            self._check(begun, study)
        except BaseException:
            way.close()
            raise
        return way

    def _first_word(self, asked: Any) -> Begun:
        """What an actor says once it has begun. Raises an error of Ray's where it cannot, TimeoutError if it takes too
        long, WorkerLostError where the cluster ends meanwhile."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._ray.wait([asked], timeout=1.0)[0]:
                found: Begun = self._ray.get(asked)
                return found
            if not self.is_alive:
                raise WorkerLostError("it ended meanwhile")
        raise TimeoutError(f"it did not begin within {START_S:.0f} s; has the cluster the cores, and is it alive?")

    def _check(self, begun: Begun, study: str) -> None:
        """Raises UsageError for a machine that cannot take part, and RefusedError for one that lets anybody in."""
        own, there = versions(), (begun.python, begun.torch, begun.tame)
        names = zip(("Python", "torch", "TAME"), there, own, strict=True)
        other = [f"{name} {one or 'unknown'} and not {two or 'unknown'}" for name, one, two in names if one != two]
        require(not other, f"{begun.host} has {', '.join(other)}: install the same on every machine of the cluster")
        unseen = f"{begun.host} does not see {study}: a study on several machines needs a folder that all of them see"
        require(begun.sees_study, unseen)
        open_to = f"Ray on {begun.host} asks for no token: start it with {MODE}=token"
        require(begun.has_token, open_to, error=RefusedError)
        said = f"Ray on {begun.host} listens where other machines can reach it: {', '.join(begun.open_to_all)}"
        require(not (self._is_here and begun.open_to_all), said, error=RefusedError)

    def share(self, text: str) -> Any:
        """A reference by which workers read this text from the object store; one for all of them."""
        key = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:
            if key not in self._shared:
                while len(self._shared) >= MOST_SHARED:
                    del self._shared[next(iter(self._shared))]
                self._shared[key] = self._ray.put(text)
            return self._shared[key]

    def get(self, reference: Any) -> Any:
        return self._ray.get(reference)

    def kill(self, actor: Any) -> None:
        with suppress(Exception):  # the cluster may be gone
            self._ray.kill(actor, no_restart=True)

    def close(self) -> None:
        """Leaves the cluster; ends it if it was started for this study."""
        self._shared.clear()
        with suppress(Exception):
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class RayWay:
    """A process that trains behind an actor, and the way to it."""

    def __init__(self, cluster: Cluster, actor: Any, begun: Begun) -> None:
        self._cluster = cluster
        self._actor = actor
        self._begun = begun
        self._is_here = begun.boot == boot()
        self._how = ""
        self._is_closed = False
        self._said: SimpleQueue[str | None] = SimpleQueue()
        self._to_say: SimpleQueue[str | None] = SimpleQueue()
        # Ray is asked in threads of their own: a signal may interrupt this one anywhere, and then send a word.
        for target in (self._listen, self._speak):
            threading.Thread(target=target, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._begun.pid

    def send(self, line: str) -> None:
        self._to_say.put(line)

    def lines(self) -> Iterator[str]:
        while True:
            line = self._said.get()
            if line is None:
                self._said.put(None)  # it stays the last word
                return
            yield line

    def cpu_s(self) -> float | None:
        return cpu_s(self.pid) if self._is_here else None

    def end(self) -> None:
        if self._is_here:  # at once, and also where Ray is no longer there to do it
            _kill(self.pid, b"tame.worker.serve", whole=True)
        self._cluster.kill(self._actor)
        if self._is_here and not self._cluster.is_alive:
            _kill(self._begun.actor, b"ray::")

    def ended(self) -> str:
        self.close()
        return self._how or "its Ray actor ended"

    def close(self) -> None:
        self._is_closed = True
        self._to_say.put(None)
        self.end()
        if self._is_here:
            _until_gone((self._begun.pid, self._begun.actor))

    def _listen(self) -> None:
        try:
            how = None
            while how is None and not self._is_closed:
                if not self._cluster.is_alive:
                    raise EOFError("its cluster ended")
                lines, how = self._cluster.get(self._actor.read.options(concurrency_group=READING).remote())
                for line in lines:
                    self._said.put(line)
            self._how = how or ""
        except Exception as problem:  # of Ray: an actor or a whole cluster that is gone
            self._how = f"Ray: {_first_line(problem)}"
        self._said.put(None)

    def _speak(self) -> None:
        while (line := self._to_say.get()) is not None:
            try:
                write = self._actor.write.options(concurrency_group=WRITING)
                if len(line) < SHARED_BYTES:
                    write.remote(line)
                else:
                    text, mark, number = line.rpartition(', "id": ')
                    write.remote(self._cluster.share(text), mark + number)
            except Exception:  # whoever waits for an answer hears of it
                self._said.put(None)
                return


def _is_loopback(address: str) -> bool:
    """Whether this address, HOST:PORT, leads to this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _loaded(variables: Mapping[str, str]) -> Any:
    """Ray, with these variables, which its processes inherit. Raises UsageError as `require_ray`."""
    # Ray reads most of them when it is loaded, and its token at that time too.
    late = "ray" in sys.modules and any(os.environ.get(name) != value for name, value in variables.items())
    require(not late, "this process has loaded Ray for something else; start the study in a process of its own")
    os.environ.update(variables)
    require_ray()
    import ray

    return ray


def _unreachable(address: str, problem: Exception) -> TameError:
    """The error of a cluster that could not be reached or started."""
    said = _first_line(problem)
    if "ersion mismatch" in str(problem):
        return UsageError(f"the Ray cluster at {address} has another version of Ray or Python than is here: {said}")
    if address == LOCAL:
        return WorkerLostError(f"Ray could not be started on this machine: {said}; --workers N needs no Ray")
    return UsageError(f"no Ray cluster can be reached at {address}: {said}")


def _program(process: int) -> str:
    """The name of the program that a process of this machine runs; "" once it has ended."""
    try:
        first = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return ""
    return first.decode(errors="replace").rpartition("/")[2]


def _again(study: str) -> str:
    """How a study goes on whose cluster is gone."""
    return f"; what was trained is kept, go on with: tame resume {shlex.quote(study)}" if study else ""


def _first_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[0] if lines else type(problem).__name__)[:300]


@contextmanager
def _own_signals() -> Iterator[None]:
    """Within it, Ray may set handlers of signals; afterwards those are back that were there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    before = {own: signal.getsignal(own) for name in names if (own := getattr(signal, name, None)) is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(process: int, mark: bytes, *, whole: bool = False) -> None:
    """Kills a process of this machine, if it is the one that is meant: its command line has this mark. whole: with its
    group, which it leads."""
    if sys.platform == "win32":
        return  # there is no /proc to know it by
    with suppress(OSError):
        if mark in Path(f"/proc/{process}/cmdline").read_bytes():
            (os.killpg if whole else os.kill)(process, signal.SIGKILL)


def _until_gone(processes: Sequence[int], *, seconds: float = 5.0) -> None:
    """Waits until these processes of this machine are gone: what takes their place must not write beside them."""
    until = time.monotonic() + seconds
    while any(Path(f"/proc/{each}").exists() for each in processes) and time.monotonic() < until:
        time.sleep(0.01)
