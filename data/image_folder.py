"""Finding the image files of a folder, and reading them as RGB images."""

import heapq
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch.utils.data
from PIL import Image, UnidentifiedImageError

from util import sharing
from util.array_files import is_misread, is_tiff, may_be_array, read_array
from util.deep_images import Levels, kind_of, named, read_levels, turned_upright
from util.errors import UnreadableImageError, UserError, printable
from util.files import identity
from util.image_files import (
    BYTES_OF_DEEP,
    DAMAGE,
    open_image,
    read_bytes,
    reason_of,
    refuse_too_large,
)
from util.images import BY_TYPE, Pixels, orientation, upright_rgb

log = logging.getLogger(__name__)

_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".npy")
IMG_EXTENSIONS = [*_ENDINGS, *(ending.upper() for ending in _ENDINGS)]
"""Endings of image files, in both cases and in a list: data sets compare with it and extend it."""
NOT_OF_THE_USER = ("__MACOSX",)
"""Folders that programs add to archives: their images are resource forks of others."""
HEAP_LIMIT = 1000
"""Up to so many paths a heap selects faster than sorting all of them."""

_together = False


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


def find_images(
    folder: str | Path,
    max_count: float = float("inf"),
    left_out: Callable[[str], object] = lambda name: None,
) -> list[str]:
    """Return the paths of the image files in a folder and below it, sorted.

    Links are followed, but each folder is read once, and hidden files and folders are left out. So
    are, with a warning, folders that cannot be read and what is no regular file, which could block.
    At most the first `max_count` are returned. `left_out` is called with the name of each file that
    is not hidden and no image.
    """
    paths = _image_files(str(folder), left_out)
    if max_count <= HEAP_LIMIT:
        return heapq.nsmallest(int(max_count), paths)  # without a list of all
    return sorted(paths)[: int(min(max_count, sys.maxsize))]


