"""The processes of a run on several GPUs or machines, as torchrun starts them: its ranks.

Where one process computes alone, nothing here communicates, and every function returns at once.
Small messages between the processes go through Gloo, tensors on GPUs through NCCL where it exists.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import Store

from .errors import DataError, TransientDataError, UserError
from .launcher import PATIENCE, TIMEOUT, fresh_store, launched, patience, timeout
from .launcher import job as job
from .launcher import restarted as restarted

T = TypeVar("T")

LOOK = 0.05
"""Seconds between two looks at a wait that a signal may interrupt."""
OPERATIONS = {
    "mean": dist.ReduceOp.SUM,
    "sum": dist.ReduceOp.SUM,
    "max": dist.ReduceOp.MAX,
    "min": dist.ReduceOp.MIN,
}


@dataclass
class _Ranks:
    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    store: Store | None = None
    patient: Any = None
    """The process group of what may take long."""
    machine: Any = None
    """The process group of this machine, where there are others on it."""
    first_here: int = 0
    """The rank of the first process of this machine."""
    lost: bool = False
    """Whether another process did not answer: no collective operation is possible any more."""
    wish: int = 0
    """The exit code with which this process is asked to stop."""
    agreed: int = 0
    """The exit code with which all processes stop."""


_here = _Ranks()


def join(gpus: bool) -> None:
    """Join the other processes of a launched run; `gpus`: tensors on GPUs are exchanged.

    Raises UserError where they do not come together within the timeout.
    """
    env = os.environ
    if not launched() or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if gpus and dist.is_nccl_available() else "gloo"
    _here.rank, _here.world = int(env["RANK"]), int(env["WORLD_SIZE"])
    _here.local_rank = int(env.get("LOCAL_RANK", "0"))
    _here.local_world = int(env.get("LOCAL_WORLD_SIZE", "1"))
    with _reported():
        limit, store = timedelta(seconds=timeout()), fresh_store()
        dist.init_process_group(backend, None, limit, _here.world, _here.rank, store)
        _here.store = store
        _here.patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=patience()))
        _group_machines()


def leave(together: bool) -> None:
    """Leave the other processes; `together`: once all of them have come here.

    torchrun ends all processes as soon as one of them has failed, so one that has to store or
    show something must not be left alone.
    """
    if not dist.is_initialized() or not is_launched_here():
        return
    if together and not _here.lost:
        with suppress(UserError):
            barrier()
    if not _here.lost:
        dist.destroy_process_group()
    vars(_here).update(vars(_Ranks()))


def is_launched_here() -> bool:
    """Return whether `join` has joined this process to others (or to a world of one)."""
    return _here.patient is not None


def rank() -> int:
    """Return the number of this process, from 0."""
    return _here.rank


def world() -> int:
    """Return the number of processes."""
    return _here.world


def local_rank() -> int:
    """Return the number of this process on its machine, from 0."""
    return _here.local_rank


def local_world() -> int:
    """Return the number of processes on this machine."""
    return _here.local_world


def is_main() -> bool:
    """Return whether this is rank 0, which alone writes files and shows the training."""
    return _here.rank == 0


def all_reduce(tensor: Tensor, operation: str = "mean") -> Tensor:
    """Reduce a tensor over the processes, in place: `mean`, `sum`, `max` or `min`; return it."""
    if _here.world > 1:
        staged = _staged(tensor)
        with _reported():
            dist.all_reduce(staged, OPERATIONS[operation])
        if operation == "mean":
            staged /= _here.world
        if staged is not tensor:
            tensor.copy_(staged)
    return tensor


def all_gather(tensor: Tensor) -> list[Tensor]:
    """Return the tensors of all processes, which have one shape, in the order of the ranks."""
    if _here.world == 1:
        return [tensor]
    staged = _staged(tensor).contiguous()
    gathered = [torch.empty_like(staged) for _ in range(_here.world)]
    with _reported():
        dist.all_gather(gathered, staged)
    return [part.to(tensor.device) for part in gathered]


def gather_objects(content: T) -> list[T]:
    """Return what all processes pass, in the order of the ranks, which may take their time."""
    if _here.world == 1:
        return [content]
    gathered: list[Any] = [None] * _here.world
    with _reported():
        dist.all_gather_object(gathered, content, group=_here.patient)
    return gathered


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Give all processes the values of rank 0, in place."""
    if _here.world > 1:
        for tensor in tensors:
            value = _staged(tensor.detach()).contiguous()
            with _reported():
                dist.broadcast(value, 0)
            tensor.detach().copy_(value)


