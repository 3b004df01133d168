"""What every data set shares."""

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
from .transforms import draw_crop_flip, get_params, get_transform

__all__ = ["BaseDataset", "get_params", "get_transform"]


class BaseDataset(torch.utils.data.Dataset[dict[str, Any]], ABC):
    """A data set whose item is a pure function of (opt.seed, self.epoch, index).

    A plug-in implements `__len__` and `__getitem__`; what it draws, it draws from
    `self.random(index)`; what it reads through `self.read` may come from the cache. Where that
    raises UnreadableImageError, which is to be let through, training takes the next item instead.
    The loader sets `epoch` (from 1) before it asks for items.
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.root: str = opt.dataroot
        self.epoch = 1
        self.reader = ImageReader(opt)

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags of this data set and change defaults of others."""
        return parser

    def random(self, index: int) -> Random:
        """The random stream of one item in this epoch, the same in any worker."""
        return stream(self.opt.seed or 0, "item", self.epoch, index)

    def read(self, path: str, rng: Random, *channels: int) -> tuple[Tensor, ...]:
        """The picture of a file as (channels, H, W) in [-1, 1], resized, cropped and mirrored.

        With more than one number of channels the file holds as many pictures of equal width side
        by side, which are cropped and mirrored alike. One channel is luma. Raises UserError naming
        the file where it cannot be read or is too small to crop.
        """
        return self._crop_and_flip(path, self.reader.read_uint8(path, *channels), rng, channels)

    def read_next(
        self, paths: Sequence[str], index: int, rng: Random, *channels: int
    ) -> tuple[str, tuple[Tensor, ...]]:
        """As `read`, of `paths[index]` or, in training, of the next file that can be read.

        After the last path comes the first. Returns the path too. Raises UnreadableImageError at
        inference, DataError in training after more unreadable files in a row than --max_bad_images
        allows.
        """
        path, levels = self.reader.read_next_readable(paths, index, *channels)
        return path, self._crop_and_flip(path, levels, rng, channels)

    def _crop_and_flip(
        self, path: str, levels: Uint8Image, rng: Random, channels: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        crop_flip = draw_crop_flip(self.opt, size_of(levels), rng, path)
        return crop_and_flip(levels, self.opt, crop_flip).split(channels)

    @abstractmethod
    def __len__(self) -> int:
        """Number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, index: int) -> dict[str, Any]:
        """An item: images (C, H, W) in [-1, 1] and their paths."""
