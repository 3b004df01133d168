"""Finding the image files of a folder."""

import os
from pathlib import Path

from util.errors import UserError

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp")


def is_image_file(name: str) -> bool:
    """Whether the ending of a file name says that it is an image."""
    return name.lower().endswith(IMG_EXTENSIONS)


def find_images(folder: str | Path) -> list[str]:
    """Paths of all image files in a folder and below it, links followed, sorted by path."""
    found = [
        os.path.join(where, name)  # noqa: PTH118 - a million Path objects are slow
        for where, _, names in os.walk(folder, followlinks=True)
        for name in names
        if is_image_file(name) and not name.startswith(".")
    ]
    return sorted(found)


def make_dataset(folder: str | Path, max_dataset_size: float = float("inf")) -> list[str]:
    """`find_images`, at most `max_dataset_size` of them.

    Raises UserError where the folder does not exist or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--dataroot: there is no folder {folder}{_neighbours(folder)}")
    paths = find_images(folder)
    if not paths:
        raise UserError(
            f"--dataroot: {folder} holds no image (endings read: {' '.join(IMG_EXTENSIONS)})"
        )
    return paths[: int(min(max_dataset_size, len(paths)))]


def _neighbours(folder: Path) -> str:
    if not folder.parent.is_dir():
        return f" (nor {folder.parent})"
    folders = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    return f"; {folder.parent} holds the folders: {', '.join(folders[:12]) or 'none'}"
