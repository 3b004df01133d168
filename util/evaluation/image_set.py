"""A set of images by name, read when they are asked for.

Legend: levels are (3, H, W) uint8.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from util.images import Uint8Image, to_uint8

Read = Callable[[str], Image.Image]
"""An image file -> an upright RGB image."""


@dataclass(frozen=True)
class Preparation:
    """What is done to images after decoding them, as far as that changes the levels."""

    size: str
    gray: bool = False
    half: str = ""
    """`left half` or `right half`, of a file with a pair."""
    pixels: str = ""

    def __str__(self) -> str:
        parts = [self.size, "gray" if self.gray else "", self.half, self.pixels]
        return ", ".join(part for part in parts if part)


class ImageSet(Mapping[str, Uint8Image]):
    """Name -> levels, sorted by name.

    A name is the path below `folder` without the ending, so that `testA/x.png` and `testB/x.jpg`
    are a pair; the second of two files that differ in the ending alone is named with it. With
    `label` only files whose name ends with `_<label>` are taken, without that ending. `how` says
    what `read` does.
    """

    def __init__(
        self, folder: str | Path, paths: list[str], read: Read, how: Preparation, label: str = ""
    ) -> None:
        self.folder, self.how, self._read = Path(folder), how, read
        self.paths = _named(self.folder, paths, f"_{label}" if label else "")

    def __getitem__(self, name: str) -> Uint8Image:
        """The image of that name. Raises UserError where it cannot be read."""
        return to_uint8(self._read(self.paths[name]).convert("RGB"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def limited(self, most: int | None, seed: int) -> "ImageSet":
        """At most so many of the images, drawn by `seed` and the names alone.

        Of two sets with the same names the same ones are drawn.
        """
        return self.only(sorted(self.paths, key=lambda name: _digest(f"{seed}/{name}"))[:most])

    def only(self, names: Iterable[str]) -> "ImageSet":
        """The images of these names."""
        chosen = ImageSet(self.folder, [], self._read, self.how)
        chosen.paths = {name: self.paths[name] for name in sorted(names)}
        return chosen

    @cached_property
    def digest(self) -> str:
        """Of the contents of all files in order, and of what is done to them."""
        contents = [_digest(Path(path).read_bytes()) for path in self.paths.values()]
        return _digest("/".join([str(self.how), *contents]))


def _digest(content: bytes | str) -> str:
    if isinstance(content, str):
        content = content.encode(errors="surrogatepass")  # names of files may not be UTF-8
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _named(folder: Path, paths: list[str], ending: str) -> dict[str, str]:
    named: dict[str, str] = {}
    taken: set[str] = set()
    for path in sorted(paths):
        inside = Path(path).relative_to(folder)
        name = inside.with_suffix("").as_posix()
        if not name.endswith(ending):
            continue
        name = name.removesuffix(ending)
        while name.lower() in taken:  # as 02_inference.py names results
            name = f"{name}_{inside.suffix[1:]}"
        taken.add(name.lower())
        named[name] = path
    return dict(sorted(named.items()))
