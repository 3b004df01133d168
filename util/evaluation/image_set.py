"""A set of images by name, read when they are asked for.

Legend: levels are (3, H, W) uint8.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from util.images import Uint8Image, to_uint8

log = logging.getLogger(__name__)

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
    are a pair; the second of two files that differ in the ending alone is named with it, and
    `named_as` says which of them is a pair of what. With `label` only files whose name ends with
    `_<label>` are taken, without that ending. `how` says what `read` does.
    """

    def __init__(
        self, folder: str | Path, paths: list[str], read: Read, how: Preparation, label: str = ""
    ) -> None:
        self.folder, self.how, self._read = Path(folder), how, read
        self._label, self._ending = label, f"_{label}" if label else ""
        self.paths = _named(self.folder, paths, self._ending)

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
        return self._renamed({name: name for name in names})

    def named_as(self, others: "ImageSet") -> "ImageSet":
        """The images, each of which has the name of its pair in `others`.

        Where files differ in the ending alone, those of the same full name are pairs; of results of
        02_inference.py those that it names after them. Where there are none, files have their full
        names, which are those of no pair, and a warning says so.
        """
        names, ambiguous = {name: name for name in self.paths}, []
        groups = others._same_stem()
        for stem, own in self._same_stem().items():
            theirs = groups.get(stem, {})
            if not theirs or len(own) == len(theirs) == 1:
                continue
            many, place, single = (own, self, others) if len(own) > 1 else (theirs, others, self)
            if min(len(own), len(theirs)) == 1 and many.keys() <= single.paths.keys():
                continue  # results of 02_inference.py have such names
            if not {*own.values()} & {*theirs.values()}:
                ambiguous.append([place.folder / file for file in [*many.values()][:2]])
            pairs = {full: name for name, full in theirs.items()}
            names |= {name: pairs.get(full, full) for name, full in own.items()}
        if ambiguous:
            log.warning(
                "%s and %s differ in the ending alone, so that it is unknown which one is the pair "
                "of an image: such files (%d names) make no pairs; rename them",
                *(*ambiguous[0], len(ambiguous)),
            )
        return self._renamed(names)

    def _same_stem(self) -> dict[str, dict[str, str]]:
        """Path without ending and label -> name -> path below the folder."""
        found: dict[str, dict[str, str]] = {}
        for name, path in self.paths.items():
            inside = Path(path).relative_to(self.folder)
            stem = inside.with_suffix("").as_posix().removesuffix(self._ending)
            found.setdefault(stem, {})[name] = inside.as_posix()
        return found

    def _renamed(self, names: Mapping[str, str]) -> "ImageSet":
        """The images of the old names, under the new ones."""
        chosen = ImageSet(self.folder, [], self._read, self.how, self._label)
        chosen.paths = dict(sorted((new, self.paths[old]) for old, new in names.items()))
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
