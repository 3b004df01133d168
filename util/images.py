"""Between tensors in [-1, 1] and 8-bit pictures."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .files import write_atomically

ImageArray = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

Uint8Image = npt.NDArray[np.uint8]
"""(..., C, H, W) uint8."""

ORIENTATION = 0x0112
"""The EXIF tag."""

PNG_LEVEL = 4
"""Of compression, 0 to 9: Pillow's 6 takes up to twice as long for files 1 % smaller."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as 8-bit RGB, turned upright by its EXIF orientation.

    16-bit gray is scaled to 8 bits; transparency is dropped. What is so already is not copied.
    """
    turned = image.getexif().get(ORIENTATION, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode.startswith("I;16"):
        levels = np.asarray(upright).astype(np.uint16)
        upright = Image.fromarray((levels // 257).astype(np.uint8))
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB or gray picture -> (3 or 1, H, W)."""
    return to_float_tensor(to_uint8(image))


def to_uint8(image: Image.Image) -> Uint8Image:
    """An RGB or gray picture, its colours interleaved in memory."""
    return np.array(image).reshape(image.height, image.width, -1).transpose(2, 0, 1)


def to_float_tensor(levels: Uint8Image) -> Tensor:
    """Levels -> float32 of the same shape: 0 -> -1, 255 -> 1.

    In NumPy: PyTorch would share so small a task among threads, and wait for busy cores.
    """
    values = levels.astype(np.float32, order="C")
    values /= 127.5  # to the last bit what (x / 255 - 0.5) / 0.5 gives, in fewer passes
    values -= 1
    return torch.from_numpy(values)


def tensor2im(images: Tensor) -> ImageArray:
    """The first image of a batch as a picture: (N, C, H, W) in [-1, 1] -> (H, W, 3) uint8.

    C is 3, or else the first channel is shown as gray. Values are rounded and clamped, so that
    a picture that went in comes out with the same levels.
    """
    return to_image_array(images[0])


def to_image_array(image: Tensor) -> ImageArray:
    """(C, H, W) in [-1, 1] -> (H, W, 3) uint8. In NumPy, as `to_float_tensor` is."""
    if image.shape[0] != 3:
        image = image[:1].expand(3, -1, -1)
    levels = (image.detach().to("cpu", torch.float32).numpy() + 1) * 127.5
    return np.ascontiguousarray(levels.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def save_image(picture: ImageArray, path: Path | str, aspect_ratio: float = 1.0) -> None:
    """Write a picture, whole or not at all; the file's ending decides the format.

    `aspect_ratio` is width by height of a pixel: above 1 widens the picture, below 1 heightens it.
    """
    image = stretched(Image.fromarray(picture), aspect_ratio)
    path = Path(path)
    file_format = Image.registered_extensions()[path.suffix.lower()]

    def write(file: BinaryIO) -> None:
        image.save(file, format=file_format, compress_level=PNG_LEVEL)  # others pass it over

    write_atomically(path, write)


def stretched(image: Image.Image, aspect_ratio: float) -> Image.Image:
    """A picture of square pixels from one whose pixels are `aspect_ratio` wide by 1 high."""
    if aspect_ratio == 1:
        return image
    width, height = image.size
    if aspect_ratio > 1:
        width = round(width * aspect_ratio)
    else:
        height = round(height / aspect_ratio)
    return image.resize((width, height), Image.Resampling.BICUBIC)
