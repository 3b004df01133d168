"""Images that are in two phases, so that a network is tested on what it has seen in training."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from util.errors import UnreadableImageError, UserError
from util.files import sha256_of
from util.threads import in_threads

from ..image_folder import read_image
from .folders import Folder
from .headers import HEAD, Header

HASH_SIDE = 64
"""Pixels of the sides, about, at which JPEG files are decoded for their perceptual hash."""
NEAR = 4
"""Two images are near duplicates where at most so many of the 64 bits of their hashes differ."""
BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)
"""The number of bits of each byte."""

Pair = tuple[str, str]
"""The paths of an image in training and of its copy in another phase."""


def exact_duplicates(folders: Sequence[Folder]) -> list[Pair]:
    """Return the pairs of files with the same bytes in training and in another phase.

    Only files whose length, beginning and end are equal are read. A file is in one pair at most.
    """
    alike: dict[bytes, tuple[list[Header], list[Header]]] = defaultdict(lambda: ([], []))
    for folder in folders:
        for header in folder.headers:
            alike[header.fingerprint][folder.phase != "train"].append(header)
    pairs = []
    for training, others in alike.values():
        if training and others:
            first = {_content(header): header.path for header in reversed(training)}
            pairs += [(first[c], h.path) for h in others if (c := _content(h)) in first]
    return pairs


def near_duplicates(folders: Sequence[Folder], threads: int, known: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of images that look alike in training and in another phase.

    They are compared by a perceptual hash of the package imagehash. Each image of the other phase
    is in one pair at most, and not where it is in `known`. Raises UserError without imagehash.
    """
    found = {copy for _, copy in known}
    training = [h.path for f in folders if f.phase == "train" for h in f.headers]
    others = [h.path for f in folders if f.phase != "train" for h in f.headers]
    others = [path for path in others if path not in found]
    train_hashes, other_hashes = _hashes(training, threads), _hashes(others, threads)
    values, paths = np.array([*train_hashes.values()], np.uint64), list(train_hashes)
    pairs = []
    for path, value in other_hashes.items():
        counts = BITS[(values ^ value).view(np.uint8).reshape(-1, 8)].sum(axis=1)
        if paths and counts.min() <= NEAR:
            pairs.append((paths[int(counts.argmin())], path))
    return pairs


def _hashes(paths: Sequence[str], threads: int) -> dict[str, np.uint64]:
    """Return path -> hash of 64 bits, of the images that can be read."""
    try:
        import imagehash
    except ImportError as error:
        raise UserError("--near needs the package imagehash: pip install imagehash") from error

    def of(path: str) -> np.uint64 | None:
        try:
            image = read_image(path, lambda image: image.draft("RGB", (HASH_SIDE, HASH_SIDE)))
        except UnreadableImageError:
            return None
        bits: npt.NDArray[np.bool_] = imagehash.phash(image).hash
        return np.packbits(bits.reshape(-1)).view(np.uint64)[0]

    values = in_threads(of, paths, lambda: 64, threads)
    return {path: value for path, value in zip(paths, values, strict=True) if value is not None}


def _content(header: Header) -> bytes:
    """Return what is equal for equal files alone."""
    if header.length <= HEAD:  # all of it is in the fingerprint
        return header.fingerprint
    return bytes.fromhex(sha256_of(Path(header.path)))
