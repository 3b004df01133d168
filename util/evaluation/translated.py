"""Translating a set of images in memory, with the error of the way back.

Legend: levels are (3, H, W) uint8; images (1, 3, H, W) float32 in [-1, 1].
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from util.images import Uint8Image, to_float_tensor, to_image_array
from util.random_streams import own_random_streams

Translate = Callable[[Tensor], Tensor]
"""A generator at work: (1, 3, H, W) in [-1, 1], on the CPU or as a Translate returned it ->
(1, 3, H, W) in [-1, 1], on any device. It is called without gradients."""

LEVELS = 127.5
"""In one unit of [-1, 1]."""


class Translated(Mapping[str, Uint8Image]):
    """Name -> levels of its translation, made when it is asked for; sorted by name.

    With `backward` the mean absolute difference between an image and its way there and back is
    noted in `cycle_errors`, in levels; the way back begins at what the generator returned, which
    is not rounded to levels. What the generators draw depends on `seed` and the name alone.
    """

    def __init__(
        self,
        images: Mapping[str, Uint8Image],
        forward: Translate,
        backward: Translate | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.forward, self.backward, self.seed = images, forward, backward, seed
        self.cycle_errors: dict[str, float] = {}

    def __getitem__(self, name: str) -> Uint8Image:
        image = to_float_tensor(self.images[name]).unsqueeze(0)
        with torch.no_grad(), own_random_streams(self.seed, "translated", name):
            fake = self.forward(image)
            if self.backward is not None:
                self.cycle_errors[name] = difference(self.backward(fake), image)
        return np.ascontiguousarray(to_image_array(fake[0]).transpose(2, 0, 1))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.images))

    def __len__(self) -> int:
        return len(self.images)


def identity_error(name: str, levels: Uint8Image, forward: Translate, seed: int) -> float:
    """Mean absolute difference that a generator makes to an image of its target, in levels.

    What it draws depends on `seed` and the name alone.
    """
    image = to_float_tensor(levels).unsqueeze(0)
    with torch.no_grad(), own_random_streams(seed, "identity", name):
        return difference(forward(image), image)


def difference(found: Tensor, image: Tensor) -> float:
    """Mean absolute difference in levels, computed on the CPU."""
    found = found.detach().to("cpu").double()
    return float((found - image.double()).abs().mean()) * LEVELS
