"""From an image to a tensor, as `--preprocess` says; random choices are made before, apart from it.

Legend: C channels, H and W height and width in pixels; sizes are (width, height), as in Pillow;
tensors are float32 in [-1, 1]: 0 -> -1, 255 -> 1.

`torchvision` is imported in the functions that call it: importing it takes over a second, and
neither `--help` nor inference on images of their own size needs it.
"""

import random
from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from util.errors import UsageError, UserError
from util.images import to_tensor

if TYPE_CHECKING:
    from torchvision.transforms.v2 import Compose, InterpolationMode

PREPROCESS: dict[str, tuple[str, ...]] = {
    "resize_and_crop": ("resize", "crop"),
    "crop": ("crop",),
    "scale_width": ("scale_width", "round"),
    "scale_width_and_crop": ("scale_width", "crop"),
    "none": ("round",),
    "keep": ("limit",),
}
"""The values of `--preprocess`, and the steps that each takes before the flip."""

SIZE_MULTIPLE = 4
"""Two stride-2 convolutions halve each side twice, so sides are rounded to multiples of 4."""

CHANNELS = (1, 3)
"""How many channels every image can be read with: gray or RGB."""


@dataclass(frozen=True)
class CropFlip:
    """The upper left corner of the crop, in pixels after the resize, and whether to flip."""

    x: int = 0
    y: int = 0
    flip: bool = False


def check_channels(opt: Namespace, *flags: str) -> None:
    """Raise UsageError naming the first of `flags` with another number of channels than 1 and 3."""
    for flag in flags:
        channels = getattr(opt, flag)
        if channels not in CHANNELS:
            raise UsageError(
                f"--{flag} {channels}: these images are read with 1 channel (gray) or 3 (RGB); NPY "
                "and TIFF files may have any number (see docs/datasets.md)"
            )


def size_after_resize(size: tuple[int, int], opt: Namespace) -> tuple[int, int]:
    """Return the size that an image of `size` has after the resize, before the crop."""
    width, height = size
    for step in PREPROCESS[opt.preprocess]:
        if step == "resize":
            width = height = opt.load_size
        elif step == "scale_width":
            width, height = width_scaled((width, height), opt.load_size, opt.crop_size)
        elif step == "round":
            width, height = round_side(width), round_side(height)
        elif step == "limit":
            width, height = _limited(width, height, opt.max_size)
    return width, height


def width_scaled(size: tuple[int, int], width: int, min_height: int) -> tuple[int, int]:
    """Return a size of that width with the proportions of `size`, but at least `min_height`."""
    return width, int(max(width * size[1] / size[0], min_height))


def round_side(side: int, multiple: int = SIZE_MULTIPLE) -> int:
    """Return the multiple of `multiple` that is nearest to `side`, above 0."""
    return max(multiple, round(side / multiple) * multiple)


def has_crop(opt: Namespace) -> bool:
    """Return whether images are cropped to --crop_size."""
    return "crop" in PREPROCESS[opt.preprocess]


