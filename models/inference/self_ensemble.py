"""Averages the translations of mirrored and shifted copies of an image."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from util.errors import UserError

NUMBERS = (1, 2, 4, 8)
"""How many copies there may be; 1 is the image alone."""
COPIES = (
    *((False, 0, 0), (True, 0, 0), (False, 1, 2), (True, 1, 2)),
    *((False, 2, -1), (True, 2, -1), (False, -1, 1), (True, -1, 1)),
)
"""Mirrored or not, and shifted down and right by so many pixels.

Checkerboards stay with the pixel grid as the content moves. Modulo 4, the stride of residual
generators, no two of the four shifts have a row or a column in common. Four copies average out what
has a period of 2 pixels, eight also a period of 4 along one axis; coarser patterns become weaker.
"""
LARGEST_SHIFT = 2


def self_ensemble(translate: Callable[[Tensor], Any], images: Tensor, number: int) -> Tensor:
    """Return the mean of the translations of the first `number` COPIES of images (N, C, H, W).

    Mirroring is that of the geometric self-ensemble (arXiv 1707.02921, section 4.3), shifting that
    of cycle spinning (Coifman and Donoho, Translation-Invariant De-Noising, 1995). H and W must be
    above LARGEST_SHIFT: a copy is filled by reflection where a shift leaves it empty. Pixels that
    it moves out are the mean of the other copies. The result is on the device of the images. Raises
    UserError where `translate` does not return images of the size of its input.
    """
    total, count = images.new_zeros(()), images.new_zeros((1, 1, *images.shape[-2:]))
    for mirrored, down, right in COPIES[:number]:
        output = translate(_copy(images, mirrored, down, right))
        if not isinstance(output, Tensor) or output.shape[-2:] != images.shape[-2:]:
            raise cannot_average(number)
        output = (output.flip(-1) if mirrored else output).to(images.device)
        rows, moved_rows = _overlap(down)
        columns, moved_columns = _overlap(-right if mirrored else right)
        if total.ndim == 0:
            total = torch.zeros_like(output)
        total[..., rows, columns] += output[..., moved_rows, moved_columns]
        count[..., rows, columns] += 1
    return total.div_(count)


def cannot_average(number: int) -> UserError:
    """Return the error of a network whose results cannot be averaged."""
    return UserError(
        f"--self_ensemble {number}: the network does not translate images into images of the same "
        "size, so that copies cannot be averaged; leave the flag out"
    )


def _copy(images: Tensor, mirrored: bool, down: int, right: int) -> Tensor:
    """Return a copy, of the same memory layout for all, so that compiling makes one graph."""
    images = images.flip(-1) if mirrored else images
    if down or right:
        height, width = images.shape[-2:]
        top, left = LARGEST_SHIFT - down, LARGEST_SHIFT - right
        padded = F.pad(images, [LARGEST_SHIFT] * 4, mode="reflect")
        images = padded[..., top : top + height, left : left + width]
    return images.clone(memory_format=torch.contiguous_format)


def _overlap(shift: int) -> tuple[slice, slice]:
    """Return which part of an axis a shift leaves in the image, and where it is afterwards."""
    first, last = slice(None, -abs(shift) or None), slice(abs(shift), None)
    return (first, last) if shift >= 0 else (last, first)
