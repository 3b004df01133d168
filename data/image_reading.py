"""Reading image files."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from util.errors import UserError


def read_image(path: str) -> Image.Image:
    """An image file as an 8-bit RGB picture, turned upright by its EXIF orientation.

    16-bit gray is scaled to 8 bits; transparency is dropped. Raises UserError naming the file
    where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(
            f"cannot read the picture {path} ({reason}): mend it or take it out of the folder"
        ) from error
    if upright.mode.startswith("I;16"):
        levels = np.asarray(upright).astype(np.uint16)
        upright = Image.fromarray((levels // 257).astype(np.uint8))
    return upright.convert("RGB")
