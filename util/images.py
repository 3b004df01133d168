"""Between tensors in [-1, 1] and 8-bit pictures."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from .files import write_atomically

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""


def tensor2im(images: Tensor) -> Picture:
    """The first image of a batch as a picture: (N, C, H, W) in [-1, 1] -> (H, W, 3) uint8.

    C is 3, or else the first channel is shown as gray. Values are rounded and clamped, so that
    a picture that went in comes out with the same levels.
    """
    return to_picture(images[0])


def to_picture(image: Tensor) -> Picture:
    """(C, H, W) in [-1, 1] -> (H, W, 3) uint8."""
    if image.shape[0] != 3:
        image = image[:1].expand(3, -1, -1)
    levels = image.detach().to("cpu", torch.float32).add(1).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 0).numpy()


def save_image(picture: Picture, path: Path | str, aspect_ratio: float = 1.0) -> None:
    """Write a picture, whole or not at all; the file's ending decides the format.

    `aspect_ratio` is width by height of a pixel: above 1 widens the picture, below 1 heightens it.
    """
    image = Image.fromarray(picture)
    if aspect_ratio > 1:
        size = (round(image.width * aspect_ratio), image.height)
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif aspect_ratio < 1:
        size = (image.width, round(image.height / aspect_ratio))
        image = image.resize(size, Image.Resampling.BICUBIC)
    path = Path(path)
    file_format = Image.registered_extensions()[path.suffix.lower()]
    write_atomically(path, lambda file: image.save(file, format=file_format))
