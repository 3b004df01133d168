"""What is wrong with the folders of a data set: errors, warnings, and a table of them all."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..image_folder import IMG_EXTENSIONS
from ..transforms import has_crop, size_after_resize
from .duplicates import Pair
from .folders import Folder

UNEQUAL = 10
"""A domain with so many times the images of the other is worth a warning."""
ENLARGED = 2.0
"""Images that the resize enlarges by this factor, or more, hold less than the network could use."""
EXAMPLES = 3

Size = tuple[int, int]


@dataclass
class Findings:
    """Messages: with `errors` a training fails or loses images; `warnings` are worth a look."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(folders: Sequence[Folder], opt: Namespace) -> Findings:
    """Return what is wrong with the folders, for a training with the options `opt`.

    Of the options `dataset_mode`, `preprocess`, `load_size` and `crop_size` are read.
    """
    findings = Findings()
    for folder in folders:
        if not folder.headers:
            endings = " ".join(dict.fromkeys(ending.lower() for ending in IMG_EXTENSIONS))
            findings.errors.append(f"{folder.name} holds no readable image (endings: {endings})")
        if folder.unreadable:
            count, shown = len(folder.unreadable), folder.unreadable[:EXAMPLES]
            named = "; ".join(f"{Path(error.path).name}: {error.reason}" for error in shown)
            findings.errors.append(f"{folder.name}: {count} files cannot be read ({named}, ...)")
        _check_sizes(folder, opt, findings)
        modes = {header.mode for header in folder.headers}
        if len(modes) > 1:
            findings.warnings.append(
                f"{folder.name} mixes {', '.join(sorted(modes))}: of up to 4 channels, all "
                "become RGB with 3 channels, gray with 1; transparent pixels show --background"
            )
    _check_balance(folders, opt, findings)
    return findings


def size_problems(sizes: Iterable[Size], opt: Namespace) -> tuple[list[Size], list[Size]]:
    """Return which (width, height) are too small for the crop, and which are enlarged much.

    Sizes are those of files; with `--dataset_mode aligned` an image is half as wide.
    """
    small, enlarged = [], []
    for size in sizes:
        width = size[0] // 2 if opt.dataset_mode == "aligned" else size[0]
        if width == 0:
            small.append(size)
            continue
        after = size_after_resize((width, size[1]), opt)
        if has_crop(opt) and min(after) < opt.crop_size:
            small.append(size)
        elif after[0] >= ENLARGED * width and after[1] >= ENLARGED * size[1]:
            enlarged.append(size)
    return small, enlarged


def add_duplicates(findings: Findings, kind: str, pairs: Sequence[Pair]) -> None:
    """Add a warning about pairs of images in training and in another phase."""
    if pairs:
        named = "; ".join(f"{place(copy)} = {place(first)}" for first, copy in pairs[:EXAMPLES])
        findings.warnings.append(
            f"{len(pairs)} test images are {kind} of training images, so figures of a test are too "
            f"good ({named}{', ...' if len(pairs) > EXAMPLES else ''})"
        )


def place(path: str) -> str:
    """Return the last folder and the name of a file."""
    return "/".join(Path(path).parts[-2:])


def table(folders: Sequence[Folder]) -> str:
    """Return a row for each folder: images, sizes, modes, unreadable files, other files."""
    rows = [("folder", "images", "sizes in pixels", "modes", "unreadable", "left out")]
    for folder in folders:
        modes = Counter(header.mode for header in folder.headers)
        others = sorted(folder.left_out.items(), key=lambda item: (-item[1], item[0]))
        left_out = " ".join(f"{name}:{count}" for name, count in others[:4])
        rows.append(
            (
                folder.name,
                str(len(folder.headers)),
                _size_range(folder.sizes()),
                " ".join(f"{mode}:{count}" for mode, count in modes.most_common()) or "-",
                str(len(folder.unreadable)),
                left_out or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _size_range(sizes: Counter[Size]) -> str:
    if not sizes:
        return "-"
    if len(sizes) == 1:
        return _text(*sizes)
    low, high = min(sizes, key=_area), max(sizes, key=_area)
    common, count = sizes.most_common(1)[0]
    return f"{_text(low)} to {_text(high)}, most often {_text(common)} ({count})"


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _area(size: Size) -> int:
    return size[0] * size[1]


def _check_sizes(folder: Folder, opt: Namespace, findings: Findings) -> None:
    sizes = folder.sizes()
    small, enlarged = size_problems(sizes, opt)
    if small:
        count = sum(sizes[size] for size in small)
        least = min(small, key=_area)
        path = next(h.path for h in folder.headers if (h.width, h.height) == least)
        findings.errors.append(
            f"{folder.name}: {count} images are too small for --preprocess {opt.preprocess} "
            f"--crop_size {opt.crop_size} ({Path(path).name} has {_text(least)}): remove them, or "
            "choose a smaller --crop_size"
        )
    if enlarged:
        count = sum(sizes[size] for size in enlarged)
        findings.warnings.append(
            f"{folder.name}: {count} images are enlarged {ENLARGED:g} times or more, such as "
            f"{_text(enlarged[0])} for --load_size {opt.load_size}: smaller --load_size and "
            "--crop_size train faster and lose nothing"
        )
    odd = sum(count for size, count in sizes.items() if size[0] % 2)
    if opt.dataset_mode == "aligned" and odd:
        findings.warnings.append(
            f"{folder.name}: {odd} images have an odd width: they may be no pairs side by side"
        )


def _check_balance(folders: Sequence[Folder], opt: Namespace, findings: Findings) -> None:
    counts = {folder.name: len(folder.headers) for folder in folders}
    missing = [side for side in ("trainA", "trainB") if side not in counts]
    if opt.dataset_mode == "unaligned" and missing:
        findings.errors.append(f"there is no folder {missing[0]}")
    if not any(folder.phase != "train" for folder in folders):
        findings.warnings.append("there are no test images: a training cannot be evaluated")
    for phase in dict.fromkeys(folder.phase for folder in folders):
        few, many = sorted((counts.get(phase + side, 0), phase + side) for side in "AB")
        if few[0] and many[0] >= UNEQUAL * few[0]:
            findings.warnings.append(
                f"{many[1]} has {many[0]} images and {few[1]} only {few[0]}: an epoch shows each "
                f"of the latter {many[0] / few[0]:.0f} times"
            )
