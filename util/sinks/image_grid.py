"""Several pictures as one, with their labels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..images import ImageArray

TEXT_HEIGHT = 14
GAP = 4
LEAST_WIDTH = 96


def labelled_grid(
    pictures: Sequence[tuple[str, ImageArray]], columns: int, width: int
) -> ImageArray:
    """Pictures scaled to `width`, in rows of `columns`, each below its label ("": no label)."""
    columns = min(columns, len(pictures))
    scaled = [Image.fromarray(picture) for _, picture in pictures]
    scaled = [image.resize((width, _height(image, width))) for image in scaled]
    text = TEXT_HEIGHT if any(label for label, _ in pictures) else 0
    cell = max(image.height for image in scaled) + GAP + text
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * cell - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, (label, _)) in enumerate(zip(scaled, pictures, strict=True)):
        x, y = number % columns * (width + GAP), number // columns * cell
        if label:
            draw.text((x + 2, y + 1), label, fill="black")
        sheet.paste(image, (x, y + text))
    return np.asarray(sheet)


def sample_grid(rows: Sequence[Mapping[str, ImageArray]], width: int = 0) -> ImageArray:
    """A row for each fixed picture; the first carries the labels.

    `width` 0: as wide as the pictures are, and as the labels need.
    """
    width = width or max(LEAST_WIDTH, next(iter(rows[0].values())).shape[1])
    heads = labelled_grid(list(rows[0].items()), len(rows[0]), width)
    others = [("", picture) for row in rows[1:] for picture in row.values()]
    if not others:
        return heads
    rest = labelled_grid(others, len(rows[0]), width)
    gap = np.full((GAP, heads.shape[1], 3), 255, np.uint8)
    return np.concatenate([heads, gap, rest])


def _height(image: Image.Image, width: int) -> int:
    return max(1, round(image.height * width / image.width))
