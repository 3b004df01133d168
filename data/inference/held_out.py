"""The image sets that evaluation compares, read from files as inference reads them."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from util.errors import UserError
from util.evaluation.direction import Direction
from util.evaluation.image_set import ImageSet, Preparation, Read
from util.files import list_folder
from util.html import images_shown
from util.images import BY_TYPE, Pixels

from ..image_folder import find_images, read_image
from ..transforms import CHANNELS

log = logging.getLogger(__name__)

HELD_OUT = ("test", "val")
"""The phases that training does not see; the first whose folder exists is used."""

KINDS = ("real", "fake", "rec", "idt")
LABELS = tuple(f"_{kind}{side}" for kind in KINDS for side in ("", "_A", "_B"))
"""The endings of the file names in a gallery."""

OF_GALLERIES = {
    "--fake": "say which images with --label ({})",
    "--real": "give the folder of the real images",
    "--input": "give the folder of the untranslated images",
}
"""What to give instead of a whole gallery, by the flag; data folders may have such names."""


def held_out_sides(
    root: str | Path,
    phase: str | None = None,
    aligned: bool = False,
    size: int | None = None,
    gray: Sequence[bool] = (False, False),
    pixels: Pixels = BY_TYPE,
) -> tuple[ImageSet, ImageSet]:
    """Return the images of `<root>/<phase>A` and `B`, or the halves of `<root>/<phase>`.

    Without `phase` it is the first of HELD_OUT whose folder exists. Images are resized to squares
    of `size` pixels, if given. Raises UserError where a folder is missing or empty.
    """
    root = Path(root)
    if phase is None:
        ending = "" if aligned else "A"
        existing = (phase for phase in HELD_OUT if (root / f"{phase}{ending}").is_dir())
        phase = next(existing, HELD_OUT[0])
    sides = []
    for place, side in enumerate("AB"):
        folder = root / (phase if aligned else f"{phase}{side}")
        read, how = reader(size, gray[place], place if aligned else None, pixels)
        sides.append(image_set(folder, "--dataroot", read, how))
    return sides[0], sides[1].named_as(sides[0])


def held_out_directions(
    options: Mapping[str, Any],
    suffixes: Sequence[str],
    phase: str | None = None,
    size: int | None = None,
    most: int | None = None,
    seed: int = 0,
) -> list[Direction]:
    """Return what each generator G<suffix> translates, from the options of a training.

    `size` resizes the images to a square (by default pairs have the crop size of the training,
    others their own size); at most `most` images of each side are drawn by `seed` and name. Raises
    UserError where a folder is missing or empty, or images are neither gray nor RGB.
    """
    forward = options.get("direction", "AtoB") == "AtoB"
    channels = ("input_nc", "output_nc") if forward else ("output_nc", "input_nc")
    gray = [options.get(name, 3) == 1 for name in channels]
    for name in channels:
        if options.get(name, 3) not in CHANNELS:
            raise UserError(
                f"--{name} {options[name]}: evaluation compares gray and RGB images, and those of "
                "this run have other channels"
            )
    aligned = options.get("dataset_mode", "unaligned") == "aligned"
    size = size or (options.get("crop_size", 256) if aligned else None)
    pixels = Pixels.of(options)
    sides = held_out_sides(options["dataroot"], phase, aligned, size, gray, pixels)
    first, second = (side.limited(most, seed) for side in (sides if forward else sides[::-1]))
    directions = []
    for suffix in suffixes:
        back = {"_A": "_B", "_B": "_A"}.get(suffix)
        inputs, real = (second, first) if suffix == "_B" else (first, second)
        directions.append(Direction(inputs, real, suffix, back if back in suffixes else None))
    return directions


def reader(
    size: int | None, gray: bool = False, half: int | None = None, pixels: Pixels = BY_TYPE
) -> tuple[Read, Preparation]:
    """Return a function that reads an image file as 02_inference.py does, and its description."""

    def read(path: str) -> Image.Image:
        image = read_image(path, pixels=pixels)
        if half is not None:
            width = image.width // 2
            image = image.crop((half * width, 0, (half + 1) * width, image.height))
        image = image.convert("L") if gray else image
        if size is not None and image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        return image

    how = Preparation(
        "their own size" if size is None else f"{size}x{size} (bicubic)",
        gray,
        "" if half is None else ("left half", "right half")[half],
        "" if pixels == BY_TYPE else str(pixels),
    )
    return read, how


def image_set(folder: Path, flag: str, read: Read, how: Preparation, label: str = "") -> ImageSet:
    """Return the images of a folder and below it; raises UserError where there are none.

    With `label` they are those that a gallery shows; `folder` is that of its pages or its images.
    """
    if not folder.is_dir():
        raise UserError(f"{flag}: there is no folder {folder}; {list_folder(folder.parent)}")
    if label and (folder / "index.html").is_file() and (folder / "images").is_dir():
        folder = folder / "images"
    paths = _shown(folder) if label else find_images(folder)
    images = ImageSet(folder, paths, read, how, label)
    if not images:
        condition = f" whose name ends with _{label}" if label else ""
        raise UserError(f"{flag}: {folder} holds no image{condition}")
    labels = {next((e for e in LABELS if Path(p).stem.endswith(e)), "") for p in paths}
    if flag in OF_GALLERIES and not label and "" not in labels and len(labels) > 1:
        choices = ", ".join(sorted(ending[1:] for ending in labels))
        raise UserError(f"{flag}: {folder} is a gallery; {OF_GALLERIES[flag].format(choices)}")
    return images


def sources_in_gallery(images: ImageSet, label: str) -> dict[str, Path]:
    """Return the file of the input of each image, where a gallery shows both sides translated.

    Such a gallery names both sides after the longer one, so that a name does not tell which image
    of the shorter side was translated, and the shorter side is there more than once. Empty for
    other galleries, those of pix2pix for example.
    """
    other = {"A": "B", "B": "A"}
    if label[-2:-1] != "_" or label[-1] not in other:
        return {}
    side = other[label[-1]] if label.startswith("fake") else label[-1]
    found = {}
    for name, path in images.paths.items():
        file = Path(path)
        stem = file.stem.removesuffix(f"_{label}")
        both = (f"{stem}_{kind}_{s}{file.suffix}" for kind in ("real", "fake") for s in other)
        if all(file.with_name(one).is_file() for one in both):
            found[name] = file.with_name(f"{stem}_real_{side}{file.suffix}")
    return found


def without_repeats(images: ImageSet, sources: Mapping[str, Path]) -> ImageSet:
    """Return the images without those made from the same input as one before them."""
    first: dict[str, str] = {}
    for name in images:
        content = sources[name].read_bytes() if name in sources else name.encode()
        first.setdefault(hashlib.blake2b(content).hexdigest(), name)
    return images.only(first.values())


def other_side(folder: Path) -> set[str]:
    """Return the names of the images in `<phase>B` beside `<phase>A`, or the other way round."""
    other = {"A": "B", "B": "A"}.get(folder.name[-1:])
    if other is None:
        return set()
    beside = folder.with_name(f"{folder.name[:-1]}{other}")
    return set(ImageSet(beside, find_images(beside) if beside.is_dir() else [], *reader(None)))


def _shown(folder: Path) -> list[str]:
    """Return the images of a gallery without those that an earlier inference has left there."""
    paths, shown = find_images(folder), images_shown(folder.parent)
    kept = [path for path in paths if Path(path).relative_to(folder.parent) in shown]
    if kept and len(kept) < len(paths):
        left = len(paths) - len(kept)
        log.info("%s: left out %d files that the pages beside it do not show", folder, left)
    return kept or paths
