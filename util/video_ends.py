"""Whether a video file ends before its contents do, as after an interrupted copy.

Every container says how long its parts are. That is exact, other than the duration, which the
sound may decide, and which files of some programs do not have.
"""

from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""How files in MKV and WebM begin, and the element in them that holds all others."""
UNKNOWN = 0xFFFFFFFF
"""The length of a part of an AVI file that was written to a pipe."""


def is_cut_short(path: Path) -> bool:
    """Return whether a file in MP4, MOV, MKV, WebM or AVI is shorter than its parts should be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(12)
        if beginning[4:8] == b"ftyp":
            return _cuts_mp4(file, size)
        if beginning[:4] == b"RIFF" and beginning[8:] == b"AVI ":
            return _cuts_avi(file, size)
        return beginning[:4] == EBML and _cuts_matroska(file, size)


def _cuts_mp4(file: BinaryIO, size: int) -> bool:
    """Return whether the last part is cut (ISO/IEC 14496-12, 4.2).

    Whatever programs append after the parts of the video does not count.
    """
    begin, kind = 0, b""
    while begin + 8 <= size:
        file.seek(begin)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:  # the length follows, in 64 bits
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: up to the end
            return False
        begin += length
    return begin > size and kind in (b"mdat", b"moof", b"moov")


def _cuts_avi(file: BinaryIO, size: int) -> bool:
    """Return whether one of the parts `RIFF`, of which large files have several, is cut."""
    begin = 0
    while begin + 8 <= size:
        file.seek(begin)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if kind != b"RIFF" or length in (0, UNKNOWN):
            return False
        begin += 8 + length + length % 2
    return begin > size + 16  # some programs count the head of the part too


def _cuts_matroska(file: BinaryIO, size: int) -> bool:
    """Return whether the segment, which holds all frames, is cut (RFC 8794, RFC 9559)."""
    file.seek(len(EBML))
    file.seek(_length(file) or 0, 1)
    if file.read(4) != SEGMENT:
        return False
    length = _length(file)
    return length is not None and file.tell() + length > size


def _length(file: BinaryIO) -> int | None:
    """Read the length of an element, None where it is unknown, as in a live stream."""
    first = int.from_bytes(file.read(1), "big")
    more = 8 - first.bit_length()  # so many zeros precede the first 1
    value = (first << 8 * more) + int.from_bytes(file.read(more), "big")
    unknown = (1 << 7 * (more + 1)) - 1
    length = value & unknown
    return None if length == unknown or more == 8 else length
