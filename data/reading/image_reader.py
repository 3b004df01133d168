"""The one way from files to pictures after the resize: read, or taken from the cache.

Legend: levels are uint8 (C, H, W), after the resize and before the random crop and flip.
"""

import hashlib
import logging
import multiprocessing
import os
from argparse import Namespace
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import PIL
import torch
from torch import Tensor

from util.errors import DataError, UserError
from util.images import Uint8Image, to_float_tensor, to_uint8

from ..image_folder import UnreadableImageError, read_image
from ..transforms import CropFlip, has_crop, resize, size_after_resize
from .disk_cache import disk_cache
from .jpeg_draft import LIMITS, QUICK_RESIZE, JpegDraft
from .ram_cache import ram_cache
from .unreadable import tries

log = logging.getLogger(__name__)

WARM = 0.95
"""From this share of reads on that the cache serves, worker processes cost more than they save."""


class Cache(Protocol):
    """Levels by a key of 16 bytes, shared by all processes of a run; what is put stays as it is."""

    full_message: str

    def get(self, key: bytes) -> Uint8Image | None:
        """What was put; not to be written to."""

    def put(self, key: bytes, levels: Uint8Image) -> bool:
        """Keep levels; False where there is no room for them."""


class ImageReader:
    """Reads the pictures of a data set, as its options say."""

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.quick = not opt.full_decode
        self.cache = _cache(opt)
        self.skipped: deque[UnreadableImageError] = deque()
        """What `read_next_readable` could not read, until the loader takes it from here."""
        # reads, of these served, refused
        self._counts: Any = multiprocessing.Array("q", [0, 0, 0]) if self.cache else None
        self._logged_full = False

    def read_uint8(self, path: str, *channels: int) -> Uint8Image:
        """The picture of a file, (C, H, W); one channel is its luma.

        With more than one number of channels the picture holds as many of equal width side by
        side: they come one above the other, (sum of channels, H, W). Not to be written to. Raises
        UnreadableImageError where the file cannot be read.
        """
        key = self._key(path, channels) if self.cache is not None else None
        if self.cache is None or key is None:
            return self._read(path, channels)
        found = self.cache.get(key)
        self._count(1, found is not None, 0)
        if found is None:
            found = np.ascontiguousarray(self._read(path, channels))
            if not self.cache.put(key, found):
                self._count(0, 0, 1)
        return found

    def read_next_readable(
        self, paths: Sequence[str], index: int, *channels: int
    ) -> tuple[str, Uint8Image]:
        """`paths[index]` and its levels; in training, where it is unreadable, the next that is not.

        After the last path comes the first. Raises UnreadableImageError at inference, DataError in
        training after more files in a row than --max_bad_images allows.
        """
        message = ""
        for step in range(tries(self.opt, len(paths))):
            path = paths[(index + step) % len(paths)]
            try:
                return path, self.read_uint8(path, *channels)
            except UnreadableImageError as error:
                if not self.opt.isTrain:
                    raise
                self.skipped.append(error)
                message = str(error)
        raise DataError(message)

    def warm(self) -> bool:
        """Whether the cache served nearly all that was read since the last call."""
        if self.cache is None:
            return False
        with self._counts.get_lock():
            reads, served = self._counts[0], self._counts[1]
            self._counts[0] = self._counts[1] = 0
        return reads > 0 and served >= WARM * reads

    def log_if_full(self) -> None:
        """One line, once, when the cache takes no more."""
        if self.cache is not None and not self._logged_full and self._counts.get_obj()[2]:
            self._logged_full = True
            log.info("%s; further pictures are read from their files", self.cache.full_message)

    def _count(self, *more: int) -> None:
        with self._counts.get_lock():
            for place, number in enumerate(more):
                self._counts[place] += number

    def _read(self, path: str, channels: tuple[int, ...]) -> Uint8Image:
        parts = len(channels)
        draft = JpegDraft(lambda size: size_after_resize(size, self.opt), parts)
        image = read_image(path, draft.prepare if self.quick else None)
        if image.width < parts:
            raise UserError(f"{path} is {image.width} pixel wide: it holds no A beside a B")
        width, found = image.width // parts, []
        for place, number in enumerate(channels):
            box = (place * width, 0, (place + 1) * width, image.height)
            part = image if parts == 1 else image.crop(box)
            part = part.convert("L") if number == 1 else part
            if draft.applies:
                found.append(draft.resize(part))
            else:
                found.append(to_uint8(resize(part, self.opt)))
        return found[0] if parts == 1 else np.concatenate(found)

    def _key(self, path: str, channels: tuple[int, ...]) -> bytes | None:
        """Of all that decides the levels; None where there is no such file."""
        try:
            stamp = os.stat(path)  # noqa: PTH116 - once per item
        except OSError:
            return None
        opt = self.opt
        how = (opt.preprocess, opt.load_size, opt.crop_size, channels, PIL.__version__)
        quick = (torch.__version__, QUICK_RESIZE, LIMITS) if self.quick else None
        # the time of the last change too: tar, cp -p and rsync -t set the other one back
        file = (os.path.abspath(path), stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns)  # noqa: PTH100
        text = repr((file, how, quick))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def crop_and_flip(levels: Uint8Image, opt: Namespace, crop_flip: CropFlip) -> Tensor:
    """Crop and flip a uint8 image, as transforms.load_tensor does -> float32 (C, H, W) in [-1, 1].

    In NumPy: on a crop of 256 x 256 this is a tenth faster than torchvision on a tensor, whose
    normalisation moreover rounds differently.
    """
    if has_crop(opt):
        x, y = crop_flip.x, crop_flip.y
        levels = levels[:, y : y + opt.crop_size, x : x + opt.crop_size]
    return to_float_tensor(levels[:, :, ::-1] if crop_flip.flip else levels)


def size_of(levels: Uint8Image) -> tuple[int, int]:
    """(width, height), as draw_crop_flip takes it."""
    return levels.shape[2], levels.shape[1]


def _cache(opt: Namespace) -> Cache | None:
    if opt.cache == "ram":
        return ram_cache(opt.cache_gb)
    return disk_cache(opt.cache_dir, opt.cache_gb) if opt.cache == "disk" else None
