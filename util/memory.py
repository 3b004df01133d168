"""How much memory is free, how much was used, and what becomes of what was freed."""

import ctypes
import os
import sys
from pathlib import Path

import torch

SHARE = 0.8
"""Of the free memory; the rest is left to the system."""

# of mallopt, in glibc's malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4

FOR_TRAINING = 2**31 - 1
"""Bytes; the most that mallopt takes."""
FOR_INFERENCE = 2**29
"""Bytes; what is kept is missing where a large picture is to be computed."""


def available_bytes(device: torch.device) -> int | None:
    """Bytes that a computation on `device` may use; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (free + cached))
    free_host = _free_host_memory()
    return None if free_host is None else int(SHARE * free_host)


def peak_bytes(device: torch.device) -> int | None:
    """The most memory that this process has used: of a GPU its tensors, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def keep_freed_memory(most: int) -> None:
    """Let the CPU's tensors reuse up to `most` bytes that were freed, where libc is glibc.

    By default each large tensor is a mapping of its own, whose pages the system clears one by one
    when they are first written to: 5 to 10 % of a training step.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(MMAP_MAX, 0)
        set_option(TRIM_THRESHOLD, most)
        set_option(TOP_PAD, 64 << 20)


def _free_host_memory() -> int | None:
    if sys.platform == "win32":
        return _free_on_windows()
    if sys.platform == "darwin":  # which tells only how much there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    found = [_meminfo(), _control_group()]
    return min((value for value in found if value is not None), default=None)


def _meminfo() -> int | None:
    """MemAvailable of Linux; None on other systems."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return None


def _control_group() -> int | None:
    """What the limit of a container leaves (cgroup v2); None without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        cache = (folder / "memory.stat").read_text(encoding="ascii").split("inactive_file ")[1]
        return None if limit == "max" else int(limit) - used + int(cache.split()[0])
    except (OSError, ValueError, IndexError):
        return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *[(name, ctypes.c_uint64) for name in ("total", "free", "a", "b", "c", "d", "e")],
    ]


def _free_on_windows() -> int | None:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    done = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.free) if done else None