def from_main(content: T) -> T:
    """Return the object that rank 0 passes."""
    if _here.world == 1:
        return content
    contents = [content]
    with _reported():
        dist.broadcast_object_list(contents, 0, group=_here.patient)
    return contents[0]


def is_first_here() -> bool:
    """Return whether this is the first process of its machine."""
    return _here.rank == _here.first_here


def from_first_here(content: T) -> T:
    """Return the object that the first process of this machine passes."""
    if _here.machine is None:
        return content
    contents = [content]
    with _reported():
        dist.broadcast_object_list(contents, _here.first_here, group=_here.machine)
    return contents[0]


def barrier() -> None:
    """Wait until all processes have come here."""
    all_reduce(torch.zeros(1), "sum")


def patient_barrier(meanwhile: Callable[[], object]) -> None:
    """Wait until all processes have come here, which may take long; call `meanwhile` often."""
    if _here.world == 1:
        return
    with _reported():
        work = dist.all_reduce(torch.zeros(1), group=_here.patient, async_op=True)
        while not work.is_completed():
            meanwhile()
            time.sleep(LOOK)
        work.wait()


def store() -> Store | None:
    """Return where the processes leave messages at any time, None where one computes alone."""
    return _here.store if _here.world > 1 else None


def everywhere(error: UserError) -> UserError:
    """Return an error that all processes raise at the same place, so that rank 0 alone tells it."""
    error.everywhere = _here.world > 1
    return error


@contextmanager
def alone() -> Iterator[None]:
    """Let this process communicate with no other in the block, as if it trained alone."""
    world, _here.world = _here.world, 1
    try:
        yield
    finally:
        _here.world = world


def request_stop(code: int) -> None:
    """Ask all processes to stop at the same step; the agreed code is that of `agreed_stop`."""
    _here.wish = code


def agreed_stop() -> int | None:
    """Return the exit code with which all processes stop, or None."""
    return _here.agreed or None


def agree(error: DataError | None) -> bool:
    """Agree before a step: raise the DataError of any process on all; share stop requests.

    Returns True, on all of them, where one has a TransientDataError.
    """
    own = 0 if error is None else 1 if isinstance(error, TransientDataError) else 2
    if _here.world == 1:
        if own == 2 and error is not None:
            raise error
        return own == 1
    _here.agreed, worst = all_reduce(torch.tensor([_here.wish, own]), "max").tolist()
    if worst == 2:
        texts = gather_objects(str(error) if own == 2 else None)
        number, text = next((n, text) for n, text in enumerate(texts) if text is not None)
        raise everywhere(DataError(f"process {number}: {text}")) from error
    return worst == 1


def _group_machines() -> None:
    """Make a process group of each machine, whose processes have numbers in a row."""
    where = gather_objects((socket.gethostname(), _here.rank - _here.local_rank))
    _here.first_here = where.index(where[_here.rank])
    for place in dict.fromkeys(where):
        members = [number for number, other in enumerate(where) if other == place]
        if len(members) > 1:
            longest = timedelta(seconds=patience())
            group = dist.new_group(members, backend="gloo", timeout=longest)
            if _here.rank in members:
                _here.machine = group


def _staged(tensor: Tensor) -> Tensor:
    """Return the tensor, or its copy on the CPU where no backend exchanges it on its device."""
    direct = tensor.device.type == "cpu" or (
        tensor.device.type == "cuda" and "nccl" in str(dist.get_backend_config())
    )
    return tensor if direct else tensor.cpu()


@contextmanager
def _reported() -> Iterator[None]:
    """Raise UserError where the other processes do not answer."""
    try:
        yield
    except RuntimeError as error:  # DistError and its kin, or Gloo's own
        _here.lost = True
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"another process of this run has ended or has not answered for {timeout():g} s "
            f"({TIMEOUT}), or {patience():g} s where it works by itself ({PATIENCE}); where it "
            f"has ended, its own message says why ({reason})"
        ) from error
