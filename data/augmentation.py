"""Random changes of training images beside crop and flip: rotation, parts of random size, colours.

Legend: images are (C, H, W), uint8 or float32 from 0 to 255, after the resize and before the crop.
A pair, or more images side by side, is stacked along C: all parts are changed alike. The functions
are those of torchvision.transforms.v2; the random numbers are those of the item, so that they
depend on (seed, epoch, index) alone.
"""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from util.errors import UsageError
from util.images import Uint8Image

from .transforms import CropFlip, has_crop

JITTER_HELP = "brightness, contrast, saturation, hue, such as 0.2,0.2,0.2,0.05"
LARGEST_HUE = 0.5
"""Half the colour circle."""
ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Width to height of the parts of random size, at least and at most."""
TRIES = 10
"""So many parts are drawn until one is inside the image; else it is the whole image."""


@dataclass(frozen=True)
class Augmentation:
    """What is changed; a value of 0 changes nothing.

    `jitter` is four strengths: of brightness, contrast and saturation, whose factors are drawn from
    1 minus to 1 plus the strength, and of hue, which is shifted by at most so many turns of the
    colour circle. `degrees` is the largest rotation either way. `min_scale` is the smallest share
    of the image's area that a part of random size has.
    """

    jitter: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    degrees: float = 0.0
    min_scale: float = 0.0

    def apply(
        self,
        image: Uint8Image,
        crop_flip: CropFlip,
        opt: Namespace,
        rng: Random,
        parts: Sequence[int],
    ) -> tuple[Uint8Image, CropFlip]:
        """Return the changed image and the crop and flip that then apply to it.

        `parts` are the channels of the images that are stacked; those that are not RGB keep their
        saturation and hue. A part of random size is resized to --crop_size.
        """
        if self.degrees:
            pixels = _rotated(image, rng.uniform(-self.degrees, self.degrees))
        else:
            pixels = torch.from_numpy(np.ascontiguousarray(image))
        if self.min_scale:
            pixels = _part(pixels, self.min_scale, opt.crop_size, rng)
            crop_flip = CropFlip(flip=crop_flip.flip)
        if any(self.jitter):
            changes = _draw_changes(self.jitter, rng)
            # in torchvision white is 255 in uint8, and 1 in floating point
            white = 255.0 if pixels.is_floating_point() else 1
            split = (pixels / white if white != 1 else pixels).split(tuple(parts))
            pixels = torch.cat([_recoloured(part, changes) for part in split]) * white
        if pixels.is_floating_point():
            pixels = pixels.clamp(0, 255)  # a bicubic resize goes beyond
        return pixels.numpy(), crop_flip


def augmentation_of(opt: Namespace) -> Augmentation | None:
    """Return what the options ask for, None where they ask for nothing, as all at inference.

    Raises UsageError where a value is out of its range or does not suit --preprocess.
    """
    if not opt.isTrain:
        return None
    augmentation = Augmentation(
        _jitter(opt.color_jitter), opt.random_rotation, opt.random_resized_crop
    )
    if not 0 <= augmentation.degrees <= 180:
        raise UsageError(
            f"--random_rotation {opt.random_rotation:g}: must be from 0 to 180 degrees"
        )
    if not 0 <= augmentation.min_scale <= 1:
        raise UsageError(
            f"--random_resized_crop {opt.random_resized_crop:g}: must be a share of the image's "
            "area, at most 1; 0 is off"
        )
    if augmentation.min_scale and not has_crop(opt):
        raise UsageError(
            f"--random_resized_crop: --preprocess {opt.preprocess} does not crop; use one that does"
        )
    return augmentation if augmentation != Augmentation() else None


def _jitter(text: str) -> tuple[float, ...]:
    """Return the four strengths of --color_jitter, zeros where it is empty."""
    if not text:
        return Augmentation.jitter
    try:
        strengths = tuple(float(part) for part in text.split(","))
    except ValueError:
        strengths = ()
    limits = (math.inf, math.inf, math.inf, LARGEST_HUE)
    fits = [0 <= value <= limit for value, limit in zip(strengths, limits, strict=False)]
    if len(strengths) != len(limits) or not all(fits):
        raise UsageError(
            f"--color_jitter {text}: give four numbers from 0 ({JITTER_HELP}), hue at most "
            f"{LARGEST_HUE}"
        )
    return strengths


def _rotated(image: Uint8Image, degrees: float) -> Tensor:
    """Rotate about the centre; beyond its edges the image is continued by its reflection."""
    from torchvision.transforms.v2 import InterpolationMode, functional

    height, width = image.shape[-2:]
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    wide = max(0, math.ceil((width * cosine + height * sine - width) / 2)) + 1
    high = max(0, math.ceil((width * sine + height * cosine - height) / 2)) + 1
    # by NumPy, which reflects more than once where a margin is wider than the image
    padded = torch.from_numpy(np.pad(image, ((0, 0), (high, high), (wide, wide)), mode="reflect"))
    rotated = functional.rotate(padded, degrees, InterpolationMode.BILINEAR)
    return functional.center_crop(rotated, [height, width])


def _part(image: Tensor, min_scale: float, side: int, rng: Random) -> Tensor:
    """Return a part of the image resized to a square of `side` pixels."""
    from torchvision.transforms.v2 import InterpolationMode, functional

    height, width = image.shape[-2:]
    box = (0, 0, height, width)
    for _ in range(TRIES):
        area = width * height * rng.uniform(min_scale, 1)
        ratio = math.exp(rng.uniform(*map(math.log, ASPECT_RATIOS)))
        wide, high = max(1, round(math.sqrt(area * ratio))), max(1, round(math.sqrt(area / ratio)))
        if wide <= width and high <= height:
            box = (rng.randint(0, height - high), rng.randint(0, width - wide), high, wide)
            break
    bicubic = InterpolationMode.BICUBIC
    return functional.resized_crop(image, *box, [side, side], bicubic, antialias=True)


def _draw_changes(jitter: Sequence[float], rng: Random) -> list[tuple[str, float]]:
    """Return name -> factor (of hue: shift) of each change, in a random order."""
    names = ("brightness", "contrast", "saturation", "hue")
    changes = []
    for name, strength in zip(names, jitter, strict=True):
        middle = 0 if name == "hue" else 1
        low = middle - strength if name == "hue" else max(0, 1 - strength)
        if strength:
            changes.append((name, rng.uniform(low, middle + strength)))
    return rng.sample(changes, len(changes))


def _recoloured(image: Tensor, changes: Sequence[tuple[str, float]]) -> Tensor:
    from torchvision.transforms.v2 import functional

    is_rgb = image.shape[0] == 3
    if not is_rgb:  # as so many gray images
        image = image[:, None]
    for name, value in changes:
        if is_rgb or name not in ("saturation", "hue"):
            image = getattr(functional, f"adjust_{name}")(image, value)
    return image if is_rgb else image[:, 0]
