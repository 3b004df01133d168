"""What the programs share that write pairs of images: reading them, and putting A beside B."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import is_image_file, read_image
from util.errors import UserError
from util.files import list_folder
from util.threads import cpu_cores, in_threads

Job = TypeVar("Job")


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files in a folder, sorted, without those below it."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(name for name in names if is_image_file(name) and not name.startswith("."))


def existing_folder(flag: str, folder: Path) -> Path:
    """Return the folder. Raises UserError naming the flag where it does not exist."""
    if not folder.is_dir():
        raise UserError(f"{flag}: there is no folder {folder}; {list_folder(folder.parent)}")
    return folder


def beside(path_a: Path, path_b: Path) -> Image.Image:
    """Return image A with image B to its right, RGB. Raises UserError where sizes differ."""
    a, b = read_image(str(path_a)), read_image(str(path_b))
    if a.size != b.size:
        sizes = [f"{path} has {i.width}x{i.height}" for path, i in ((path_a, a), (path_b, b))]
        raise UserError(f"{sizes[0]} and {sizes[1]} pixels: resize one to the size of the other")
    return joined(a, b)


def joined(a: Image.Image, b: Image.Image) -> Image.Image:
    """Return two images of one size side by side, RGB, in twice their width."""
    pair = Image.new("RGB", (2 * a.width, a.height))
    pair.paste(a, (0, 0))
    pair.paste(b, (a.width, 0))
    return pair


def save(image: Image.Image, path: Path, quality: int = 95) -> None:
    """Write an image in the format of its ending. Raises UserError where that is not possible.

    `quality`, from 1 to 100, is that of JPEG and WebP; chroma is not subsampled.
    """
    jpeg = {"quality": quality, "subsampling": 0}
    settings = {".jpg": jpeg, ".jpeg": jpeg, ".webp": {"quality": quality}}
    try:
        image.save(path, **settings.get(path.suffix.lower(), {}))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def do_all(do: Callable[[Job], object], jobs: Iterable[Job], parallel: bool = True) -> int:
    """Call `do` for each job, in threads where `parallel`; return how many there were."""
    threads = cpu_cores() if parallel else 0
    return sum(1 for _ in in_threads(do, jobs, lambda: 4 * threads, threads))
