"""A cache of resized images in a folder that later runs read again: one file for each image."""

import logging
import multiprocessing
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

from util import ranks
from util.errors import UserError
from util.files import make_folder, write_atomically
from util.images import Uint8Image

log = logging.getLogger(__name__)

GB = 10**9
HEADER = struct.Struct("<8s16sIIII")
"""MAGIC, key, channels, height, width and CRC-32 of the pixels, which follow."""
MAGIC = b"levels01"
RESERVED_SHARE = 0.1
"""Share of the disk's free bytes that the cache leaves free: weights are written there too."""
RESERVED_BYTES = GB
"""Nothing is written while fewer bytes are free, since other runs may fill the disk meanwhile."""
CHECK_INTERVAL = 256
"""Each process looks at the free bytes of the disk once in so many puts."""


def disk_cache(folder: str, cache_gb: float | None) -> "DiskCache":
    """Create a cache of at most --cache_gb, by default half of its present size plus the free disk.

    Raises UserError where the folder cannot be made.
    """
    make_folder(Path(folder))
    used, free = _used(folder), shutil.disk_usage(folder).free
    requested = (used + free) // 2 if cache_gb is None else int(cache_gb * GB)
    max_bytes = min(requested, used + int((1 - RESERVED_SHARE) * free))
    reason = "half of the free disk" if cache_gb is None else f"--cache_gb {cache_gb:g}"
    limited = "" if max_bytes == requested else ", but no more is free"
    log.info(
        "--cache disk: up to %.2f GB of images in %s (%s%s), which holds %.2f GB",
        *(max_bytes / GB, folder, reason, limited, used / GB),
    )
    # the processes of a training on this machine fill the cache together, each its share
    return DiskCache(folder, used + (max_bytes - used) // ranks.local_world(), used)


class DiskCache:
    """A Cache (see data.reading.image_reader) of at most `max_bytes`, of which `used` are taken."""

    def __init__(self, folder: str, max_bytes: int, used: int = 0) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.used = multiprocessing.Value("q", used)
        self._puts, self._disk_has_space = 0, True

    @property
    def full_message(self) -> str:
        """What the log says once an image could not be stored."""
        if not Path(self.folder).is_dir():
            return f"--cache disk: {self.folder} is gone (it is used again once it is back)"
        return (
            f"--cache disk: {self.folder} takes no more than {self.max_bytes / GB:.2f} GB (images "
            "of other settings may fill it: it can be deleted at any time)"
        )

    def get(self, key: bytes) -> Uint8Image | None:
        """Return the image of that key, or None where it is absent or its file is damaged."""
        try:
            with open(self._path(key), "rb") as file:  # noqa: PTH123 - once per item
                content = bytearray(os.fstat(file.fileno()).st_size)
                file.readinto(content)
        except OSError:
            return None
        if len(content) <= HEADER.size:
            return None
        magic, owner, channels, height, width, checksum = HEADER.unpack_from(content)
        pixels = memoryview(content)[HEADER.size :]
        intact = len(pixels) == channels * height * width and zlib.crc32(pixels) == checksum
        if (magic, owner) != (MAGIC, key) or not intact:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(channels, height, width)

    def put(self, key: bytes, image: Uint8Image) -> bool:
        """Store an image; return False where the cache or the disk is full or cannot be written."""
        if self._puts % CHECK_INTERVAL == 0:
            try:
                self._disk_has_space = shutil.disk_usage(self.folder).free > RESERVED_BYTES
            except OSError:  # the folder is gone: it is not made again, on a disk of another size
                return False
        self._puts += 1
        if not self._disk_has_space:
            return False
        pixels = image.data
        size = HEADER.size + pixels.nbytes
        with self.used.get_lock():
            if self.used.value + size > self.max_bytes:
                return False
            self.used.value += size
        header = HEADER.pack(MAGIC, key, *image.shape, zlib.crc32(pixels))
        path = Path(self._path(key))
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, lambda file: (file.write(header), file.write(pixels)))
        except (OSError, UserError):
            with self.used.get_lock():
                self.used.value -= size
            return False
        return True

    def _path(self, key: bytes) -> str:
        name = key.hex()
        return f"{self.folder}/{name[:2]}/{name[2:]}"


def _used(folder: str) -> int:
    """Return the bytes of all files of a cache; takes some seconds for a million of them."""
    total = 0
    for part in os.scandir(folder):
        if part.is_dir():
            for entry in os.scandir(part.path):
                try:
                    total += entry.stat().st_size
                except OSError:
                    continue  # a file that another run has just renamed
    return total