def _image_files(folder: str, left_out: Callable[[str], object]) -> Iterator[str]:
    seen: dict[tuple[int, int] | str, str] = {}
    folders, links = [folder], list[str]()
    while folders or links:
        # links last, so that a folder has its own path
        path = folders.pop() if folders else heapq.heappop(links)
        try:
            first = seen.setdefault(identity(path), path)
            if first != path:
                log.warning("%s is left out: it is the folder %s again", path, first)
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    kind = _kind(entry)
                    if kind == "folder" and entry.is_symlink():
                        heapq.heappush(links, entry.path)
                    elif kind == "folder":
                        folders.append(entry.path)
                    elif kind == "image":
                        yield entry.path
                    elif kind == "other":
                        left_out(entry.name)
        except OSError as error:
            log.warning("the folder %s is left out: %s", path, error.strerror)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "image", "other" for what is neither and, for what is hidden, ""."""
    if entry.name.startswith(".") or entry.name in NOT_OF_THE_USER:
        return ""
    try:
        if entry.is_dir():
            return "folder"
        if not is_image_file(entry.name):
            return "other"
        # a link to nothing is found where it is read, and named there
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):  # noqa: PTH110
            return "image"
    except OSError as error:  # a link to itself
        log.warning("%s is left out: %s", entry.path, error.strerror)
        return "other"
    log.warning("%s is left out: it is no regular file", entry.path)
    return "other"


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
    if not os.path.isdir(folder):  # noqa: PTH112 - False where a folder above cannot be read
        if os.path.exists(folder):  # noqa: PTH110
            raise UserError(f"--dataroot: {folder} is neither an image file nor a folder")
        raise UserError(f"--dataroot: there is no folder {folder}{_neighbours(folder)}")
    paths = find_images(folder, max_dataset_size)
    if not paths:
        endings = " ".join(dict.fromkeys(ending.lower() for ending in IMG_EXTENSIONS))
        raise UserError(f"--dataroot: {folder} holds no image (endings read: {endings})")
    return paths


def read_image(
    path: str,
    before: Callable[[Image.Image], object] | None = None,
    pixels: Pixels = BY_TYPE,
) -> Image.Image:
    """Read an image file as an upright 8-bit RGB image (see util.images.upright_rgb).

    `before` is called with the opened file, whose size is known and whose pixels are not decoded
    yet. Of other numbers of channels than 1 and 3 the first is shown as gray. Raises
    UnreadableImageError where the file cannot be read.
    """
    try:
        with _opened(path) as image:
            return _decoded(image, before, pixels)
    except UnreadableImageError as error:
        levels = _array_instead(path, error, pixels)
    shown = levels if levels.shape[2] == 3 else np.repeat(levels[..., :1], 3, axis=2)
    return Image.fromarray(shown.round().astype(np.uint8))


def read_deep(
    path: str, before: Callable[[Image.Image], object] | None, pixels: Pixels
) -> Image.Image | Levels:
    """Read an image file as `read_image` does, but one that is not 8-bit RGB as upright levels.

    These are float32 (H, W, C) from 0 to 255, C 1, 3 or that of an array file
    (util.array_files); without a background as many as any file has. Raises UnreadableImageError.
    """
    all_channels = pixels.background is None
    try:
        if all_channels and is_tiff(path, _content_of(path)):
            raise UnidentifiedImageError  # Pillow reads the first page alone
        with _opened(path) as image:
            if not kind_of(image) and not all_channels:
                return _decoded(image, before, pixels)
            refuse_too_large(image, BYTES_OF_DEEP * len(image.getbands()))
            if kind_of(image):
                content = _content_of(path) or partial(read_bytes, path)
                levels = read_levels(image, content, pixels.value_range, pixels.background)
            else:
                levels = np.asarray(image, np.float32).reshape(image.height, image.width, -1)
            return turned_upright(levels, orientation(image))
    except (UnreadableImageError, UnidentifiedImageError) as error:
        return _array_instead(path, error, pixels)


def _array_instead(path: str, error: Exception, pixels: Pixels) -> Levels:
    """Return the levels of a file that Pillow does not know, or raise the `error` of another."""
    content, cause = _content_of(path), error.__cause__ or error
    if not isinstance(cause, UnidentifiedImageError) or not may_be_array(path, content):
        raise error
    try:
        with named(path):
            return read_array(path, content).levels(pixels.value_range, pixels.background)
    except DAMAGE as reason:
        raise UnreadableImageError(str(path), reason_of(reason)) from reason


def _content_of(path: str) -> Callable[[], bytes] | None:
    return path.content if isinstance(path, StoredImage) else None


def _decoded(
    image: Image.Image, before: Callable[[Image.Image], object] | None, pixels: Pixels
) -> Image.Image:
    if before is not None:
        before(image)
    refuse_too_large(image)
    image.load()
    return upright_rgb(image, pixels)


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    file = io.BytesIO(path.content()) if isinstance(path, StoredImage) else path
    try:
        # a data set may have added extensions
        with named(path), open_image(file, tuple(IMG_EXTENSIONS[2 * len(_ENDINGS) :])) as image:
            if is_misread(image):
                raise UnidentifiedImageError
            yield image
    except DAMAGE as error:
        raise UnreadableImageError(str(path), reason_of(error)) from error


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


def _neighbours(folder: Path) -> str:
    """Return what is there instead of a folder that is missing, and the remedy."""
    parent, name = folder.parent, folder.name
    remedy = f"; give the folder that holds {name}"
    try:
        folders = sorted(printable(p.name) for p in parent.iterdir() if p.is_dir())
    except OSError:
        return (f" ({parent} is a file)" if parent.is_file() else f" (nor {parent})") + remedy
    if f"{name}A" in folders:
        remedy += f", or --model cycle_gan --dataset_mode unaligned for {name}A and {name}B"
    elif name[:-1] in folders:
        remedy += f", or --model pix2pix --dataset_mode aligned for the pairs in {name[:-1]}"
    return f"; {parent} holds the folders: {', '.join(folders[:12]) or 'none'}{remedy}"
