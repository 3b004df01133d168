"""Opening image files that may be anything: only regular files, only decoders within Pillow."""

import os
import stat
import struct
import warnings
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image, UnidentifiedImageError

from .memory import available_bytes

# scans are larger than Pillow's guard against decompression bombs expects: `refuse_too_large`
Image.MAX_IMAGE_PIXELS = None
# what is damaged in a file and does not prevent reading it: tags, metadata
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = (
    *("JPEG", "MPO", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP"),
    *("GIF", "AVIF", "JPEG2000"),  # files of these formats that are named otherwise
)
"""What is read, whatever a file is called. Pillow hands other formats (EPS) to other programs."""
OUTSIDE_PROGRAMS = ("EPS", "WMF")
"""Formats that are never read, even where a plug-in lists their extension."""

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error),
    *(RuntimeError, ArithmeticError, MemoryError),  # a damaged header may claim any size
    *(AttributeError, AssertionError),  # of Pillow, where a field has another type than it should
)
"""The exceptions that Pillow raises for damaged files."""

MANY_PIXELS = 2**24
"""Images of fewer pixels always fit into the memory."""
BYTES_PER_PIXEL = 8
"""Of an image while it is decoded and converted to RGB, each with four bytes a pixel."""
BYTES_OF_DEEP = 32
"""Of each channel with more than 8 bits, whose values are converted in float64."""
LONGEST_REASON = 200
"""Characters of a reason: packages repeat what a damaged header holds."""


def open_image(file: str | Path | BinaryIO, endings: tuple[str, ...] = ()) -> Image.Image:
    """Open an image file in one of `FORMATS`, or of those of the extensions `endings`.

    Raises OSError where the path is no regular file, and what Pillow raises for
    damaged files (`DAMAGE`). The pixels are decoded when they are used.
    """
    if isinstance(file, str | Path):
        refuse_irregular(file)
    return Image.open(file, formats=_formats(endings))


def refuse_irregular(path: str | Path) -> None:
    """Raise OSError where a path is no regular file, such as a pipe, which could block."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - once per image
        raise OSError("not a regular file")


def read_bytes(path: str | Path) -> bytes:
    """Return all bytes of a file. Raises MemoryError where they do not fit into the memory."""
    size = os.stat(path).st_size  # noqa: PTH116 - once per image
    if size > MANY_PIXELS:
        free = available_bytes(torch.device("cpu"))
        if size > free:
            raise MemoryError(
                f"the file has {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free"
            )
    return Path(path).read_bytes()


@lru_cache
def _formats(endings: tuple[str, ...]) -> list[str]:
    more = [Image.registered_extensions().get(ending.lower(), "") for ending in endings]
    formats = dict.fromkeys([*FORMATS, *more])
    Image.init()  # older versions of Pillow lack AVIF
    return [name for name in formats if name in Image.OPEN and name not in OUTSIDE_PROGRAMS]


def refuse_too_large(image: Image.Image, bytes_per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raise MemoryError where an opened image declares more pixels than fit into the memory."""
    pixels = image.width * image.height
    if pixels <= MANY_PIXELS:
        return
    free = available_bytes(torch.device("cpu"))
    if pixels * bytes_per_pixel > free:
        raise MemoryError(
            f"its {image.width} x {image.height} pixels need {pixels * bytes_per_pixel / 1e9:.1f} "
            f"GB of memory, and {free / 1e9:.1f} GB are free"
        )


def reason_of(error: Exception) -> str:
    """Return why an image file cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, MemoryError):
        return str(error) or "its pixels do not fit into the memory"
    # strerror alone, since str(error) repeats the path
    text = isinstance(error, OSError) and error.strerror
    line = " ".join(str(text or error).split()) or type(error).__name__
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
