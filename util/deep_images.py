"""Images of more than 8 bits per channel, or of any number of channels: levels, and written.

Legend: levels are float32 (H, W, C) from 0, black, to 255, white, with C 1 (gray), 3 (RGB) or more;
`value_range` is the text of --value_range: `LOW,HIGH`, `auto` or "" for the ranges of `RANGES`.
"""

import io
import logging
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, TiffImagePlugin
from torch import Tensor

from .errors import UsageError
from .image_files import open_image

log = logging.getLogger(__name__)

Levels: TypeAlias = npt.NDArray[np.float32]
Deep: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
"""(H, W, C) as it is stored."""

RANGES = {"uint16": (0.0, 65535.0), "int32": (0.0, 65535.0), "float": (0.0, 1.0)}
"""Black and white of each type of pixels; 32-bit integers mostly hold what 16 bits could."""
BYTE = "uint8"
"""The kind of 8-bit pixels, which always go from 0 to 255."""
AUTO = "auto"
COLOURS = re.compile("(RGB|RGBA);16[LBN]|LA;16B")
"""How Pillow calls colours with 16 bits in the file, of which it reads 8."""
NPY = "NPY"
"""NumPy's format of one array in a file."""
ENCODED = ("PNG", "TIFF", NPY)
"""The formats that `encode` writes."""
OF_ANY_CHANNELS = ("TIFF", NPY)
"""Those that hold other numbers of channels than 1 and 3, and floating point."""
_TURNED: dict[int, Callable[[Levels], Levels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""EXIF orientation -> what turns an image upright."""

_told: set[str] = set()
_name: ContextVar[str] = ContextVar("_name", default="an image")


def turned_upright(levels: Levels, orientation: int | None) -> Levels:
    """Return an image as the EXIF orientation says that it is seen."""
    return _TURNED[orientation](levels) if orientation in _TURNED else levels


@contextmanager
def named(path: str) -> Iterator[None]:
    """Let warnings about the values of an image name its file."""
    token = _name.set(path)
    try:
        yield
    finally:
        _name.reset(token)


def check_value_range(value_range: str) -> None:
    """Raise UsageError where the text is no range."""
    if value_range in ("", AUTO):
        return
    try:
        low, high = map(float, value_range.split(","))
    except ValueError:
        low, high = 0.0, float("nan")
    if not -np.inf < low < high < np.inf:
        raise UsageError(
            f"--value_range {value_range}: give the values of black and white, such as 0,1 or "
            "0,65535, or auto for the least and the greatest value of each file"
        )


def check_background(background: str) -> None:
    """Raise UsageError where the text is no colour."""
    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise UsageError(
            f"--background {background}: give a colour, such as white or #808080"
        ) from None


def kind_of(image: Image.Image) -> str:
    """Return the type of the pixels, a key of RANGES, or "" for 8 bits.

    Pillow reads colours with 16 bits as 8; only before the pixels of a file are loaded is that
    seen.
    """
    if image.mode.startswith("I;16"):
        return "uint16"
    if image.mode in ("I", "F"):
        return {"I": "int32", "F": "float"}[image.mode]
    return "uint16" if COLOURS.fullmatch(raw_mode(image)) else ""


def raw_mode(image: Image.Image) -> str:
    """Return how Pillow calls the pixels as a file stores them; "" where they are loaded."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def read_levels(
    image: Image.Image, content: Callable[[], bytes], value_range: str, background: str | None
) -> Levels:
    """Return the levels of a file with `kind_of`, opened as `image`, as they are stored.

    `content` returns the bytes of the file; it is called where Pillow does not read all bits.
    Transparent pixels show the `background`; with None transparency stays a channel. Raises what
    the decoders raise for damaged files.
    """
    kind = kind_of(image)
    if len(image.getbands()) > 1:
        values = _all_bits(image, open_image(io.BytesIO(content())))
    else:
        values = np.asarray(image)[..., None]
    if values.shape[2] in (2, 4) and background is not None:
        colours = to_levels(values[..., :-1], kind, value_range)
        return composited(colours, to_levels(values[..., -1:], kind, ""), background)
    return to_levels(values, kind, value_range)


def composited(levels: Levels, alpha: Levels, background: str) -> Levels:
    """Return levels (H, W, C) with the transparency `alpha` (H, W, 1) on a colour."""
    shown = np.array(ImageColor.getrgb(background)[:3], np.float32)
    share = alpha / np.float32(255)
    return (levels * share + shown * (1 - share)).astype(np.float32)


def _all_bits(image: Image.Image, again: Any) -> npt.NDArray[Any]:
    """Return the values of colours with 16 bits; `again` is the same file, opened once more.

    Pillow reads the upper byte of each value; in the other order of bytes it reads the lower one.
    """
    stored = raw_mode(image)
    if stored == "LA;16B":  # Pillow reads it in one order alone: its four bytes as channels
        again.tile = [_with_raw_mode(tile, "RGBA") for tile in again.tile]
        return np.asarray(again).view(">u2")
    native = {"little": "L", "big": "B"}[sys.byteorder]
    other = {"L": "B", "B": "L"}[stored[-1].replace("N", native)]
    again.tile = [_with_raw_mode(tile, stored[:-1] + other) for tile in again.tile]
    return np.asarray(image).astype(np.uint16) * 256 + np.asarray(again)


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    arguments = (raw_mode, *tile[3][1:]) if isinstance(tile[3], tuple) else raw_mode
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)


