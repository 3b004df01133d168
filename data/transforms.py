"""From a picture to a tensor, as `--preprocess` says; every random choice is made beforehand.

Legend: C channels, H W height and width; tensors are float32 in [-1, 1], level 0 -> -1, 255 -> 1.
"""

import random
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from util.errors import UserError
from util.images import to_tensor

PREPROCESS: dict[str, tuple[str, ...]] = {
    "resize_and_crop": ("resize", "crop"),
    "crop": ("crop",),
    "scale_width": ("scale_width", "round"),
    "scale_width_and_crop": ("scale_width", "crop"),
    "none": ("round",),
    "keep": ("limit",),
}
"""What `--preprocess` accepts, and the steps that each mode takes before the flip."""

SIZE_MULTIPLE = 4


@dataclass(frozen=True)
class CropFlip:
    """The left upper corner of the crop, in pixels after resizing, and whether to mirror."""

    x: int = 0
    y: int = 0
    flip: bool = False


def size_after_resize(size: tuple[int, int], opt: Namespace) -> tuple[int, int]:
    """(width, height) of a picture -> its (width, height) before the crop."""
    width, height = size
    for step in PREPROCESS[opt.preprocess]:
        if step == "resize":
            width = height = opt.load_size
        elif step == "scale_width":
            height = int(max(opt.load_size * height / width, opt.crop_size))
            width = opt.load_size
        elif step == "round":
            width, height = _round(width), _round(height)
        elif step == "limit":
            width, height = _limited(width, height, getattr(opt, "max_size", None))
    return width, height


def has_crop(opt: Namespace) -> bool:
    """Whether pictures are cut to --crop_size."""
    return "crop" in PREPROCESS[opt.preprocess]


def draw_crop_flip(
    opt: Namespace, size: tuple[int, int], rng: random.Random, path: str
) -> CropFlip:
    """A random placement in training, the centre at test, for a picture of (width, height).

    The size may be that before or after the resize: to resize twice is to resize once.
    Raises UserError naming `path` where the picture is too small to crop.
    """
    room_x = room_y = 0
    if has_crop(opt):
        width, height = size_after_resize(size, opt)
        room_x, room_y = width - opt.crop_size, height - opt.crop_size
        if room_x < 0 or room_y < 0:
            raise UserError(
                f"--crop_size {opt.crop_size}: {path} ({width}x{height}) is too small for it; "
                "use a smaller --crop_size, or --preprocess resize_and_crop"
            )
    if not opt.isTrain:
        return CropFlip(room_x // 2, room_y // 2)
    x, y, mirrored = rng.randint(0, room_x), rng.randint(0, room_y), rng.random() < 0.5
    return CropFlip(x, y, flip=mirrored and not opt.no_flip)


def resize(image: Image.Image, opt: Namespace) -> Image.Image:
    """The picture before the crop (bicubic); itself where it has that size."""
    size = size_after_resize(image.size, opt)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def preprocess(image: Image.Image, opt: Namespace, crop_flip: CropFlip) -> Image.Image:
    """Resize (bicubic), crop and mirror a picture."""
    image = resize(image, opt)
    if has_crop(opt) and image.size != (opt.crop_size, opt.crop_size):
        x, y = crop_flip.x, crop_flip.y
        image = image.crop((x, y, x + opt.crop_size, y + opt.crop_size))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if crop_flip.flip else image


def load_tensor(image: Image.Image, opt: Namespace, channels: int, crop_flip: CropFlip) -> Tensor:
    """A picture -> (channels, H, W); one channel is its luma."""
    return to_tensor(preprocess(image.convert("L" if channels == 1 else "RGB"), opt, crop_flip))


def batch_of(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Items -> a batch: tensors stacked (N, C, H, W), all else in lists.

    Raises UserError where pictures of different sizes meet.
    """
    batch: dict[str, Any] = {}
    for key in items[0]:
        values = [item[key] for item in items]
        if isinstance(values[0], Tensor):
            sizes = sorted({tuple(value.shape[-2:]) for value in values})
            if len(sizes) > 1:
                (h1, w1), (h2, w2) = sizes[0], sizes[-1]
                raise UserError(
                    f"--batch_size {len(values)}: pictures of {w1}x{h1} and {w2}x{h2} do not "
                    "stack; use --batch_size 1, or a --preprocess that crops"
                )
            # one is not copied
            batch[key] = torch.stack(values) if len(values) > 1 else values[0].unsqueeze(0)
        else:
            batch[key] = values
    return batch


def _round(side: int) -> int:
    return max(SIZE_MULTIPLE, round(side / SIZE_MULTIPLE) * SIZE_MULTIPLE)


def _limited(width: int, height: int, most: int | None) -> tuple[int, int]:
    if most is None or max(width, height) <= most:
        return width, height
    scale = most / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
