"""Put the images of two folders side by side, as --dataset_mode aligned reads them.

    python datasets/combine_A_and_B.py --fold_A mine/A --fold_B mine/B --fold_AB datasets/mine

A and B have the same sub-folders (train, val, test), and in these files of the same names; with
--use_AB the names end in _A and _B, and the pair of 1_A.png and 1_B.png is 1.png. A is on the left.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paired_images import beside, do_all, existing_folder, image_names, refuse_others, save

from util.errors import UsageError, UserError
from util.files import identity, list_folder, make_folder
from util.run.session import run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Write all pairs; return the exit code."""
    args = arguments(argv)
    fold_A = existing_folder("--fold_A", args.fold_A)
    fold_B = existing_folder("--fold_B", args.fold_B)
    splits = sorted(path.name for path in fold_A.iterdir() if path.is_dir())
    if not splits:
        raise UserError(
            f"--fold_A {fold_A} must hold folders such as train and test; {list_folder(fold_A)}"
        )
    found = {
        split: pairs(fold_A / split, fold_B / split, args.use_AB)[: args.num_imgs]
        for split in splits
    }
    for split, both in found.items():
        refuse_inputs(args.fold_AB / split, fold_A / split, fold_B / split)
        written = [name_of(pair, args.use_AB) for pair in both]
        written += [f"{name}.png" for name in written]  # of those with 16 bits
        refuse_others(args.fold_AB / split, written, ", or choose another --fold_AB")
    for split, both in found.items():
        folder = args.fold_AB / split
        make_folder(folder)

        def combine(pair: tuple[str, str], split: str = split, folder: Path = folder) -> None:
            images = beside(fold_A / split / pair[0], fold_B / split / pair[1])
            save(images, folder / name_of(pair, args.use_AB))

        count = do_all(combine, both, not args.no_multiprocessing)
        print(f"{folder}: {count} pairs", flush=True)
    print(f"done: train with --dataset_mode aligned --dataroot {args.fold_AB}")
    return 0


def pairs(folder_A: Path, folder_B: Path, use_AB: bool) -> list[tuple[str, str]]:
    """Return the names of A and B of each pair, sorted, and print what has no partner.

    Raises UserError where there is no pair.
    """
    existing_folder("--fold_B", folder_B)
    names = [name for name in image_names(folder_A) if not use_AB or Path(name).stem[-2:] == "_A"]
    both = [(name, _renamed(name, "_B") if use_AB else name) for name in names]
    known = set(image_names(folder_B))
    found = [pair for pair in both if pair[1] in known]
    if not found:
        wanted = f"{both[0][1]} for {both[0][0]}" if both else "no image of A either"
        raise UserError(f"{folder_B} holds no partner of an image in {folder_A} ({wanted})")
    if len(found) < len(both):
        first = next(pair for pair in both if pair[1] not in known)
        print(f"{folder_A}: {len(both) - len(found)} images have no partner, such as {first[0]}")
    return found


def name_of(pair: tuple[str, str], use_AB: bool) -> str:
    """Return the name of the file for a pair of the names of A and B."""
    return _renamed(pair[0], "") if use_AB else pair[0]


def _renamed(name: str, side: str) -> str:
    """Return a name that ends in _A with another ending of its stem."""
    path = Path(name)
    return path.stem.removesuffix("_A") + side + path.suffix


def refuse_inputs(folder: Path, *inputs: Path) -> None:
    """Raise UserError where the folder for pairs is one of images, which pairs could replace."""
    if folder.is_dir() and identity(folder) in map(identity, inputs):
        raise UserError(
            f"--fold_AB: {folder} is a folder of the images themselves, which pairs must neither "
            "replace nor join; choose another folder"
        )


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises UsageError for a number of images below 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--fold_A", type=Path, required=True, help="folder with the sub-folders of images A")
    add("--fold_B", type=Path, required=True, help="folder with the same sub-folders of images B")
    add("--fold_AB", type=Path, required=True, help="folder for the pairs, with the same again")
    add("--num_imgs", type=int, default=1000000, help="at most so many of each sub-folder")
    add("--use_AB", action="store_true", help="names end in _A and _B: 1_A.png, 1_B.png -> 1.png")
    add("--no_multiprocessing", action="store_true", help="one at a time, instead of in parallel")
    args = parser.parse_args(argv)
    if args.num_imgs < 1:
        raise UsageError(f"--num_imgs {args.num_imgs}: must be above 0")
    return args


if __name__ == "__main__":
    sys.exit(run_program(main))
