"""Finding the image files of a folder, and reading them as RGB images."""

import heapq
import io
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.utils.data
from PIL import Image, UnidentifiedImageError

from util import sharing
from util.errors import UnreadableImageError, UserError
from util.images import upright_rgb

# scans are larger than Pillow's guard against decompression bombs expects; the user owns the files
Image.MAX_IMAGE_PIXELS = None

_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp")
IMG_EXTENSIONS = [*_ENDINGS, *(ending.upper() for ending in _ENDINGS)]
"""Endings of image files, in both cases and in a list: data sets compare with it and extend it."""
HEAP_LIMIT = 1000
"""Up to so many paths a heap selects faster than sorting all of them."""

_together = False

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error),
    *(RuntimeError, OverflowError, MemoryError),  # a damaged header may claim any size
)
"""The exceptions that Pillow raises for damaged files."""


class StoredImage(str):
    """The path of an image that is no file of its own, such as a part of an archive."""

    def content(self) -> bytes:
        """Return the bytes of the image file."""
        raise NotImplementedError

    def identity(self) -> object:
        """Return a value, the same in later runs, that changes where the bytes may have changed."""
        raise NotImplementedError


def is_image_file(name: str) -> bool:
    """Return whether the extension of a file name is that of an image."""
    return name.lower().endswith(tuple(IMG_EXTENSIONS))


def find_images(folder: str | Path, max_count: float = float("inf")) -> list[str]:
    """Return the paths of the image files in a folder and below it, sorted.

    Links are followed, hidden files are left out. At most the first `max_count` are returned.
    """
    paths = (
        os.path.join(parent, name)  # noqa: PTH118 - a million Path objects are slow
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if is_image_file(name) and not name.startswith(".")
    )
    if max_count <= HEAP_LIMIT:
        return heapq.nsmallest(int(max_count), paths)  # without a list of all
    return sorted(paths)[: int(min(max_count, sys.maxsize))]


def make_dataset(folder: str | Path, max_dataset_size: float = float("inf")) -> list[str]:
    """Return what `find_images` returns, at most `max_dataset_size` paths.

    While processes that train together make their data sets (see `listing_together`), one of each
    machine lists the folder for all of them. Raises UserError where the folder does not exist or
    holds no image.
    """
    folder = Path(folder)
    if _together:
        of_machine = sharing.on_each_machine(lambda: (folder, _listed(folder, max_dataset_size)))
        if of_machine[0] == folder:
            return of_machine[1]
    return _listed(folder, max_dataset_size)


@contextmanager
def listing_together() -> Iterator[None]:
    """Have `make_dataset` list a folder once for each machine.

    All processes make the same calls.
    """
    global _together
    _together = True
    try:
        yield
    finally:
        _together = False


def _listed(folder: Path, max_dataset_size: float) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"--dataroot: there is no folder {folder}{_neighbours(folder)}")
    paths = find_images(folder, max_dataset_size)
    if not paths:
        endings = " ".join(dict.fromkeys(ending.lower() for ending in IMG_EXTENSIONS))
        raise UserError(f"--dataroot: {folder} holds no image (endings read: {endings})")
    return paths


def read_image(path: str, before: Callable[[Image.Image], object] | None = None) -> Image.Image:
    """Read an image file as an upright 8-bit RGB image (see util.images.upright_rgb).

    `before` is called with the opened file, whose size is known and whose pixels are not decoded
    yet. Raises UnreadableImageError where the file cannot be read.
    """
    file = io.BytesIO(path.content()) if isinstance(path, StoredImage) else path
    try:
        with Image.open(file) as image:
            if before is not None:
                before(image)
            image.load()
            return upright_rgb(image)
    except DAMAGE as error:
        raise UnreadableImageError(str(path), _reason(error)) from error


def default_loader(path: str) -> Image.Image:
    """Read an image file as an upright RGB image; raises UnreadableImageError."""
    return read_image(path)


class ImageFolder(torch.utils.data.Dataset[Any]):
    """The images of a folder and below it, sorted by path, as data sets of the reference use it.

    An item is what `transform` returns for the image that `loader` reads (the image itself without
    a transform); with `return_paths` it is a pair of that and the path. Raises UserError where the
    folder does not exist or holds no image.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        return_paths: bool = False,
        loader: Callable[[str], Any] = default_loader,
    ) -> None:
        self.root, self.imgs = root, make_dataset(root)
        self.transform, self.return_paths, self.loader = transform, return_paths, loader

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.imgs)

    def __getitem__(self, index: int) -> Any:
        """Return the transformed image of that index or, with `return_paths`, it and its path."""
        path = self.imgs[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        return (image, path) if self.return_paths else image


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, MemoryError):
        return "its pixels do not fit into the memory"
    # strerror alone, since str(error) repeats the path
    text = isinstance(error, OSError) and error.strerror
    return " ".join(str(text or error).split()) or type(error).__name__


def _neighbours(folder: Path) -> str:
    if not folder.parent.is_dir():
        return f" (nor {folder.parent})"
    folders = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    return f"; {folder.parent} holds the folders: {', '.join(folders[:12]) or 'none'}"
