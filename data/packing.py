"""Batches from worker processes to the main one, as bytes where that loses nothing.

A float tensor would go through a file of shared memory of its own, whose making, sending and
mapping takes longer than all else once pictures are small; 8-bit levels are a quarter of it and go
through the pipe that the rest of the batch takes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from util.images import Levels, as_floats


class Packed:
    """Levels (N, C, H, W) on their way; unpacked they are float32 in [-1, 1]."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels

    def pin_memory(self) -> Tensor:
        """Called by the thread of a DataLoader that pins."""
        return as_floats(self.levels).pin_memory()

    def unpack(self) -> Tensor:
        """float32 (N, C, H, W)."""
        return as_floats(self.levels)


def pack(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch with those tensors packed that are the same, bit by bit, when they are unpacked."""
    return {key: _packed(value) for key, value in batch.items()}


def unpack(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch that was packed."""
    return {
        key: value.unpack() if isinstance(value, Packed) else value for key, value in batch.items()
    }


def _packed(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.dim() != 4:
        return value
    values = value.numpy()
    with np.errstate(invalid="ignore"):  # what is no level is found out below
        levels = (values * 127.5 + 128).astype(np.uint8)
    return Packed(levels) if np.array_equal(as_floats(levels).numpy(), values) else value
