"""The size and mode of an image file, from its first bytes.

PNG and JPEG files are read here, several times faster than by Pillow; all others by Pillow, or as
arrays.
"""

import hashlib
import os
import struct
from dataclasses import dataclass
from io import FileIO

from PIL import UnidentifiedImageError

from util.array_files import describe, may_be_array
from util.errors import UnreadableImageError
from util.image_files import DAMAGE, open_image, reason_of, refuse_irregular

from ..image_folder import read_image

HEAD = 4096
"""Bytes that are read at the beginning of each file."""
TAIL = 64
"""Bytes that are read at its end, where a file that was cut off differs from a whole one."""
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
NO_FRAME = (0xC4, 0xC8, 0xCC)
"""JPEG markers from 0xC0 to 0xCF that begin no frame: tables and extensions."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image file without its pixels.

    `length` is in bytes; `width` and `height` are those of the stored pixels; `mode` is that of
    Pillow, or for an array `5xuint16`; `fingerprint` hashes the length and the first and last
    bytes: equal files have equal ones.
    """

    path: str
    length: int
    width: int
    height: int
    mode: str
    fingerprint: bytes


def read_header(path: str) -> Header:
    """Return the header of an image file. Raises UnreadableImageError where it has none.

    A PNG or JPEG file whose end is missing is decoded, which decides whether it can be read.
    """
    try:
        refuse_irregular(path)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path objects are slow
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD)
            tail = head[-TAIL:]
            if size > len(head):
                file.seek(max(len(head), size - TAIL))
                tail = file.read(TAIL)
            known = _png(head) or _jpeg(head, file)
            whole = tail.endswith(PNG_END if head.startswith(PNG_START) else JPEG_END)
        if known is None:
            known = _by_package(path)
        elif not whole:
            read_image(path)
    except UnreadableImageError:
        raise
    except DAMAGE as error:
        raise UnreadableImageError(path, reason_of(error)) from error
    fingerprint = hashlib.blake2b(b"%d " % size + head + tail, digest_size=16).digest()
    return Header(path, size, *known, fingerprint)


def _by_package(path: str) -> tuple[int, int, str]:
    try:
        with open_image(path) as image:
            return image.width, image.height, image.mode
    except UnidentifiedImageError:
        if not may_be_array(path):
            raise
    width, height, channels, dtype = describe(path)
    return width, height, f"{channels}x{dtype}"


def _png(head: bytes) -> tuple[int, int, str] | None:
    if not head.startswith(PNG_START) or head[12:16] != b"IHDR" or len(head) < 26:
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", head, 16)
    mode = PNG_MODES.get(colour)
    if mode is None or not width or not height:
        return None
    return width, height, {1: "1", 16: "I;16"}.get(depth, mode) if mode == "L" else mode


def _jpeg(head: bytes, file: FileIO) -> tuple[int, int, str] | None:
    """Return the size and mode in the first frame header, behind metadata of any length."""
    if not head.startswith(JPEG_START):
        return None
    place, window, start = 2, head, 0
    while True:
        segment = window[place - start :]
        if len(segment) < 10:
            file.seek(place)
            window, start = file.read(HEAD), place
            segment = window
        if len(segment) < 10 or segment[0] != 0xFF:
            return None
        marker = segment[1]
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME:
            height, width, components = struct.unpack_from(">HHB", segment, 5)
            mode = JPEG_MODES.get(components)
            return (width, height, mode) if mode and width and height else None
        if marker == 0xFF:  # fill bytes
            place += len(segment) - len(segment.lstrip(b"\xff")) - 1
        else:
            place += 2 + struct.unpack_from(">H", segment, 2)[0]
