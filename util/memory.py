"""How much memory may be used, how much was used, and what happens to memory that is freed."""

import ctypes
import sys
from pathlib import Path

import psutil
import torch

SHARE = 0.8
"""Of the free memory; the rest is left to the system."""

SHARED_MEMORY_IS_FULL = (
    "the shared memory of the machine is full (/dev/shm, 64 MB in Docker): start the container "
    "with --shm-size 2g, or give --num_threads 0 or a smaller --batch_size"
)

# of mallopt, in glibc's malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4

FOR_TRAINING = 2**31 - 1
"""Bytes; the largest value that mallopt takes."""
FOR_INFERENCE = 2**29
"""Bytes; less than in training, since a large image needs what is not given back to the system."""

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells the limits of a container."""
CGROUP_V2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
CGROUP_V1 = (
    "memory/memory.limit_in_bytes",
    "memory/memory.usage_in_bytes",
    "memory/memory.stat",
    "total_inactive_file",
)


def available_bytes(device: torch.device) -> int:
    """Return how many bytes a computation on `device` may use."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (free + cached))
    limits = [_left_by_cgroup(*files) for files in (CGROUP_V2, CGROUP_V1)]
    left = [bytes_left for bytes_left in limits if bytes_left is not None]
    return int(SHARE * min([psutil.virtual_memory().available, *left]))


def peak_bytes(device: torch.device) -> int:
    """Return the most memory in bytes that this process has used.

    On a GPU that of its tensors, else the resident memory of the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def keep_freed_memory(max_bytes: int) -> None:
    """Let the CPU's tensors reuse up to `max_bytes` that were freed, where libc is glibc.

    By default each large tensor is a mapping of its own, whose pages the system clears one by one
    when they are first written to: 5 to 10 % of a training step.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(MMAP_MAX, 0)
        set_option(TRIM_THRESHOLD, max_bytes)
        set_option(TOP_PAD, 64 << 20)


def _left_by_cgroup(limit: str, usage: str, statistics: str, cache: str) -> int | None:
    """Return the bytes that a container's limit leaves, or None without a limit.

    The file cache counts as used there, and is given up when memory is needed.
    """
    try:
        left = int((CGROUP / limit).read_text(encoding="ascii"))
        left -= int((CGROUP / usage).read_text(encoding="ascii"))
        lines = (CGROUP / statistics).read_text(encoding="ascii").splitlines()
        return left + int(dict(line.split() for line in lines)[cache])
    except (OSError, ValueError, KeyError):  # also "max", which is no limit
        return None
