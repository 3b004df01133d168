"""What the programs share that write pairs of images: reading them, and putting A beside B."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import find_images, is_image_file, read_deep
from util.deep_images import NPY, encode
from util.errors import UserError
from util.files import list_folder
from util.images import BY_TYPE
from util.threads import cpu_cores, in_threads

Job = TypeVar("Job")
Deep16 = npt.NDArray[np.uint16]
"""The pixels (H, W, C) of an image with 16 bits per channel, C 1 or 3."""
DEEP_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".npy": NPY}
"""Endings of files that can hold 16 bits per channel."""


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files in a folder, sorted, without those below it."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(name for name in names if is_image_file(name) and not name.startswith("."))


def existing_folder(flag: str, folder: Path) -> Path:
    """Return the folder. Raises UserError naming the flag where it does not exist."""
    if not folder.is_dir():
        raise UserError(f"{flag}: there is no folder {folder}; {list_folder(folder.parent)}")
    return folder


def refuse_others(folder: Path, names: Iterable[str], remedy: str) -> None:
    """Raise UserError where a folder for pairs holds other images: a training would take them too.

    `names` are the files that will be written.
    """
    found = find_images(folder) if folder.is_dir() else []
    others = sorted({Path(path).relative_to(folder).as_posix() for path in found} - set(names))
    if others:
        raise UserError(
            f"{folder} holds {len(others)} other images, such as {others[0]}, which a training "
            f"would take for pairs: remove them{remedy}"
        )


def beside(path_a: Path, path_b: Path) -> Image.Image | Deep16:
    """Return image A with image B to its right: RGB, or with 16 bits where one has more than 8.

    16-bit values stay as they are; floating point goes from 0 to 1. Raises UserError where sizes
    differ, or where an image with more than 8 bits has other channels than gray or RGB.
    """
    a, b = (read_deep(str(path), None, BY_TYPE) for path in (path_a, path_b))
    sizes = [i.size if isinstance(i, Image.Image) else i.shape[1::-1] for i in (a, b)]
    if sizes[0] != sizes[1]:
        told = [f"{path} has {w}x{h}" for path, (w, h) in zip((path_a, path_b), sizes, strict=True)]
        raise UserError(f"{told[0]} and {told[1]} pixels: resize one to the size of the other")
    if isinstance(a, Image.Image) and isinstance(b, Image.Image):
        return joined(a, b)
    levels = [np.asarray(image, np.float32) for image in (a, b)]
    channels = max(image.shape[2] for image in levels)
    for path, image in zip((path_a, path_b), levels, strict=True):
        if image.shape[2] not in (1, 3):
            raise UserError(f"{path} has {image.shape[2]} channels: pairs are gray or RGB")
    pair = np.concatenate([np.broadcast_to(i, (*i.shape[:2], channels)) for i in levels], axis=1)
    return (pair.astype(np.float64) * (65535 / 255)).round().astype(np.uint16)


def joined(a: Image.Image, b: Image.Image) -> Image.Image:
    """Return two images of one size side by side, RGB, in twice their width."""
    pair = Image.new("RGB", (2 * a.width, a.height))
    pair.paste(a, (0, 0))
    pair.paste(b, (a.width, 0))
    return pair


def save(image: Image.Image | Deep16, path: Path, quality: int = 95) -> None:
    """Write an image in the format of its ending. Raises UserError where that is not possible.

    `quality`, from 1 to 100, is that of JPEG and WebP; chroma is not subsampled. The names of
    images with 16 bits get the ending .png where theirs is that of a format without.
    """
    jpeg = {"quality": quality, "subsampling": 0}
    settings = {".jpg": jpeg, ".jpeg": jpeg, ".webp": {"quality": quality}}
    suffix = path.suffix.lower()
    try:
        if not isinstance(image, Image.Image):
            path = path if suffix in DEEP_FORMATS else path.with_name(f"{path.name}.png")
            path.write_bytes(encode(image, DEEP_FORMATS.get(suffix, "PNG")))
        elif suffix == ".npy":
            path.write_bytes(encode(np.asarray(image), NPY))
        else:
            image.save(path, **settings.get(suffix, {}))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def do_all(do: Callable[[Job], object], jobs: Iterable[Job], parallel: bool = True) -> int:
    """Call `do` for each job, in threads where `parallel`; return how many there were."""
    threads = cpu_cores() if parallel else 0
    return sum(1 for _ in in_threads(do, jobs, lambda: 4 * threads, threads))
