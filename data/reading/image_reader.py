"""From an image file to a uint8 image after the resize: decoded, or taken from the cache.

Legend: uint8 images are (C, H, W), after the resize and before the random crop and flip.
"""

import hashlib
import logging
import multiprocessing
from argparse import Namespace
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor

from util.deep_images import Levels
from util.errors import DataError, UnreadableImageError, UserError
from util.files import file_version
from util.images import Pixels, Uint8Image, to_float_tensor, to_uint8

from ..image_folder import StoredImage
from ..image_folder import read_deep as read_image
from ..transforms import CHANNELS, CropFlip, has_crop, resize, size_after_resize
from .disk_cache import disk_cache
from .jpeg_draft import LIMITS, QUICK_RESIZE, JpegDraft
from .ram_cache import ram_cache
from .unreadable import tries

log = logging.getLogger(__name__)

WARM = 0.95
"""Where the cache serves this share of reads, worker processes cost more time than they save."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue in gray (ITU-R BT.601), as in Pillow."""


class Cache(Protocol):
    """A store of uint8 images by keys of 16 bytes, shared by all processes of a run."""

    @property
    def full_message(self) -> str:
        """What the log says once the cache is full, or cannot be written any more."""

    def get(self, key: bytes) -> Uint8Image | None:
        """Return the image of that key, which must not be written to, or None."""

    def put(self, key: bytes, image: Uint8Image) -> bool:
        """Store an image and return True; return False where the cache is full."""


class ImageReader:
    """Reads and resizes the image files of a data set as its options say."""

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.use_draft = not opt.full_decode
        self.pixels = Pixels.of(vars(opt))
        self.cache = _cache(opt)
        self.skipped: deque[UnreadableImageError] = deque()
        """The errors of `read_next_readable` that the loader has not collected yet."""
        # reads, of these served by the cache, images that it had no space for
        self._counts: Any = multiprocessing.Array("q", [0, 0, 0]) if self.cache else None
        self._logged_full = False

    def read_uint8(self, path: str, *channels: int) -> Uint8Image:
        """Return the resized image of a file -> uint8 (C, H, W); a single channel is luma.

        A file of more than 8 bits per channel, or of another number of channels than 1 and 3, gives
        the same levels, 0 to 255, in float32. With more than one number of channels the file holds
        that many images of equal width side by side; they are stacked along the channels,
        (sum of channels, H, W). The array must not be written to. Raises UnreadableImageError where
        the file cannot be read or has other channels.
        """
        key = self._key(path, channels) if self.cache is not None else None
        if self.cache is None or key is None:
            return self._read(path, channels)
        image = self.cache.get(key)
        self._count(reads=1, served=image is not None)
        if image is None:
            image = np.ascontiguousarray(self._read(path, channels))
            # a cache holds uint8, and images of more bits are few
            if image.dtype == np.uint8 and not self.cache.put(key, image):
                self._count(refused=1)
        return image

    def read_next_readable(
        self, paths: Sequence[str], index: int, *channels: int
    ) -> tuple[str, Uint8Image]:
        """Return `paths[index]` and its image or, in training, the next path that can be read.

        The first path follows the last. Raises UnreadableImageError at inference, and DataError in
        training after more consecutive files than --max_bad_images allows.
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
        """Return whether the cache served nearly all reads since the last call."""
        if self.cache is None:
            return False
        with self._counts.get_lock():
            reads, served = self._counts[0], self._counts[1]
            self._counts[0] = self._counts[1] = 0
        return reads > 0 and served >= WARM * reads

    def log_if_full(self) -> None:
        """Log once that the cache is full, when it is."""
        if self.cache is not None and not self._logged_full and self._counts.get_obj()[2]:
            self._logged_full = True
            log.warning("%s; further images are read from their files", self.cache.full_message)

    def _count(self, reads: int = 0, served: int = 0, refused: int = 0) -> None:
        with self._counts.get_lock():
            for place, number in enumerate((reads, served, refused)):
                self._counts[place] += number

    def _read(self, path: str, channels: tuple[int, ...]) -> Uint8Image:
        parts = len(channels)
        draft = JpegDraft(lambda size: size_after_resize(size, self.opt), parts)
        usual = all(number in CHANNELS for number in channels)
        pixels = self.pixels if usual else replace(self.pixels, background=None)
        image = read_image(path, draft.prepare if self.use_draft else None, pixels)
        if not isinstance(image, Image.Image) and image.shape[2] == sum(channels):
            return self._resized_levels(image)
        whole = image.width if isinstance(image, Image.Image) else image.shape[1]
        if whole < parts:
            raise UserError(f"{path} is {whole} pixel wide: it holds no A beside a B")
        width = whole // parts
        images = []
        for place, number in enumerate(channels):
            if not isinstance(image, Image.Image):
                levels = image[:, place * width : (place + 1) * width]
                images.append(self._resized_levels(_with_channels(levels, number, path)))
                continue
            box = (place * width, 0, (place + 1) * width, image.height)
            part = image if parts == 1 else image.crop(box)
            part = part.convert("L") if number == 1 else part
            if draft.applies:
                images.append(draft.resize(part))
            else:
                images.append(to_uint8(resize(part, self.opt)))
        return images[0] if parts == 1 else np.concatenate(images)

    def _resized_levels(self, levels: Levels) -> Any:
        """Return levels (H, W, C) resized -> (C, H, W)."""
        planes = (
            Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(levels, 2, 0)
        )
        return np.stack([np.asarray(resize(plane, self.opt)).clip(0, 255) for plane in planes])

    def _key(self, path: str, channels: tuple[int, ...]) -> bytes | None:
        """Return a hash of everything that decides the pixels; None where there is no such file."""
        file: object
        try:
            file = path.identity() if isinstance(path, StoredImage) else file_version(path)
        except OSError:
            return None
        opt = self.opt
        size = (opt.preprocess, opt.load_size, opt.crop_size)
        resizing = (*size, channels, self.pixels, PIL.__version__)
        draft = (torch.__version__, QUICK_RESIZE, LIMITS) if self.use_draft else None
        text = repr((file, resizing, draft))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _with_channels(levels: Levels, number: int, path: str) -> Levels:
    """Return levels (H, W, C) with that number of channels. Raises UnreadableImageError."""
    stored = levels.shape[2]
    if (stored, number) == (3, 1):
        return levels @ LUMA[:, None]
    if (stored, number) == (1, 3):
        return np.repeat(levels, 3, axis=2)
    if stored != number:
        reason = f"it has {stored} channels, not {number} as --input_nc or --output_nc asks for"
        raise UnreadableImageError(path, reason)
    return levels


def crop_and_flip(image: Uint8Image, opt: Namespace, crop_flip: CropFlip) -> Tensor:
    """Crop and flip a uint8 image, as transforms.load_tensor does -> float32 (C, H, W) in [-1, 1].

    In NumPy: on a crop of 256 x 256 this is a tenth faster than torchvision on a tensor, whose
    normalisation moreover rounds differently.
    """
    if has_crop(opt):
        x, y = crop_flip.x, crop_flip.y
        image = image[:, y : y + opt.crop_size, x : x + opt.crop_size]
    return to_float_tensor(image[:, :, ::-1] if crop_flip.flip else image)


def size_of(image: Uint8Image) -> tuple[int, int]:
    """Return the (width, height) of a (C, H, W) image."""
    return image.shape[2], image.shape[1]


def _cache(opt: Namespace) -> Cache | None:
    if opt.cache == "ram":
        return ram_cache(opt.cache_gb)
    return disk_cache(opt.cache_dir, opt.cache_gb) if opt.cache == "disk" else None
