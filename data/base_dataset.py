"""What every data set shares."""

import random
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from typing import Any

import torch.utils.data

from util.random_streams import stream

from .reading.pictures import Pictures


class BaseDataset(torch.utils.data.Dataset[dict[str, Any]], ABC):
    """A data set whose item is a pure function of (opt.seed, self.epoch, index).

    A plug-in implements `__len__` and `__getitem__`; what it draws, it draws from
    `self.random(index)`; what it reads through `self.pictures` may come from the cache. The loader
    sets `epoch` (from 1) before it asks for items.
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.root: str = opt.dataroot
        self.epoch = 1
        self.pictures = Pictures(opt)

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags of this data set and change defaults of others."""
        return parser

    def random(self, index: int) -> random.Random:
        """The random stream of one item in this epoch, the same in any worker."""
        return stream(self.opt.seed or 0, "item", self.epoch, index)

    @abstractmethod
    def __len__(self) -> int:
        """Number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, index: int) -> dict[str, Any]:
        """An item: images (C, H, W) in [-1, 1] and their paths."""
