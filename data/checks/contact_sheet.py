"""One picture of a data set: a row of images from each of its folders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ImageOps

from util.errors import UnreadableImageError
from util.files import make_folder
from util.images import ImageArray, save_image
from util.sinks.image_grid import labelled_grid

from ..image_folder import read_image
from .folders import Folder

COLUMNS, SIDE = 10, 128
"""Images in a row, evenly spaced over the folder, and the pixels of their sides."""


def write_contact_sheet(folders: Sequence[Folder], path: Path) -> bool:
    """Write the picture in the format of its ending; return False where there is no image.

    Raises UserError where it cannot be written.
    """
    rows = [row for folder in folders if (row := _row(folder)) is not None]
    if not rows:
        return False
    width = max(row.shape[1] for row in rows)
    white = [((0, 0), (0, width - row.shape[1]), (0, 0)) for row in rows]
    sheet = np.concatenate(
        [np.pad(row, pad, constant_values=255) for row, pad in zip(rows, white, strict=True)]
    )
    make_folder(path.parent)
    save_image(sheet, path)
    return True


def _row(folder: Folder) -> ImageArray | None:
    count = min(COLUMNS, len(folder.headers))
    images: list[tuple[str, ImageArray]] = []
    for number in range(count):
        header = folder.headers[number * len(folder.headers) // count]
        try:
            image = read_image(header.path, lambda image: image.draft("RGB", (2 * SIDE, 2 * SIDE)))
        except UnreadableImageError:
            continue
        label = "" if images else f"{folder.name} ({len(folder.headers)})"
        images.append((label, np.asarray(ImageOps.contain(image, (SIDE, SIDE)))))
    return labelled_grid(images, COLUMNS, SIDE) if images else None
