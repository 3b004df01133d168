"""Pictures in a folder that later runs read again: a file for each, written whole or not at all."""

import logging
import multiprocessing
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

from util.errors import UserError
from util.files import make_folder, write_atomically
from util.images import Uint8Image

log = logging.getLogger(__name__)

GB = 10**9
HEADER = struct.Struct("<8s16sIIII")
"""Mark, key, channels, height, width, CRC-32 of the levels, which follow."""
MARK = b"levels01"
LEFT_FREE = 0.1
"""Of what is free on the disk when a run begins; weights must find room too."""
LEFT_ALWAYS = GB
"""Bytes; other runs may fill the disk meanwhile."""
LOOK_EVERY = 256
"""Puts, in each process."""


def disk_cache(folder: str, cache_gb: float | None) -> "DiskCache":
    """A cache of at most --cache_gb, by default half of the free disk with what is in it.

    Raises UserError where the folder cannot be made.
    """
    make_folder(Path(folder))
    used, free = _used(folder), shutil.disk_usage(folder).free
    wanted = (used + free) // 2 if cache_gb is None else int(cache_gb * GB)
    most = min(wanted, used + int((1 - LEFT_FREE) * free))
    why = "half of the free disk" if cache_gb is None else f"--cache_gb {cache_gb:g}"
    less = "" if most == wanted else ", but no more is free"
    log.info(
        "--cache disk: up to %.2f GB of pictures in %s (%s%s), which holds %.2f GB",
        *(most / GB, folder, why, less, used / GB),
    )
    return DiskCache(folder, most, used)


class DiskCache:
    """See data.reading.image_reader.Cache. `most` and `used` are bytes."""

    def __init__(self, folder: str, most: int, used: int = 0) -> None:
        self.full_message = (
            f"--cache disk: {folder} takes no more than {most / GB:.2f} GB (pictures of other "
            "settings may fill it: it can be deleted at any time)"
        )
        self.folder, self.most = folder, most
        self.used = multiprocessing.Value("q", used)
        self._puts, self._room = 0, True

    def get(self, key: bytes) -> Uint8Image | None:
        """See data.reading.image_reader.Cache; None too for a file that is damaged."""
        try:
            with open(self._path(key), "rb") as file:  # noqa: PTH123 - once per item
                content = bytearray(os.fstat(file.fileno()).st_size)
                file.readinto(content)
        except OSError:
            return None
        if len(content) <= HEADER.size:
            return None
        mark, owner, channels, height, width, check = HEADER.unpack_from(content)
        levels = memoryview(content)[HEADER.size :]
        whole = len(levels) == channels * height * width and zlib.crc32(levels) == check
        if (mark, owner) != (MARK, key) or not whole:
            return None
        return np.frombuffer(levels, np.uint8).reshape(channels, height, width)

    def put(self, key: bytes, levels: Uint8Image) -> bool:
        """See image_reader.Cache; a disk that cannot be written is one without room."""
        if self._puts % LOOK_EVERY == 0:
            self._room = shutil.disk_usage(self.folder).free > LEFT_ALWAYS
        self._puts += 1
        if not self._room:
            return False
        pixels = levels.data
        size = HEADER.size + pixels.nbytes
        with self.used.get_lock():
            if self.used.value + size > self.most:
                return False
            self.used.value += size
        header = HEADER.pack(MARK, key, *levels.shape, zlib.crc32(pixels))
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
    """Bytes of all files of a cache; some seconds for a million of them."""
    total = 0
    for part in os.scandir(folder):
        if part.is_dir():
            for entry in os.scandir(part.path):
                try:
                    total += entry.stat().st_size
                except OSError:
                    continue  # of another run, renamed just now
    return total
