"""What torchrun, or a launcher like it, tells a process in its environment."""

import os
import time
import uuid
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import Store

from .errors import UserError

TIMEOUT = "RANKS_TIMEOUT"
"""The environment variable with the seconds that a process waits for the others."""
DEFAULT_TIMEOUT = 600.0
PATIENCE = "RANKS_PATIENCE"
"""The environment variable with the seconds that a process waits for what others do by themselves:
the figures of an evaluation, a last save, the rest of their images."""
DEFAULT_PATIENCE = 6 * 3600.0
LONGEST = 1e9
"""Seconds; PyTorch counts them in nanoseconds, 64 bits wide."""


def launched() -> bool:
    """Return whether torchrun, or a launcher like it, has started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def restarted() -> bool:
    """Return whether torchrun has started this process anew, as `--max_restarts` asks for."""
    return launched() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def job() -> str:
    """Return a name of what torchrun has started that is the same after a restart, or ""."""
    if not launched():
        return ""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return name if name != "none" else f"{os.environ['MASTER_ADDR']}/{os.getppid()}"


def timeout() -> float:
    """Return how many seconds a process waits for the others before it ends the run."""
    return _seconds(TIMEOUT, DEFAULT_TIMEOUT)


def patience() -> float:
    """Return how many seconds a process waits for what others do by themselves."""
    return _seconds(PATIENCE, DEFAULT_PATIENCE)


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < LONGEST:
        raise UserError(f"{name}={text}: give a number of seconds from 1 to {LONGEST:.0e}")
    return seconds


def fresh_store() -> Store:
    """Return the store of the launcher with a prefix that no earlier start of the processes used.

    torchrun's store outlives a restart, with the addresses of processes that have ended in it. The
    number of the start is no prefix: of several machines only those that had a fault count it.
    Raises RuntimeError where the processes do not come together within the timeout.
    """
    limit = timedelta(seconds=timeout())
    store, rank, world = next(dist.rendezvous("env://", timeout=limit))
    own = uuid.uuid4().hex
    if rank == 0:
        _welcome(store, own, world)
        return dist.PrefixStore(own, store)
    store.set(f"hello/{rank}", own)
    store.wait([f"welcome/{own}"], limit)
    prefix = store.get(f"welcome/{own}").decode()
    store.set(f"joined/{prefix}/{rank}", "")
    return dist.PrefixStore(prefix, store)


def _welcome(store: Store, prefix: str, world: int) -> None:
    """Tell the prefix to all others; what is answered to a process that has ended is never read."""
    until = time.monotonic() + timeout()
    missing = set(range(1, world))
    while missing:
        for rank in sorted(missing):
            if store.check([f"joined/{prefix}/{rank}"]):
                missing.remove(rank)
            elif store.check([f"hello/{rank}"]):
                store.set("welcome/" + store.get(f"hello/{rank}").decode(), prefix)
        if time.monotonic() > until:
            raise RuntimeError(f"process {min(missing)} did not start")
        time.sleep(0.01)