def to_levels(values: npt.NDArray[Any], kind: str, value_range: str) -> Levels:
    """Return values of a kind as levels of the same shape.

    What is beyond the range, which is told once, is black or white; what is no number is black.
    """
    low, high = RANGES[kind]
    with np.errstate(invalid="ignore", over="ignore"):  # signalling NaN, more than float64 holds
        values = values.astype(np.float64)
    finite = values if kind != "float" else values[np.isfinite(values)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (low, high)
    if value_range == AUTO:
        low, high = least, most if most > least else least + 1
    elif value_range:
        low, high = map(float, value_range.split(","))
    if finite.size < values.size:
        _tell("not finite", "values that are no finite numbers, which are black or white")
    if least < low or most > high:
        _tell(
            f"{kind} {low} {high}",
            f"values from {least:g} to {most:g}, beyond {low:g} to {high:g}, which are black and "
            "white: give others with --value_range",
        )
    with np.errstate(invalid="ignore", over="ignore"):  # too large a value becomes inf, white
        levels = (values - low) / (high - low) * 255
    return np.nan_to_num(levels, nan=0.0).clip(0, 255).astype(np.float32)


def to_deep(
    image: Tensor,
    kind: str,
    value_range: str,
    file_format: str,
    size: tuple[int, int] | None = None,
) -> Deep:
    """Return (C, H, W) in [-1, 1] as it is stored; in PNG, of other C than 1 and 3 the first is.

    The values are those of an input of that `kind` where the format holds them: floating point in
    TIFF and NPY, integers in 8 or 16 bits. Else, and with --value_range auto, 0 is black and 65535
    is white. `size`, (width, height), is that after a bicubic resize.
    """
    if image.shape[0] not in (1, 3) and file_format not in OF_ANY_CHANNELS:
        image = image[:1]
    values = (image.detach().to("cpu").double().numpy() + 1) / 2
    if size is not None:
        planes = (Image.fromarray(plane.astype(np.float32)) for plane in values)
        values = np.stack([np.asarray(p.resize(size, Image.Resampling.BICUBIC)) for p in planes])
    values = values.clip(0, 1).transpose(1, 2, 0)
    if kind == BYTE:
        return np.ascontiguousarray((values * 255).round(), dtype=np.uint8)
    low, high = RANGES[kind]
    if value_range not in ("", AUTO):
        low, high = map(float, value_range.split(","))
    if kind == "float" and file_format in OF_ANY_CHANNELS and value_range != AUTO:
        return np.ascontiguousarray(values * (high - low) + low, dtype=np.float32)
    if kind == "float" or value_range == AUTO or low < 0 or high > 65535:
        low, high = RANGES["uint16"]
    return np.ascontiguousarray((values * (high - low) + low).round(), dtype=np.uint16)


def encode(image: Deep, file_format: str, icc_profile: bytes = b"", exif: bytes = b"") -> bytes:
    """Return a PNG, TIFF or NPY file of an image (H, W, C); in NPY one channel is (H, W).

    A TIFF of more channels than one has no EXIF data, an NPY file no metadata at all.
    """
    file = io.BytesIO()
    if file_format == NPY:
        np.save(file, image[..., 0] if image.shape[2] == 1 else image, allow_pickle=False)
        return file.getvalue()
    if image.shape[2] == 1:
        more: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
        more |= {"exif": exif} if exif else {}
        Image.fromarray(image[..., 0]).save(file, format=file_format, **more)
        return file.getvalue()
    return _png(image, icc_profile, exif) if file_format == "PNG" else _tiff(image, icc_profile)


def _png(image: npt.NDArray[Any], icc_profile: bytes, exif: bytes) -> bytes:
    height, width, channels = image.shape
    rows = image.astype(">u2").view(np.uint8).reshape(height, -1)
    differences = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), np.uint8))
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), differences], axis=1)  # 2: Up
    colours = {2: 4, 3: 2, 4: 6}[channels]  # the even ones have transparency
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0))]
    if icc_profile:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 4)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts])


def _tiff(image: Deep, icc_profile: bytes) -> bytes:
    height, width, channels = image.shape
    pixels = image.astype(image.dtype.newbyteorder("<")).tobytes()
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH] = width, height
    tags[TiffImagePlugin.BITSPERSAMPLE] = (8 * image.itemsize,) * channels
    tags[TiffImagePlugin.SAMPLEFORMAT] = (3 if image.dtype == np.float32 else 1,) * channels
    colours = 2 if channels == 3 else 1
    tags[TiffImagePlugin.COMPRESSION] = 1
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = colours
    if channels != 3:
        tags[TiffImagePlugin.EXTRASAMPLES] = (0,) * (channels - 1)  # neither gray nor transparency
    tags[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    tags[TiffImagePlugin.ROWSPERSTRIP] = height
    tags[TiffImagePlugin.STRIPBYTECOUNTS] = len(pixels)
    tags[TiffImagePlugin.STRIPOFFSETS] = 0  # relative to the end of the tags, which Pillow adds
    if icc_profile:
        tags.tagtype[TiffImagePlugin.ICCPROFILE] = 7
        tags[TiffImagePlugin.ICCPROFILE] = icc_profile
    file = io.BytesIO()
    tags.save(file)
    file.write(pixels)
    return file.getvalue()


def _tell(subject: str, values: str) -> None:
    """Log which values an image has, once for each subject: other images have other values."""
    if subject not in _told:
        _told.add(subject)
        log.warning("%s has %s", _name.get(), values)
