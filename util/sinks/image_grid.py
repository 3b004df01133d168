"""Puts several images into one, with their labels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..images import ImageArray

TEXT_HEIGHT = 14
GAP = 4
MIN_WIDTH = 96
"""Pixels, wide enough for the usual labels."""


def labelled_grid(images: Sequence[tuple[str, ImageArray]], columns: int, width: int) -> ImageArray:
    """Return images (H, W, 3) as one, scaled to `width`, in rows of `columns`.

    Each is below its label; an empty label takes no room where all are empty.
    """
    columns = min(columns, len(images))
    scaled = [Image.fromarray(image) for _, image in images]
    scaled = [image.resize((width, _height(image, width))) for image in scaled]
    text = TEXT_HEIGHT if any(label for label, _ in images) else 0
    cell = max(image.height for image in scaled) + GAP + text
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * cell - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, (label, _)) in enumerate(zip(scaled, images, strict=True)):
        x, y = number % columns * (width + GAP), number // columns * cell
        if label:
            draw.text((x + 2, y + 1), label, fill="black")
        sheet.paste(image, (x, y + text))
    return np.asarray(sheet)


def sample_grid(rows: Sequence[Mapping[str, ImageArray]], width: int = 0) -> ImageArray:
    """Return one image with a row for each fixed image, and the labels above the first.

    With `width` 0 it is as wide as the images are, and as the labels need.
    """
    width = width or max(MIN_WIDTH, next(iter(rows[0].values())).shape[1])
    first = labelled_grid(list(rows[0].items()), len(rows[0]), width)
    others = [("", image) for row in rows[1:] for image in row.values()]
    if not others:
        return first
    rest = labelled_grid(others, len(rows[0]), width)
    gap = np.full((GAP, first.shape[1], 3), 255, np.uint8)
    return np.concatenate([first, gap, rest])


def _height(image: Image.Image, width: int) -> int:
    return max(1, round(image.height * width / image.width))
