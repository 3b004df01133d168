"""Differentiable augmentation of what discriminators see (arXiv 2006.10738), for small data sets.

Legend: images are (N, C, H, W); draws are (N, k) in [0, 1), one row for each image.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from util import global_batch

SHIFT = 8
"""Images are shifted by up to an eighth of their sides."""


def color(images: Tensor, draws: Tensor) -> Tensor:
    """Change brightness by up to 0.5, saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = draws.view(*draws.shape, 1, 1, 1).unbind(1)
    images = images + (brightness - 0.5)
    gray = images.mean(dim=1, keepdim=True)
    images = gray + 2 * saturation * (images - gray)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (images - mean)


def translation(images: Tensor, draws: Tensor) -> Tensor:
    """Shift by up to an eighth of the sides, with zeros where nothing was."""
    N, _, H, W = images.shape
    y, x = H // SHIFT, W // SHIFT
    padded = F.pad(images, (x, x, y, y)).permute(0, 2, 3, 1)
    rows = torch.arange(H, device=images.device) + (draws[:, :1] * (2 * y + 1)).long()
    columns = torch.arange(W, device=images.device) + (draws[:, 1:] * (2 * x + 1)).long()
    number = torch.arange(N, device=images.device).view(N, 1, 1)
    return padded[number, rows.view(N, H, 1), columns.view(N, 1, W)].permute(0, 3, 1, 2)


def cutout(images: Tensor, draws: Tensor) -> Tensor:
    """Set a rectangle of half the sides, which may reach beyond the image, to zero."""
    N, _, H, W = images.shape
    rows, columns = (_inside(side, draws[:, [axis]]) for axis, side in enumerate((H, W)))
    return images.masked_fill(rows.view(N, 1, H, 1) & columns.view(N, 1, 1, W), 0.0)


def _inside(side: int, draws: Tensor) -> Tensor:
    """Return which of the places along a side are in a half of it with a random centre."""
    half = (side + 1) // 2
    first = (draws * (side + 1 - half % 2)).floor() - half // 2
    place = torch.arange(side, device=draws.device)
    return (first <= place) & (place < first + half)


AUGMENTATIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "color": (color, 3),
    "translation": (translation, 2),
    "cutout": (cutout, 2),
}
"""Name -> function and the number of its draws for each image."""


class DiffAugment:
    """Augments images at random, real and generated ones alike; gradients pass through.

    `names` are those of `AUGMENTATIONS` with commas between; "" leaves images as they are.
    """

    def __init__(self, names: str, generator: torch.Generator) -> None:
        self.generator = generator
        self.steps = [AUGMENTATIONS[name] for name in names.split(",") if name]

    def __call__(self, images: Tensor, first: int = 0) -> Tensor:
        """Return images (N, C, H, W) augmented.

        With `first` they are pairs, of which the first image has so many channels; both images of
        a pair are augmented alike.
        """
        for function, columns in self.steps:
            draws = global_batch.draw(len(images), columns, self.generator).to(images.device)
            parts = images.split([first, images.shape[1] - first], dim=1) if first else [images]
            images = torch.cat([function(part, draws) for part in parts], dim=1)
        return images
