"""The base class of all data sets: reading files, and random choices that are reproducible."""

from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from random import Random
from typing import Any

import torch.utils.data
from torch import Tensor

from util.images import Uint8Image
from util.random_streams import stream

from .reading.image_reader import ImageReader, crop_and_flip, size_of
from .transforms import check_channels, draw_crop_flip, get_params, get_transform

__all__ = ["BaseDataset", "get_params", "get_transform"]


class BaseDataset(torch.utils.data.Dataset[dict[str, Any]], ABC):
    """A data set whose item is a pure function of (opt.seed, self.epoch, index).

    A subclass implements `__len__` and `__getitem__`. It draws random choices from
    `self.random(index)` and reads files through `self.read` or `self.read_next`, which use the
    cache. It lets UnreadableImageError pass: in training the loader then takes the next item. The
    loader sets `epoch` (from 1) before it asks for items.
    """

    in_random_order = False
    """Whether items by index are in a random order of each epoch, which the loader then takes."""

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.root: str = opt.dataroot
        self.epoch = 1
        self.reader = ImageReader(opt)

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags of this data set and change the defaults of others."""
        return parser

    def check_channels(self, *flags: str) -> None:
        """Raise UsageError naming the first of `flags` whose number of channels cannot be read."""
        check_channels(self.opt, *flags)

    def random(self, index: int) -> Random:
        """Return the random stream of one item in this epoch, the same in every worker process."""
        return stream(self.opt.seed or 0, "item", self.epoch, index)

    def read(self, path: str, rng: Random, *channels: int) -> tuple[Tensor, ...]:
        """Read an image file, then resize, crop and flip it -> (channels, H, W) in [-1, 1].

        With more than one number of channels the file holds that many images of equal width side by
        side, which share one crop and one flip. A single channel is luma. Raises UserError naming
        the file where it cannot be read or is too small to crop.
        """
        return self._crop_and_flip(path, self.reader.read_uint8(path, *channels), rng, channels)

    def read_next(
        self, paths: Sequence[str], index: int, rng: Random, *channels: int
    ) -> tuple[str, tuple[Tensor, ...]]:
        """Read `paths[index]` as `read` does or, in training, the next file that can be read.

        The first path follows the last. Returns the path that was read and its images. Raises
        UnreadableImageError at inference, and DataError in training after more consecutive
        unreadable files than --max_bad_images allows.
        """
        path, image = self.reader.read_next_readable(paths, index, *channels)
        return path, self._crop_and_flip(path, image, rng, channels)

    def _crop_and_flip(
        self, path: str, image: Uint8Image, rng: Random, channels: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        crop_flip = draw_crop_flip(self.opt, size_of(image), rng, path)
        return crop_and_flip(image, self.opt, crop_flip).split(channels)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return an item: images (C, H, W) in [-1, 1] and their paths."""
