"""Reading image files."""

import struct
from collections.abc import Callable

from PIL import Image, UnidentifiedImageError

from util.errors import UserError
from util.images import upright_rgb

Image.MAX_IMAGE_PIXELS = None  # scans are larger than Pillow expects, and the files the user's own

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error)
"""What Pillow raises for damaged files."""


def read_image(path: str, before: Callable[[Image.Image], object] | None = None) -> Image.Image:
    """An image file as an upright 8-bit RGB picture (util.images.upright_rgb).

    `before` is called with the opened file, whose size is known and whose pixels are not decoded
    yet. Raises UserError naming the file where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            if before is not None:
                before(image)
            image.load()
            return upright_rgb(image)
    except DAMAGE as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(
            f"cannot read the picture {path} ({reason}): mend it or take it out of the folder"
        ) from error
