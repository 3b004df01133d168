"""Reading image files."""

import struct
from collections.abc import Callable

from PIL import Image, UnidentifiedImageError

from util.errors import UserError
from util.images import upright_rgb

Image.MAX_IMAGE_PIXELS = None  # scans are larger than Pillow expects, and the files the user's own

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error),
    *(RuntimeError, OverflowError, MemoryError),  # a damaged header may claim any size
)
"""What Pillow raises for damaged files."""


class UnreadableImageError(UserError):
    """An image file that cannot be read: `path` names it, `reason` is what the decoder says."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # what pickling passes on
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"cannot read the image {self.path} ({self.reason}): mend it or take it out of the "
            "folder"
        )


def read_image(path: str, before: Callable[[Image.Image], object] | None = None) -> Image.Image:
    """An image file as an upright 8-bit RGB picture (util.images.upright_rgb).

    `before` is called with the opened file, whose size is known and whose pixels are not decoded
    yet. Raises UnreadableImageError where the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            if before is not None:
                before(image)
            image.load()
            return upright_rgb(image)
    except DAMAGE as error:
        raise UnreadableImageError(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, MemoryError):
        return "its pixels do not fit into the memory"
    said = isinstance(error, OSError) and error.strerror  # without the path, which is named anyway
    return " ".join(str(said or error).split()) or type(error).__name__
