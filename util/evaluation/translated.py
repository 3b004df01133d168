"""Translating a set of images in memory, with the error of the way back.

Legend: levels are (3, H, W) uint8; images (1, 3, H, W) float32 in [-1, 1].
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from util.images import Uint8Image, to_float_tensor, to_image_array

Translate = Callable[[Tensor], Tensor]
"""A generator at work: (1, 3, H, W) in [-1, 1], on the CPU or as a Translate returned it ->
(1, 3, H, W) in [-1, 1], on any device. It is called without gradients."""

LEVELS = 127.5
"""In one unit of [-1, 1]."""


class Translated:
    """Iterates over (name, levels) of the translations, in the order of the names.

    With `backward` the mean absolute difference between an image and its way there and back is
    noted in `cycle_errors`, in levels; the way back begins at what the generator returned, which
    is not rounded to levels.
    """

    def __init__(
        self,
        images: Mapping[str, Uint8Image],
        forward: Translate,
        backward: Translate | None = None,
    ) -> None:
        self.images, self.forward, self.backward = images, forward, backward
        self.cycle_errors: dict[str, float] = {}

    def __iter__(self) -> Iterator[tuple[str, Uint8Image]]:
        for name in sorted(self.images):
            image = to_float_tensor(self.images[name]).unsqueeze(0)
            with torch.no_grad():
                fake = self.forward(image)
                if self.backward is not None:
                    self.cycle_errors[name] = difference(self.backward(fake), image)
            yield name, np.ascontiguousarray(to_image_array(fake[0]).transpose(2, 0, 1))


@torch.no_grad()
def identity_errors(images: Mapping[str, Uint8Image], forward: Translate) -> dict[str, float]:
    """Mean absolute difference that a generator makes to images of its target, in levels."""
    errors = {}
    for name in sorted(images):
        image = to_float_tensor(images[name]).unsqueeze(0)
        errors[name] = difference(forward(image), image)
    return errors


def difference(found: Tensor, image: Tensor) -> float:
    """Mean absolute difference in levels, computed on the CPU."""
    found = found.detach().to("cpu").double()
    return float((found - image.double()).abs().mean()) * LEVELS
