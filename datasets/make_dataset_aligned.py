"""Make pairs for --dataset_mode aligned of the folders trainA and trainB, testA and testB.

    python datasets/make_dataset_aligned.py --dataset-path datasets/mine

The first image of A is put beside the first of B, by the order of their names, and so on. The pairs
are written to train/0000.jpg, test/0000.jpg, ... in the same folder (.png with 16 bits).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paired_images import beside, do_all, existing_folder, image_names, refuse_others, save
from PIL import Image

from util.errors import UserError
from util.files import make_folder
from util.run.session import run_program

ENDINGS = (".jpg", ".png")
"""Pairs with 16 bits are PNG files."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write all pairs; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset-path",
        "--dataset_path",
        type=Path,
        required=True,
        help="folder with trainA and trainB, and testA and testB if there are any",
    )
    root = parser.parse_args(argv).dataset_path
    existing_folder("--dataset-path", root)
    existing_folder("--dataset-path", root / "trainA")
    phases = [p for p in ("train", "test") if any((root / (p + side)).is_dir() for side in "AB")]
    found = {phase: pairs(root, phase) for phase in phases}
    for phase, both in found.items():
        names = (name(number, ending) for number in range(len(both)) for ending in ENDINGS)
        refuse_others(root / phase, names, "")
    for phase, both in found.items():
        folder = root / phase
        make_folder(folder)

        def align(job: tuple[int, tuple[Path, Path]], folder: Path = folder) -> None:
            number, (path_A, path_B) = job
            pair = beside(path_A, path_B)
            ending, other = ENDINGS if isinstance(pair, Image.Image) else reversed(ENDINGS)
            save(pair, folder / name(number, ending))
            (folder / name(number, other)).unlink(missing_ok=True)  # of an earlier run

        print(f"{folder}: {do_all(align, enumerate(both))} pairs", flush=True)
    print(f"done: train with --dataset_mode aligned --dataroot {root}")
    return 0


def name(number: int, ending: str) -> str:
    """Return the file name of a pair, by its place in the order from 0."""
    return f"{number:04d}{ending}"


def pairs(root: Path, phase: str) -> list[tuple[Path, Path]]:
    """Return the paths of A and B of each pair. Raises UserError where the numbers differ."""
    sides = [existing_folder("--dataset-path", root / f"{phase}{side}") for side in "AB"]
    names_A, names_B = (image_names(folder) for folder in sides)
    if len(names_A) != len(names_B) or not names_A:
        raise UserError(
            f"{sides[0]} holds {len(names_A)} images and {sides[1]} {len(names_B)}: pairs need as "
            "many on both sides"
        )
    stems = [[Path(name).stem for name in names] for names in (names_A, names_B)]
    differing = [both for both in zip(*stems, strict=True) if both[0] != both[1]]
    if differing:
        first = " with ".join(differing[0])
        print(f"{phase}: names differ, so images are paired by their order, such as {first}")
    return [(sides[0] / a, sides[1] / b) for a, b in zip(names_A, names_B, strict=True)]


if __name__ == "__main__":
    sys.exit(run_program(main))
