"""Processes that train one network together: each sees a part of every batch, and what the parts give is added up.

All of them hold the same weights and make the same steps, so each knows what all know. torch's DistributedDataParallel
is not used: it takes the mean over the processes, which is that over the examples only if all parts count alike, and it
wants an example for each of them in every batch.
Source: Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training (2020).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore

from tame.core.errors import ApartError
from tame.core.files import write_text
from tame.trial.commands import Seat

WAIT_S = 600.0  # that one may wait for another, which whoever watches the processes usually ends sooner
CONNECT_S = 60.0  # that making the connections may take, once all have come
LOOK_S = 0.02  # between two looks at who has come
STORE = "store"  # the file through which torch makes the connections


def can_meet() -> bool:
    """Whether processes of this system can train together so that only this machine can reach them."""
    # On Windows, gloo cannot be told by a variable to wait on the loopback address alone.
    return sys.platform != "win32" and dist.is_available()


@contextmanager
def meeting(seat: Seat, device: torch.device, pulse: Callable[[], None]) -> Iterator[Ranks]:
    """The processes that train together, once all of them have come; they part at the end.

    pulse: called while this one waits for the others; what it raises ends the wait. Raises ApartError as `Ranks`, and
    where the folder goes meanwhile.
    """
    folder = Path(seat.folder)
    with _connected():
        write_text(folder, str(seat.number), "")
        while sum(each.name.isdecimal() for each in folder.iterdir()) < seat.count:
            pulse()
            time.sleep(LOOK_S)
    with Ranks(seat, device) as ranks:
        yield ranks


class Ranks:
    """The processes that train together, as one of them sees them.

    Whatever is said of tensors holds for all of them in the same order and of the same shapes. Every method raises
    ApartError where one of the others is gone.
    """

    def __init__(self, seat: Seat, device: torch.device) -> None:
        self.number = seat.number
        self.count = seat.count
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with _connected():
            store = FileStore(str(Path(seat.folder) / STORE), seat.count)
            store.set_timeout(timedelta(seconds=CONNECT_S))
            dist.init_process_group(
                backend, store=store, rank=seat.number, world_size=seat.count, timeout=timedelta(seconds=WAIT_S),
                device_id=device if device.type == "cuda" and device.index is not None else None,
            )  # fmt: skip

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: type[BaseException] | None, own: BaseException | None, at: TracebackType | None) -> None:
        dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process speaks, and writes, for all of them."""
        return self.number == 0

    def part(self, places: Tensor) -> Tensor:
        """This process's part of these places (n,); together the parts are all of them, in order."""
        return torch.tensor_split(places, self.count)[self.number]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Adds up each tensor over all processes, in place; every one of them then has the same numbers."""
        flat = torch.cat([each.reshape(-1) for each in tensors])
        with _connected():
            dist.all_reduce(flat)
        _copy(flat, tensors)

    def any(self, claim: bool) -> bool:
        """Whether this is so for one of the processes."""
        found = torch.tensor([float(claim)])
        self.add([found])
        return bool(found)

    def of_the_first(self, tensors: Mapping[str, Tensor], epoch: int) -> dict[str, Tensor]:
        """The tensors of the first process, of whatever type. Raises ApartError if it is at another epoch."""
        epochs = torch.zeros(self.count)
        epochs[self.number] = epoch
        self.add([epochs])
        if len(set(epochs.tolist())) > 1:
            raise ApartError(f"the processes that train together are at different epochs: {epochs.int().tolist()}")
        found = {name: value.clone() for name, value in sorted(tensors.items())}
        for kind in sorted({value.dtype for value in found.values()}, key=str):
            own = [value for value in found.values() if value.dtype == kind]
            flat = torch.cat([each.reshape(-1) for each in own])
            with _connected():
                dist.broadcast(flat, src=0)
            _copy(flat, own)
        return found


def sees_parts(module: nn.Module) -> bool:
    """Whether a module in training may see parts of a batch: nothing in it is normalised over the examples."""
    kind = nn.modules.batchnorm._BatchNorm
    return not any(isinstance(part, kind) and part.training for part in module.modules())


def _copy(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    for own, each in zip(tensors, torch.split(flat, [each.numel() for each in tensors]), strict=True):
        own.copy_(each.view_as(own))


@contextmanager
def _connected() -> Iterator[None]:
    """Raises ApartError where a connection fails, or the folder is gone by which it would be made."""
    try:
        yield
    except (RuntimeError, FileNotFoundError) as problem:
        said = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise ApartError(f"a process that trained with this one is gone: {said}") from None
