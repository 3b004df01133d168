"""Image files of any number of channels: NPY, and TIFF that Pillow does not read, or misreads.

Such are TIFF files of 2, 4 or more channels, of colours in floating point, or with one page for
each channel, and those of `is_misread`. They are read by tifffile, an optional package.
"""

import io
import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PLANAR_CONFIGURATION

from .deep_images import BYTE, Levels, composited, raw_mode, to_levels, turned_upright
from .image_files import BYTES_OF_DEEP, read_bytes, refuse_irregular
from .images import ORIENTATION
from .memory import available_bytes

NPY_ENDING = ".npy"
NPY_BEGINNING = b"\x93NUMPY"
TIFF = (".tif", ".tiff")
TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_PAGES = 256
"""Pages of a TIFF file that are read as channels."""
ALPHA = (1, 2)
"""Of the TIFF tag ExtraSamples: the last channel is transparency."""


@dataclass(frozen=True)
class ArrayImage:
    """The pixels of a file as it stores them: (H, W, C), with `kind` a key of RANGES, or BYTE."""

    values: npt.NDArray[Any]
    kind: str
    has_alpha: bool = False
    orientation: int = 1

    def levels(self, value_range: str, background: str | None) -> Levels:
        """Return upright levels (H, W, C), as those of util.deep_images.

        Transparent pixels show the `background`; with None transparency stays a channel.
        """
        if self.has_alpha and background is not None:
            colours = _levels(self.values[..., :-1], self.kind, value_range)
            alpha = _levels(self.values[..., -1:], self.kind, "")
            levels = composited(colours, alpha, background)
        else:
            levels = _levels(self.values, self.kind, value_range)
        return turned_upright(levels, self.orientation)


def is_array_file(path: str | Path) -> bool:
    """Return whether Pillow reads no file of that extension."""
    return str(path).lower().endswith(NPY_ENDING)


def is_tiff(path: str | Path, content: Callable[[], bytes] | None = None) -> bool:
    """Return whether a file is TIFF by its extension or its `content`, if given."""
    by_name = str(path).lower().endswith(TIFF)
    return by_name or (content is not None and content().startswith(TIFF_BEGINNINGS))


def may_be_array(path: str | Path, content: Callable[[], bytes] | None = None) -> bool:
    """Return whether a file may be read here, even if Pillow does not read it.

    That is so for TIFF and NPY, by its extension or its `content`, if given.
    """
    by_name = is_array_file(path) or is_tiff(path, content)
    return by_name or (content is not None and content().startswith(NPY_BEGINNING))


def is_misread(image: Image.Image) -> bool:
    """Return whether Pillow decodes a file wrongly: some TIFF with more than 8 bits per channel.

    Such are colours stored one channel after the other, and what is compressed in another order of
    bytes than that of this machine, which libtiff turns round and Pillow again.
    """
    tiff: Any = image
    if image.format != "TIFF" or max(tiff.tag_v2.get(BITSPERSAMPLE, (1,))) <= 8:
        return False
    planar = tiff.tag_v2.get(PLANAR_CONFIGURATION) == 2 and len(image.getbands()) > 1
    foreign = tiff.tag_v2.prefix != {"little": b"II", "big": b"MM"}[sys.byteorder]
    compressed = any(tile[0] == "libtiff" for tile in tiff.tile)
    return planar or (foreign and compressed and not raw_mode(image).endswith("N"))


def read_array(path: str | Path, content: Callable[[], bytes] | None = None) -> ArrayImage:
    """Read an NPY or TIFF file, or the bytes of one that `content` returns.

    Raises what util.image_files.DAMAGE holds where the file is damaged or too large, is no image,
    or needs a package.
    """
    if content is None:
        refuse_irregular(path)
    file = io.BytesIO(read_bytes(path) if content is None else content())
    with _refusing_damage():
        is_npy = is_array_file(path) or file.getvalue().startswith(NPY_BEGINNING)
        return _read_npy(file) if is_npy else _read_tiff(file)


def describe(path: str | Path) -> tuple[int, int, int, str]:
    """Return width, height, channels and the type of the values, without reading the pixels.

    Raises as `read_array` does.
    """
    refuse_irregular(path)
    with Path(path).open("rb") as file, _refusing_damage():
        if not is_array_file(path):
            with import_tifffile().TiffFile(file) as tiff:
                return _size_of(_pages(tiff))
        dtype, shape, _ = _npy_header(file)
    height, width, channels = _channels_last(np.broadcast_to(np.zeros((), dtype), shape)).shape
    return width, height, channels, dtype.name


