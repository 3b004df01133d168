"""Conversion between tensors in [-1, 1] and 8-bit images, and writing images to files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from .deep_images import kind_of, to_levels
from .errors import UserError
from .files import write_atomically
from .image_files import DAMAGE

ImageArray = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

Visual: TypeAlias = "Tensor | npt.NDArray[Any]"
"""What a model shows: images (N, C, H, W) in [-1, 1], or one as an array (H, W, 3) in 0 to 255."""

Uint8Image = npt.NDArray[np.uint8]
"""(..., C, H, W) uint8."""

ORIENTATION = 0x0112
"""The EXIF tag that tells how the camera was held."""
ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
"""The modes of Pillow with transparency; others may have a transparent colour."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Its values, and what turns the image upright; 1 is upright."""

PNG_LEVEL = 4
"""The level of compression, 0 to 9: Pillow's 6 takes up to twice as long for files 1 % smaller."""


@dataclass(frozen=True)
class Pixels:
    """How files whose pixels are not RGB of 8 bits are read, by the flags of the same names.

    Without a background all channels of a file are read as they are, transparency too.
    """

    value_range: str = ""
    background: str | None = "black"

    @staticmethod
    def of(options: Mapping[str, Any]) -> "Pixels":
        """Return those of the options of a run, which older versions may have stored."""
        names = {"value_range", "background"} & options.keys()
        return Pixels(**{name: options[name] for name in names})


BY_TYPE = Pixels()
"""The defaults: the range of a file follows from its type."""


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where the file has none or a damaged one."""
    try:
        value = image.getexif().get(ORIENTATION)
    except DAMAGE:  # the pixels may be intact
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def upright_rgb(image: Image.Image, pixels: Pixels = BY_TYPE) -> Image.Image:
    """Return an image of any mode as 8-bit RGB, turned upright by its EXIF orientation.

    More bits are rounded to 8, as `pixels` says; transparent pixels show its background; CMYK is
    converted by its colour profile, where it has one. An upright RGB image is returned itself, not
    copied.
    """
    turn = TURNS.get(orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if len(upright.getbands()) == 1 and kind_of(upright):
        levels = to_levels(np.asarray(upright), kind_of(upright), pixels.value_range)
        upright = Image.fromarray(levels.round().astype(np.uint8))
    if upright.mode in ALPHA or "transparency" in upright.info:
        shown = Image.new("RGBA", upright.size, pixels.background)
        return Image.alpha_composite(shown, upright.convert("RGBA")).convert("RGB")
    if upright.mode == "CMYK" and upright.info.get("icc_profile"):
        return _by_profile(upright)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _by_profile(image: Image.Image) -> Image.Image:
    """Return a CMYK image as sRGB, without its profile where that is damaged."""
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImportError, *DAMAGE):  # Pillow may be built without it
        return image.convert("RGB")
    return converted or image.convert("RGB")


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB or gray image as float32 (3 or 1, H, W) in [-1, 1]."""
    return to_float_tensor(to_uint8(image))


def to_uint8(image: Image.Image) -> Uint8Image:
    """Return an RGB or gray image as (3 or 1, H, W), in memory still (H, W, 3 or 1)."""
    return np.array(image).reshape(image.height, image.width, -1).transpose(2, 0, 1)


def to_float_tensor(levels: npt.NDArray[Any]) -> Tensor:
    """Return 8-bit levels as float32 of the same shape in [-1, 1]: 0 -> -1, 255 -> 1.

    Fractions of levels, in float32, are converted as they are. Computed in NumPy, since PyTorch
    would split so small a task among threads and wait for busy cores.
    """
    values = levels.astype(np.float32, order="C")
    values /= 127.5  # equals (x / 255 - 0.5) / 0.5 to the last bit, in fewer passes
    values -= 1
    return torch.from_numpy(values)


def images_of(visual: Visual, count: int) -> Sequence[Visual]:
    """Return the `count` images of a batch, each as `to_image_array` takes it.

    Raises UserError where an array shows one image and the batch has more.
    """
    if isinstance(visual, Tensor):
        return list(visual)
    if count > 1:
        raise UserError(
            f"--batch_size: the model shows one image as an array (H, W, 3), not {count}; "
            "leave --batch_size out"
        )
    return [visual]


def tensor2im(images: Visual) -> ImageArray:
    """Return the first image of a batch: (N, C, H, W) in [-1, 1] -> (H, W, 3) uint8.

    C is 3, or else the first channel is shown as gray. Values are rounded and clamped, so that
    `to_tensor` followed by this gives the same levels again. An array is one image already, (H, W)
    or (H, W, 1 or 3) with levels from 0 to 255.
    """
    return to_image_array(images[0] if isinstance(images, Tensor) else images)


def to_image_array(image: Visual) -> ImageArray:
    """Return (C, H, W) in [-1, 1] as (H, W, 3) uint8; in NumPy, as `to_float_tensor` is.

    An array, (H, W) or (H, W, 1 or 3), holds values from 0 to 255, which are rounded and clamped.
    """
    if not isinstance(image, Tensor):
        levels = image if image.ndim == 3 else image[..., None]
        levels = np.broadcast_to(levels, (*levels.shape[:2], 3))
        return np.ascontiguousarray(levels.round().clip(0, 255).astype(np.uint8))
    if image.shape[0] != 3:
        image = image[:1].expand(3, -1, -1)
    levels = np.nan_to_num((image.detach().to("cpu", torch.float32).numpy() + 1) * 127.5)
    return np.ascontiguousarray(levels.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def save_image(image_array: ImageArray, path: Path | str, aspect_ratio: float = 1.0) -> None:
    """Write (H, W, 3) uint8, whole or not at all; the extension of `path` decides the format.

    `aspect_ratio` is width by height of a pixel: above 1 makes the image wider, below 1 higher.
    Raises UserError where the file cannot be written.
    """
    image = stretched(Image.fromarray(image_array), aspect_ratio)
    path = Path(path)
    file_format = Image.registered_extensions()[path.suffix.lower()]

    def write(file: BinaryIO) -> None:
        image.save(file, format=file_format, compress_level=PNG_LEVEL)  # other formats ignore it

    write_atomically(path, write)


def stretched(image: Image.Image, aspect_ratio: float) -> Image.Image:
    """Resize an image whose pixels are `aspect_ratio` wide by 1 high to one of square pixels."""
    if aspect_ratio == 1:
        return image
    return image.resize(stretched_size(image.size, aspect_ratio), Image.Resampling.BICUBIC)


def stretched_size(size: tuple[int, int], aspect_ratio: float) -> tuple[int, int]:
    """Return the (width, height) that `stretched` gives an image of `size`."""
    width, height = size
    if aspect_ratio > 1:
        return round(width * aspect_ratio), height
    return width, round(height / aspect_ratio)
