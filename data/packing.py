"""Batches on their way from worker processes: images as bytes where that is exact."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from util.images import Uint8Image, to_float_tensor


class Packed:
    """Images (N, C, H, W) sent as uint8; unpacked they are float32 in [-1, 1].

    A float tensor would be sent through a shared-memory file of its own; creating, sending and
    mapping that file takes longer than everything else where images are small. As uint8 the images
    take a quarter of the bytes, and the pipe that the rest of the batch takes.
    """

    def __init__(self, images: Uint8Image) -> None:
        self.images = images

    def pin_memory(self) -> Tensor:
        """Unpack into page-locked memory; the pinning thread of DataLoader calls this by name."""
        return to_float_tensor(self.images).pin_memory()

    def unpack(self) -> Tensor:
        """Return the images as float32 (N, C, H, W) in [-1, 1]."""
        return to_float_tensor(self.images)


def pack(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch with those tensors packed that unpacking restores bit for bit."""
    return {key: _packed(value) for key, value in batch.items()}


def unpack(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch as it was before `pack`."""
    return {
        key: value.unpack() if isinstance(value, Packed) else value for key, value in batch.items()
    }


def _packed(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.dim() != 4:
        return value
    if value.requires_grad or value.device.type != "cpu":  # as a plug-in may return
        return value
    values = value.numpy()
    with np.errstate(invalid="ignore"):  # values that are not exact are detected below
        images = (values * 127.5 + 128).astype(np.uint8)  # 127.5, and 0.5 to round
    return Packed(images) if np.array_equal(to_float_tensor(images).numpy(), values) else value
