"""Finding the image files of a folder, and reading them."""

import heapq
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.utils.data
from PIL import Image, UnidentifiedImageError

from util.errors import UserError
from util.images import upright_rgb

Image.MAX_IMAGE_PIXELS = None  # scans are larger than Pillow expects, and the files the user's own

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp")
HEAP_LIMIT = 1000
"""To pick more than so many takes longer than to sort all."""

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error),
    *(RuntimeError, OverflowError, MemoryError),  # a damaged header may claim any size
)
"""What Pillow raises for damaged files."""


def is_image_file(name: str) -> bool:
    """Whether the ending of a file name says that it is an image."""
    return name.lower().endswith(IMG_EXTENSIONS)


def find_images(folder: str | Path, max_count: float = float("inf")) -> list[str]:
    """Paths of the image files in a folder and below it, links followed, sorted by path.

    Only the first `max_count`, if that is a number.
    """
    found = (
        os.path.join(where, name)  # noqa: PTH118 - a million Path objects are slow
        for where, _, names in os.walk(folder, followlinks=True)
        for name in names
        if is_image_file(name) and not name.startswith(".")
    )
    if max_count <= HEAP_LIMIT:
        return heapq.nsmallest(int(max_count), found)  # without a list of all
    return sorted(found)[: int(min(max_count, sys.maxsize))]


def make_dataset(folder: str | Path, max_dataset_size: float = float("inf")) -> list[str]:
    """`find_images`, at most `max_dataset_size` of them.

    Raises UserError where the folder does not exist or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--dataroot: there is no folder {folder}{_neighbours(folder)}")
    paths = find_images(folder, max_dataset_size)
    if not paths:
        raise UserError(
            f"--dataroot: {folder} holds no image (endings read: {' '.join(IMG_EXTENSIONS)})"
        )
    return paths


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


def default_loader(path: str) -> Image.Image:
    """Return an image file as RGB, upright. Raises UnreadableImageError."""
    return read_image(path)


class ImageFolder(torch.utils.data.Dataset[Any]):
    """The images of a folder and below it, sorted by path, as data sets of the reference use it.

    Items are what `transform` makes of what `loader` reads (the image itself without a transform);
    with `return_paths` they are pairs of that and the path. Raises UserError where the folder does
    not exist or holds no image.
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
        """Return the image of that index, transformed, and its path if asked for."""
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
    said = isinstance(error, OSError) and error.strerror  # without the path, which is named anyway
    return " ".join(str(said or error).split()) or type(error).__name__


def _neighbours(folder: Path) -> str:
    if not folder.parent.is_dir():
        return f" (nor {folder.parent})"
    folders = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    return f"; {folder.parent} holds the folders: {', '.join(folders[:12]) or 'none'}"
