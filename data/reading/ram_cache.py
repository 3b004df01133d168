"""Pictures in memory that all processes of a run share.

One block: a table of fixed entries, found by their key (open addressing), then the levels one
after the other. What is put stays until the run ends: an epoch reads each picture once, so that to
drop one for another would gain nothing. Entries are written under a lock, levels before entries.
"""

import atexit
import logging
import math
import mmap
import multiprocessing
import os
import struct
import weakref
from multiprocessing import reduction
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import torch

from util.errors import UserError
from util.images import Uint8Image
from util.memory import available_bytes

log = logging.getLogger(__name__)

GB = 10**9
ENTRY = struct.Struct("<16sQIII")
"""Key, offset of the levels, channels, height, width; all zero: free."""
BYTES_PER_ENTRY = 8192
"""Of the levels, at least: pictures that are smaller fill the table before the block."""
WHEN_UNKNOWN = 2 * GB
"""The default bound on systems that do not tell how much memory is free."""


def ram_cache(cache_gb: float | None) -> "RamCache":
    """A cache of at most --cache_gb, by default half of the free memory, never more than is free.

    Memory is taken as pictures come in.
    """
    free = available_bytes(torch.device("cpu"))
    wanted = (free or 2 * WHEN_UNKNOWN) // 2 if cache_gb is None else int(cache_gb * GB)
    size = wanted if free is None else min(wanted, free)
    why = "half of the free memory" if cache_gb is None else f"--cache_gb {cache_gb:g}"
    less = "" if size == wanted else ", but no more is free"
    log.info("--cache ram: up to %.2f GB of pictures (%s%s)", size / GB, why, less)
    return RamCache(size)


class RamCache:
    """See data.reading.image_reader.Cache. `size` is in bytes, the table included."""

    def __init__(self, size: int) -> None:
        self.full_message = f"--cache ram is full with {size / GB:.2f} GB"
        self.entries = max(2, size // (BYTES_PER_ENTRY + ENTRY.size))
        self.block = _block(max(size, mmap.PAGESIZE))
        self.size = size
        # bytes in use, entries in use
        self.state = multiprocessing.Array("q", [self.entries * ENTRY.size, 0])

    def get(self, key: bytes) -> Uint8Image | None:
        """See data.reading.image_reader.Cache."""
        with self.state.get_lock():
            found, offset, *shape = ENTRY.unpack_from(self.block.bytes, self._place(key))
        if found != key:
            return None
        count = math.prod(shape)
        return np.frombuffer(self.block.bytes, np.uint8, count, offset).reshape(shape)

    def put(self, key: bytes, levels: Uint8Image) -> bool:
        """See data.reading.image_reader.Cache."""
        state: Any = self.state.get_obj()
        count = levels.size
        with self.state.get_lock():
            offset = state[0]
            # a table that is nearly full is slow to search
            if offset + count > self.size or state[1] + 1 > 0.75 * self.entries:
                return False
            state[0] += count
            state[1] += 1
        np.frombuffer(self.block.bytes, np.uint8, count, offset)[:] = levels.reshape(-1)
        with self.state.get_lock():
            ENTRY.pack_into(self.block.bytes, self._place(key), key, offset, *levels.shape)
        return True

    def _place(self, key: bytes) -> int:
        """Where the entry of the key is, or would be."""
        number = int.from_bytes(key[:8], "little") % self.entries
        while True:
            place = number * ENTRY.size
            there = self.block.bytes[place : place + len(key)]
            if there == key or not any(there):
                return place
            number = (number + 1) % self.entries


def _block(size: int) -> Any:
    try:
        return NamelessBlock(size) if hasattr(os, "memfd_create") else NamedBlock(size)
    except OSError as error:
        raise UserError(
            f"--cache ram: {size / GB:.2f} GB of memory cannot be shared ({error.strerror}); "
            "give a smaller --cache_gb, or use --cache disk"
        ) from error


class NamelessBlock:
    """Shared memory that has no name, so that the system frees it with the last process.

    It is no part of /dev/shm, whose size therefore does not matter.
    """

    def __init__(self, size: int) -> None:
        self._open(os.memfd_create("pictures"), size)
        os.ftruncate(self.file, size)
        self.bytes = mmap.mmap(self.file, size)

    def _open(self, file: int, size: int) -> None:
        self.file, self.size = file, size
        weakref.finalize(self, os.close, file)

    def __getstate__(self) -> tuple[Any, int]:
        return reduction.DupFd(self.file), self.size  # for a process that is being started

    def __setstate__(self, state: tuple[Any, int]) -> None:
        self._open(state[0].detach(), state[1])
        self.bytes = mmap.mmap(self.file, self.size)


class NamedBlock:
    """Shared memory where the system has no nameless one (Windows, macOS)."""

    def __init__(self, size: int) -> None:
        self.memory = SharedMemory(create=True, size=size)
        self.bytes = self.memory.buf
        atexit.register(self.memory.unlink)

    def __getstate__(self) -> SharedMemory:
        return self.memory

    def __setstate__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self.bytes = memory.buf
