"""A cache of resized images in memory that all processes of a run share.

It is one block: a hash table of fixed size with open addressing, then the pixels of one image after
the other. An image stays until the run ends: an epoch reads each image once, so evicting one for
another would gain nothing. Entries are written under a lock, pixels before entries.
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

from util import ranks
from util.errors import UserError
from util.images import Uint8Image
from util.memory import available_bytes

log = logging.getLogger(__name__)

GB = 10**9
ENTRY = struct.Struct("<16sQIII")
"""Key, offset of the pixels, channels, height and width; all zero where the entry is free."""
BYTES_PER_ENTRY = 8192
"""The table has an entry for so many bytes of pixels: smaller images fill it before the block."""
MAX_LOAD = 0.75
"""At most this share of the entries is used; a fuller table is slow to search."""


def ram_cache(cache_gb: float | None) -> "RamCache":
    """Create a cache of at most --cache_gb, by default half of the free memory.

    It never has more than is free; memory is taken as images come in. The processes of a training
    on one machine share that size, each with a cache of its own. Raises UserError where the
    system does not share that much.
    """
    free = available_bytes(torch.device("cpu"))
    requested = free // 2 if cache_gb is None else int(cache_gb * GB)
    size = min(requested, free) // ranks.local_world()
    reason = "half of the free memory" if cache_gb is None else f"--cache_gb {cache_gb:g}"
    limited = ", but no more is free" if requested > free else ""
    if ranks.local_world() > 1:
        limited += f", shared out to {ranks.local_world()} processes"
    log.info("--cache ram: up to %.2f GB of images (%s%s)", size / GB, reason, limited)
    return RamCache(size)


class RamCache:
    """A Cache (see data.reading.image_reader) of `size` bytes, the table included."""

    def __init__(self, size: int) -> None:
        self.full_message = f"--cache ram is full with {size / GB:.2f} GB"
        self.entries = max(2, size // (BYTES_PER_ENTRY + ENTRY.size))
        self.block = _block(max(size, mmap.PAGESIZE))
        self.size = size
        # bytes in use, entries in use
        self.state = multiprocessing.Array("q", [self.entries * ENTRY.size, 0])

    def get(self, key: bytes) -> Uint8Image | None:
        """Return the image of that key, which must not be written to, or None."""
        with self.state.get_lock():
            owner, offset, *shape = ENTRY.unpack_from(self.block.bytes, self._entry_offset(key))
        if owner != key:
            return None
        count = math.prod(shape)
        return np.frombuffer(self.block.bytes, np.uint8, count, offset).reshape(shape)

    def put(self, key: bytes, image: Uint8Image) -> bool:
        """Store an image; return False where the block or the table is full."""
        state: Any = self.state.get_obj()
        count = image.size
        with self.state.get_lock():
            offset = state[0]
            if offset + count > self.size or state[1] + 1 > MAX_LOAD * self.entries:
                return False
            state[0] += count
            state[1] += 1
        np.frombuffer(self.block.bytes, np.uint8, count, offset)[:] = image.reshape(-1)
        with self.state.get_lock():
            place = self._entry_offset(key)
            ENTRY.pack_into(self.block.bytes, place, key, offset, *image.shape)
        return True

    def _entry_offset(self, key: bytes) -> int:
        """Return the offset of the key's entry, or of the free entry that it would take."""
        number = int.from_bytes(key[:8], "little") % self.entries
        while True:
            offset = number * ENTRY.size
            owner = self.block.bytes[offset : offset + len(key)]
            if owner == key or not any(owner):
                return offset
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
    """Shared memory without a name, which the system frees with the last process that uses it.

    It is not part of /dev/shm, whose size therefore does not limit it.
    """

    def __init__(self, size: int) -> None:
        self._open(os.memfd_create("images"), size)
        os.ftruncate(self.file, size)
        self.bytes = mmap.mmap(self.file, size)

    def _open(self, file: int, size: int) -> None:
        self.file, self.size = file, size
        weakref.finalize(self, os.close, file)

    def __getstate__(self) -> tuple[Any, int]:
        # pickled only for a worker process that is being started
        return reduction.DupFd(self.file), self.size

    def __setstate__(self, state: tuple[Any, int]) -> None:
        self._open(state[0].detach(), state[1])
        self.bytes = mmap.mmap(self.file, self.size)


class NamedBlock:
    """Shared memory with a name, for systems without memfd_create (Windows, macOS)."""

    def __init__(self, size: int) -> None:
        self.memory = SharedMemory(create=True, size=size)
        self.bytes = self.memory.buf
        atexit.register(self.memory.unlink)

    def __getstate__(self) -> SharedMemory:
        return self.memory

    def __setstate__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self.bytes = memory.buf
