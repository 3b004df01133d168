"""The helpers of the reference's data/base_dataset.py, by name: doors to data/transforms.py.

Legend: images are Pillow images; sizes and sides are in pixels.
"""

import logging
from typing import TYPE_CHECKING

from PIL import Image

from .transforms import resized, round_side, width_scaled

if TYPE_CHECKING:
    from torchvision.transforms.v2 import InterpolationMode

log = logging.getLogger(__name__)

_warned: set[str] = set()


def make_power_2(
    img: Image.Image,
    base: int,
    method: "int | InterpolationMode" = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Return the image with each side resized to the nearest multiple of `base`."""
    width, height = (round_side(side, base) for side in img.size)
    return resized(img, (width, height), method)


def scale_width(
    img: Image.Image,
    target_size: int,
    crop_size: int,
    method: "int | InterpolationMode" = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Return the image resized to the width `target_size`, and a height of at least `crop_size`."""
    return resized(img, width_scaled(img.size, target_size, crop_size), method)


def crop(img: Image.Image, pos: tuple[int, int], size: int) -> Image.Image:
    """Return the square of `size` whose upper left corner is `pos` (x, y).

    An image that is not larger than that is returned itself.
    """
    x, y = pos
    if img.width <= size and img.height <= size:
        return img
    return img.crop((x, y, x + size, y + size))


def flip(img: Image.Image, flip: bool) -> Image.Image:
    """Return the image mirrored from left to right if `flip`, else itself."""
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else img


def transforms2pil_resize(method: "int | InterpolationMode") -> Image.Resampling:
    """Return the filter of Pillow of that interpolation (of Pillow or of torchvision)."""
    if isinstance(method, int):
        return Image.Resampling(method)
    return Image.Resampling[method.name]


def print_size_warning(ow: int, oh: int, w: int, h: int) -> None:
    """Log once that images of (ow, oh) are resized to (w, h)."""
    if "size" not in _warned:
        _warned.add("size")
        log.info("images are resized, the first one from %dx%d to %dx%d", ow, oh, w, h)
