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

from .augmentation import augmentation_of
from .reading.image_reader import ImageReader, crop_and_flip, size_of
from .transform_helpers import (
    crop,
    flip,
    make_power_2,
    print_size_warning,
    scale_width,
    transforms2pil_resize,
)
from .transforms import check_channels, draw_crop_flip, get_params, get_transform

__all__ = [
    "BaseDataset",
    "crop",
    "flip",
    "get_params",
    "get_transform",
    "make_power_2",
    "print_size_warning",
    "scale_width",
    "transforms2pil_resize",
]

# the names under which data sets written for the reference import these helpers
__make_power_2, __scale_width, __crop, __flip = make_power_2, scale_width, crop, flip
__transforms2pil_resize, __print_size_warning = transforms2pil_resize, print_size_warning


class BaseDataset(torch.utils.data.Dataset[dict[str, Any]], ABC):
    """A data set whose item is a pure function of (opt.seed, self.epoch, index).

    A subclass implements `__len__` and `__getitem__`. It draws random choices from
    `self.random(index)`, or from the global streams of `random`, `numpy.random` and `torch`, which
    are seeded for each item; it reads files as it likes, or through `self.read` and
    `self.read_next`, which use the cache. It lets UnreadableImageError pass: in training the loader
    then takes the next item. Attributes of a subclass may have any name, `reader` and `epoch` too;
    our data sets call `random` and `read` by their type, as an attribute may hide them.
    """

    _item_epoch: int | None = None
    """The epoch that the loader asks an item of; None where there is no loader."""
    _assigned_epoch: Any = None
    in_random_order = False
    """Whether items by index are in a random order of each epoch, which the loader then takes."""

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.root: str = opt.dataroot
        self.set_reader(opt)

    def set_reader(self, opt: Namespace) -> None:
        """Read files as `opt` says from now on."""
        self.reader = self._image_reader = ImageReader(opt)
        self._image_augmentation = augmentation_of(opt)

    @property
    def epoch(self) -> Any:
        """The current epoch, from 1, or what a subclass assigned."""
        return (self._item_epoch or 1) if self._assigned_epoch is None else self._assigned_epoch

    @epoch.setter
    def epoch(self, epoch: Any) -> None:
        self._assigned_epoch = epoch

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags of this data set and change the defaults of others."""
        return parser

    def check_channels(self, *flags: str) -> None:
        """Raise UsageError naming the first of `flags` with other channels than 1 and 3.

        It is for a data set that reads images itself; `read` takes files of any number.
        """
        check_channels(self.opt, *flags)

    def random(self, index: int) -> Random:
        """Return the random stream of one item in this epoch, the same in every worker process."""
        epoch = self._item_epoch or self.epoch
        return stream(self.opt.seed or 0, "item", epoch, index)

    def read(self, path: str, rng: Random, *channels: int) -> tuple[Tensor, ...]:
        """Read an image file, then resize, crop and flip it -> (channels, H, W) in [-1, 1].

        In training it is changed too as --color_jitter, --random_rotation and
        --random_resized_crop say.

        With more than one number of channels the file holds that many images of equal width side by
        side, which share all random choices, or stacked along its channels. A single channel is
        luma; other numbers than 1 and 3 have to be those of the file. Raises UserError naming the
        file where it cannot be read or is too small to crop.
        """
        return self._crop_and_flip(
            path, self._image_reader.read_uint8(path, *channels), rng, channels
        )

    def read_next(
        self, paths: Sequence[str], index: int, rng: Random, *channels: int
    ) -> tuple[str, tuple[Tensor, ...]]:
        """Read `paths[index]` as `read` does or, in training, the next file that can be read.

        The first path follows the last. Returns the path that was read and its images. Raises
        UnreadableImageError at inference, and DataError in training after more consecutive
        unreadable files than --max_bad_images allows.
        """
        path, image = self._image_reader.read_next_readable(paths, index, *channels)
        return path, self._crop_and_flip(path, image, rng, channels)

    def _crop_and_flip(
        self, path: str, image: Uint8Image, rng: Random, channels: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        crop_flip = draw_crop_flip(self.opt, size_of(image), rng, path)
        if self._image_augmentation is not None:
            image, crop_flip = self._image_augmentation.apply(
                image, crop_flip, self.opt, rng, channels
            )
        return crop_and_flip(image, self.opt, crop_flip).split(channels)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return an item: images (C, H, W) in [-1, 1] and their paths."""

    def compact_item(self, index: int) -> dict[str, Any]:
        """Return the item as it is sent from a worker process; `complete` makes batches of such.

        A data set overrides both where an item is larger than what it is computed from.
        """
        return self[index]

    def complete(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch of what `compact_item` returned as a batch of items."""
        return batch
