"""The folders of a data set with the headers of all their images, read by threads."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from util.errors import UnreadableImageError, UserError
from util.files import list_folder
from util.threads import in_threads

from ..image_folder import find_images, read_image
from .headers import Header, read_header

PHASES = ("train", "val", "test")
SIDES = {"unaligned": ("A", "B"), "aligned": ("",)}
"""What the folders of each --dataset_mode are named after their phase."""
CHUNK = 256
"""Files that a thread reads at a time: passing on single ones takes longer than reading them."""


@dataclass
class Folder:
    """One folder, such as trainA: its readable images, its unreadable ones, what is left out."""

    name: str
    headers: list[Header] = field(default_factory=list)
    unreadable: list[UnreadableImageError] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """File ending, in lower case -> number of files that are no images, or no regular files."""

    @property
    def phase(self) -> str:
        """Return `train`, `val` or `test`."""
        return self.name.rstrip("AB")

    def sizes(self) -> Counter[tuple[int, int]]:
        """Return (width, height) in pixels -> number of images."""
        return Counter((header.width, header.height) for header in self.headers)


def dataset_mode(root: Path, given: str | None = None) -> str:
    """Return `aligned` or `unaligned`, as the folders below `root` are named.

    Raises UserError where there is neither a folder train nor trainA.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; {list_folder(root.parent)}")
    for mode, sides in SIDES.items():
        if given in (None, mode) and any((root / f"train{side}").is_dir() for side in sides):
            return mode
    wanted = " nor ".join(f"train{SIDES[mode][0]}" for mode in SIDES if given in (None, mode))
    raise UserError(f"{root} holds no folder {wanted}; {list_folder(root)}")


def read_folders(root: Path, mode: str, threads: int, full: bool = False) -> list[Folder]:
    """Return the existing folders of each phase, with the headers of their images sorted by path.

    `full` decodes each image too. Those that cannot be read are in `unreadable`.
    """
    names = [f"{phase}{side}" for phase in PHASES for side in SIDES[mode]]
    return [_read(root / name, threads, full) for name in names if (root / name).is_dir()]


def _read(path: Path, threads: int, full: bool) -> Folder:
    folder = Folder(path.name)
    others: list[str] = []
    chunks = _chunks(find_images(path, left_out=others.append))
    folder.left_out.update(Path(name).suffix.lower() or name for name in others)
    for found in in_threads(lambda chunk: _headers(chunk, full), chunks, lambda: 64, threads):
        for header in found:
            if isinstance(header, Header):
                folder.headers.append(header)
            else:
                folder.unreadable.append(header)
    return folder


def _chunks(paths: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), CHUNK):
        yield paths[start : start + CHUNK]


def _headers(paths: Iterable[str], full: bool) -> list[Header | UnreadableImageError]:
    found: list[Header | UnreadableImageError] = []
    for path in paths:
        try:
            header = read_header(path)
            if full:
                read_image(path)
            found.append(header)
        except UnreadableImageError as error:
            found.append(error)
    return found