def kind_of_file(path: Path) -> str:
    """Return the kind of the pixels of a file that `read_array` reads. Raises as it does."""
    return _kind(np.dtype(describe(path)[3]))


def import_tifffile() -> Any:
    """Import the package. Raises ValueError with the command that installs it."""
    try:
        import tifffile
    except ImportError:
        raise ValueError("no TIFF that Pillow reads; for others: pip install tifffile") from None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its messages name no file
    return tifffile


def _kind(dtype: np.dtype[Any]) -> str:
    kinds = {"f": "float", "u": "int32", "i": "int32", "b": BYTE}
    if dtype.kind not in kinds:
        raise ValueError(f"values of the type {dtype} are no pixels")
    return dtype.name if dtype.name in (BYTE, "uint16") else kinds[dtype.kind]


def _levels(values: npt.NDArray[Any], kind: str, value_range: str) -> Levels:
    if values.dtype == np.bool_:
        return values.astype(np.float32) * 255
    return values.astype(np.float32) if kind == BYTE else to_levels(values, kind, value_range)


def _channels_last(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (H, W), (H, W, C) or (C, H, W) as (H, W, C); C is at most H and W."""
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not values.size:
        raise ValueError(f"an array of the shape {values.shape} is no image")
    return values.transpose(1, 2, 0) if values.shape[0] < values.shape[2] else values


def _npy_header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    form = np.lib.format
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    version = form.read_magic(file)
    if version not in readers:
        raise ValueError(f"NPY files of the version {version} hold no image")
    shape, in_columns, dtype = readers[version](file)
    _kind(dtype)
    return dtype, shape, in_columns


def _read_npy(file: io.BytesIO) -> ArrayImage:
    dtype, shape, in_columns = _npy_header(file)
    _refuse_too_many(math.prod(shape))
    # from what is there: a damaged header may claim any size
    values = np.frombuffer(file.getbuffer(), dtype, math.prod(shape), file.tell())
    values = values.reshape(shape, order="F" if in_columns else "C")
    return ArrayImage(_channels_last(values), _kind(dtype))


def _read_tiff(file: io.BytesIO) -> ArrayImage:
    with import_tifffile().TiffFile(file) as tiff:
        pages = _pages(tiff)
        width, height, channels, dtype = _size_of(pages)
        _refuse_too_many(width * height * channels)
        values = np.concatenate([_channels_of(page) for page in pages], axis=2)
        page = pages[0]
        has_alpha = len(page.extrasamples) == 1 and page.extrasamples[0] in ALPHA
        turned = page.tags.valueof(ORIENTATION, 1)
    return ArrayImage(values, _kind(np.dtype(dtype)), has_alpha, turned)


@contextmanager
def _refusing_damage() -> Iterator[None]:
    """Raise ValueError for whatever damage leads to within the packages, such as TokenError."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _pages(tiff: Any) -> list[Any]:
    """Return the first page and, where it has one channel, those after it that are like it."""
    first = tiff.pages[0]
    pages = [first]
    while first.samplesperpixel == 1 and len(pages) < MOST_PAGES:
        try:
            page = tiff.pages[len(pages)]
        except IndexError:
            break
        if (page.shape, page.dtype) != (first.shape, first.dtype):
            break
        pages.append(page)
    return pages


def _size_of(pages: list[Any]) -> tuple[int, int, int, str]:
    page = pages[0]
    if page.imagedepth != 1 or page.dtype is None:
        raise ValueError("its pixels have an unknown type, or it holds volumes")
    size = page.imagewidth, page.imagelength, page.samplesperpixel * len(pages)
    if min(size) < 1:
        raise ValueError("it has no pixels")
    _kind(page.dtype)
    return *size, page.dtype.name


def _channels_of(page: Any) -> npt.NDArray[Any]:
    values = page.asarray(maxworkers=1)
    planar = page.planarconfig == 2 and page.samplesperpixel > 1
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    return values.transpose(1, 2, 0) if planar else values.reshape(shape)


def _refuse_too_many(values: int) -> None:
    free = available_bytes(torch.device("cpu"))
    if values > 2**24 and values * BYTES_OF_DEEP > free:
        raise MemoryError(
            f"its {values} values need {values * BYTES_OF_DEEP / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free"
        )
