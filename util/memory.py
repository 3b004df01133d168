"""How much memory is free."""

import ctypes
import os
import sys
from pathlib import Path

import torch

SHARE = 0.8
"""Of the free memory; the rest is left to the system."""


def available_bytes(device: torch.device) -> int | None:
    """Bytes that a computation on `device` may use; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (free + cached))
    free_host = _free_host_memory()
    return None if free_host is None else int(SHARE * free_host)


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
