"""Activations too large for the memory: stored in blocks, read by regions.

Legend: C channels, H W height and width of the whole activation, h w of a region.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from util.errors import UserError

SMALLEST_SIDE = 32
"""Of a block, in pixels: with smaller ones the borders that neighbours share cost more."""


@dataclass(frozen=True)
class Region:
    """A rectangle of an activation: rows top to bottom, columns left to right, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, (h, w)."""
        return self.bottom - self.top, self.right - self.left

    def within(self, top: int = 0, left: int = 0) -> tuple[Any, slice, slice]:
        """Return the index of the region in a tensor (..., H, W) whose corner is at (top, left)."""
        rows = slice(self.top - top, self.bottom - top)
        return ..., rows, slice(self.left - left, self.right - left)


class Statistics:
    """Mean and variance of each channel, accumulated tile by tile in float64.

    They are combined as by Chan, Golub and LeVeque (1979), without cancellation.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)
        """Sum of squared differences from the mean."""

    def add(self, tile: Tensor) -> None:
        """Add a tile (1, C, h, w)."""
        added = tile.shape[-2] * tile.shape[-1]
        var, mean = torch.var_mean(tile.float(), dim=(0, 2, 3), correction=0)
        var, difference = var.cpu().double(), mean.cpu().double() - self.mean
        both = self.count + added
        self.squares += added * var + difference**2 * (self.count * added / both)
        self.mean += difference * (added / both)
        self.count = both

    @property
    def variance(self) -> Tensor:
        """The mean of the squared differences, (C,) float64."""
        return self.squares / self.count


@dataclass(frozen=True)
class Value:
    """The output of a layer for the whole image, of which only the regions that are read exist.

    Reading a region computes it from the inputs of the layer, or loads it from a `Canvas`.
    """

    shape: tuple[int, int, int]
    """Channels, height and width, (C, H, W)."""
    read: Callable[[Region], Tensor]
    """Returns the values of a region, a new tensor (1, C, h, w)."""
    statistics: Statistics | None = None
    """Of the whole activation, if it was computed completely."""
    reflected: int = 0
    """Width of reflection padding around it, which `read` does not include."""


class Store:
    """Makes the canvases for one image of `height` rows, whose blocks have `tile` pixels a side.

    Canvases are stored in host memory, or in files without a name in `folder` if it is given: the
    system frees these however the process ends.
    """

    def __init__(self, tile: int, height: int, folder: Path | None) -> None:
        self.tile, self.height, self.folder = tile, height, folder

    def canvas(self, shape: tuple[int, int, int]) -> "Canvas":
        """Make an empty canvas (C, H, W); at a lower resolution its blocks are smaller too.

        Raises UserError where no file can be made.
        """
        side = max(SMALLEST_SIDE, -(-self.tile * shape[1] // self.height))
        return Canvas(shape, side, self.folder)


class Canvas:
    """A stored activation, (C, H, W) float32 in square blocks, deleted with this object."""

    def __init__(self, shape: tuple[int, int, int], side: int, folder: Path | None) -> None:
        self.shape, self.side, self.folder = shape, side, folder
        self.blocks: dict[tuple[int, int], Tensor] = {}
        self.places: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        """The offset of each block in the file, and its shape."""
        self.file: Any = None
        if folder is not None:
            with self._naming_the_folder():
                self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below

    def regions(self) -> Iterator[Region]:
        """Iterate over the regions of the blocks."""
        _, H, W = self.shape
        for top in range(0, H, self.side):
            for left in range(0, W, self.side):
                yield Region(top, min(top + self.side, H), left, min(left + self.side, W))

    def write(self, region: Region, tile: Tensor) -> None:
        """Store (1, C, h, w) as the block `region`. Raises UserError if the disk is full."""
        key = (region.top // self.side, region.left // self.side)
        block = tile[0].to("cpu", torch.float32).contiguous()
        if self.file is None:
            self.blocks[key] = block.clone() if block.data_ptr() == tile.data_ptr() else block
            return
        with self._naming_the_folder():
            self.places[key] = self.file.seek(0, os.SEEK_END), tuple(block.shape)
            self.file.write(block.numpy().data)
            self.file.flush()

    def read(self, region: Region) -> Tensor:
        """Return the values of any region, a new tensor (1, C, h, w)."""
        gathered = torch.empty(1, self.shape[0], *region.size)
        for i in range(region.top // self.side, (region.bottom - 1) // self.side + 1):
            for j in range(region.left // self.side, (region.right - 1) // self.side + 1):
                top, left = i * self.side, j * self.side
                part = Region(
                    max(region.top, top),
                    min(region.bottom, top + self.side),
                    max(region.left, left),
                    min(region.right, left + self.side),
                )
                index = part.within(region.top, region.left)
                gathered[0][index] = self._part(i, j, part.within(top, left))
        return gathered

    def _part(self, i: int, j: int, index: tuple[Any, slice, slice]) -> Tensor:
        if self.file is None:
            return self.blocks[i, j][index]
        offset, shape = self.places[i, j]
        # mapped only while it is read: mapped files count as resident memory
        block = np.memmap(self.file, np.float32, "r", offset, shape)
        return torch.from_numpy(np.array(block[index]))

    def __del__(self) -> None:
        if self.file is not None:
            self.file.close()

    @contextmanager
    def _naming_the_folder(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"--tile: cannot write activations to {self.folder} ({error.strerror or error}); "
                "point TMPDIR to a folder on a disk with more space"
            ) from error