def draw_crop_flip(
    opt: Namespace, size: tuple[int, int], rng: random.Random, path: str
) -> CropFlip:
    """Return a random crop and flip in training, the central crop at inference.

    `size` is that of the image before or after the resize, which changes nothing the second time.
    Raises UserError naming `path` where the image is too small to crop.
    """
    max_x, max_y = _largest_corner(opt, size, path)
    if not getattr(opt, "isTrain", True):  # scripts give options of their own
        return CropFlip(max_x // 2, max_y // 2)
    x, y, flip = rng.randint(0, max_x), rng.randint(0, max_y), rng.random() < 0.5
    return CropFlip(x, y, flip=flip and not getattr(opt, "no_flip", False))


def resize(
    image: Image.Image,
    opt: Namespace,
    method: "int | InterpolationMode" = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Return the image before the crop; the image itself where it has that size already."""
    return resized(image, size_after_resize(image.size, opt), method)


def resized(
    image: Image.Image, size: tuple[int, int], method: "int | InterpolationMode"
) -> Image.Image:
    """Return the image in that size; the image itself where it has it already."""
    if image.size == size:
        return image
    from torchvision.transforms.v2 import functional

    return functional.resize(image, list(size[::-1]), interpolation=method)


def crop_flip_image(image: Image.Image, opt: Namespace, crop_flip: CropFlip) -> Image.Image:
    """Crop a resized image to --crop_size and flip it; one that needs neither is not copied."""
    crop = has_crop(opt) and image.size != (opt.crop_size, opt.crop_size)
    if not crop and not crop_flip.flip:
        return image
    from torchvision.transforms.v2 import functional

    if crop:
        side = opt.crop_size
        image = functional.crop(image, crop_flip.y, crop_flip.x, side, side)
    return functional.horizontal_flip(image) if crop_flip.flip else image


def load_tensor(image: Image.Image, opt: Namespace, channels: int, crop_flip: CropFlip) -> Tensor:
    """Resize, crop and flip an image -> (channels, H, W); a single channel is its luma."""
    image = resize(image.convert("L" if channels == 1 else "RGB"), opt)
    return to_tensor(crop_flip_image(image, opt, crop_flip))


def get_params(opt: Namespace, size: tuple[int, int]) -> dict[str, Any]:
    """Draw the crop and the flip of an image of `size` from the random numbers of `random`.

    Returns `crop_pos`, the (x, y) of the upper left corner after the resize, and `flip`, a bool. At
    inference the crop is central and nothing is flipped. Raises UserError where the image is too
    small to crop.
    """
    crop_flip = _draw_from_random(opt, size)
    return {"crop_pos": (crop_flip.x, crop_flip.y), "flip": crop_flip.flip}


def get_transform(
    opt: Namespace,
    params: dict[str, Any] | None = None,
    grayscale: bool = False,
    method: "int | InterpolationMode" = Image.Resampling.BICUBIC,
    convert: bool = True,
) -> "Compose":
    """Return the transform that `--preprocess` describes, from an RGB image to a tensor.

    `params` are those of `get_params`; without them each call draws its own. `method` is the
    interpolation of the resize. With `convert` the result is a tensor (3, H, W), or (1, H, W) of
    the luma with `grayscale`, else an image. A call raises UserError where the image is too small
    to crop.
    """
    from torchvision.transforms import v2

    steps: list[Any] = [v2.Grayscale(1)] if grayscale else []
    steps += [_Resize(opt, method), _CropFlipStep(opt, params)]
    if convert:
        # ToDtype(scale=True) multiplies by 1 / 255, which rounds differently from dividing by 255
        to_unit = v2.Normalize(mean=[0.0], std=[255.0])
        steps += [v2.PILToTensor(), v2.ToDtype(torch.float32), to_unit, v2.Normalize([0.5], [0.5])]
    return v2.Compose(steps)


@dataclass(frozen=True)
class _Resize:
    """A step of `get_transform`; a class, as worker processes that are spawned pickle it."""

    opt: Namespace
    method: Any

    def __call__(self, image: Image.Image) -> Image.Image:
        return resize(image, self.opt, self.method)


@dataclass(frozen=True)
class _CropFlipStep:
    """A step of `get_transform`: crop and flip as `params` say, else as drawn for each image."""

    opt: Namespace
    params: dict[str, Any] | None

    def __call__(self, image: Image.Image) -> Image.Image:
        if self.params is None:
            return crop_flip_image(image, self.opt, _draw_from_random(self.opt, image.size))
        _largest_corner(self.opt, image.size, "an image")  # raises where the crop does not fit
        x, y = self.params["crop_pos"]
        flip = self.params["flip"] and not self.opt.no_flip
        return crop_flip_image(image, self.opt, CropFlip(x, y, flip))


def _draw_from_random(opt: Namespace, size: tuple[int, int]) -> CropFlip:
    rng = random.Random(random.getrandbits(64))
    return draw_crop_flip(opt, size, rng, "an image")


def _largest_corner(opt: Namespace, size: tuple[int, int], path: str) -> tuple[int, int]:
    """Return the largest x and y of a crop's upper left corner; UserError where it does not fit."""
    if not has_crop(opt):
        return 0, 0
    width, height = size_after_resize(size, opt)
    if min(width, height) < opt.crop_size:
        raise UserError(
            f"--crop_size {opt.crop_size}: {path} ({width}x{height}) is too small for it; "
            "use a smaller --crop_size, or --preprocess resize_and_crop"
        )
    return width - opt.crop_size, height - opt.crop_size


def _limited(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
