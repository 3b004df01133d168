"""Unpaired images from tar shards, as the package WebDataset reads them."""

from argparse import ArgumentParser, Namespace
from typing import Any

from .base_dataset import BaseDataset
from .reading.shard_order import ShardOrder
from .reading.shard_streams import ShardStreams
from .reading.shards import ShardImages, find_shards


class ShardsDataset(BaseDataset):
    """A and B from `<dataroot>/{phase}A-*.tar` and `{phase}B-*.tar`, or from tar files by name.

    Items are in a random order of each epoch that reads few shards at a time, A and B in orders
    of their own; the shorter side begins again. With `--serial_batches` both are as stored.
    """

    in_random_order = True
    draws_from_own_stream = True

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add the flags of shards."""
        add = parser.add_argument_group("shards (see docs/training.md)").add_argument
        add(
            "--dataroot_B",
            type=str,
            default="",
            help="tar shards of B where --dataroot names those of A, such as 'A-{000..063}.tar', "
            "rather than a folder",
        )
        add(
            "--shard_images",
            type=int,
            default=None,
            help="images in every shard, for pipes and URLs without an index",
        )
        add(
            "--shard_streams",
            type=int,
            default=64,
            help="shards of each side that are read at a time by all processes together, at most "
            "as many as there are; best a multiple of processes x batch size x workers",
        )
        add(
            "--shard_shuffle",
            type=int,
            default=2048,
            help="images of each side that are shuffled together, over all streams",
        )
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        found = {side: find_shards(opt, side) for side in "AB"}
        count = min(opt.shard_streams, *map(len, found.values()))
        block = -(-opt.shard_shuffle // count)
        streams = ShardStreams(window=block, limit=2 * count + 2)
        self.A_paths = ShardImages(found["A"], streams)
        self.B_paths = ShardImages(found["B"], streams)
        self._orders = {
            side: ShardOrder([s.images for s in shards], count, block, opt.seed or 0, side)
            for side, shards in found.items()
        }
        forward = opt.direction == "AtoB"
        self.A_nc = opt.input_nc if forward else opt.output_nc
        self.B_nc = opt.output_nc if forward else opt.input_nc

    def __len__(self) -> int:
        """Return the length of the longer side."""
        return max(len(self.A_paths), len(self.B_paths))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (A_nc, H, W) and `B` (B_nc, H, W) in [-1, 1], `A_paths` and `B_paths`."""
        rng = self.random(index)
        A_path, (A,) = self.read_next(self.A_paths, self._stored("A", index), rng, self.A_nc)
        B_path, (B,) = self.read_next(self.B_paths, self._stored("B", index), rng, self.B_nc)
        return {"A": A, "B": B, "A_paths": str(A_path), "B_paths": str(B_path)}

    def _stored(self, side: str, index: int) -> int:
        if self.opt.serial_batches:
            return index
        return self._orders[side].index(self.epoch, index)
