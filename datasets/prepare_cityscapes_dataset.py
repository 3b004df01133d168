"""Make the data set cityscapes of what https://www.cityscapes-dataset.com gives to its users.

    python datasets/prepare_cityscapes_dataset.py --gtFine_dir gtFine \\
        --leftImg8bit_dir leftImg8bit --output_dir datasets/cityscapes

Its licence asks each user to register there and to download gtFine_trainvaltest.zip (the maps of
classes) and leftImg8bit_trainvaltest.zip (the photos). The images are resized to 256 x 256.
train and test get pairs, the photo on the left (1.jpg); trainA and testA the photos (1_A.jpg),
trainB and testB the maps (1_B.jpg). test is made of the folder val, since the maps of test are
not published.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paired_images import do_all, existing_folder, joined, refuse_others, save

from data.image_folder import read_image
from util.errors import UserError
from util.files import make_folder
from util.run.session import run_program

SIZE = (256, 256)
MAP_ENDING, PHOTO_ENDING = "_gtFine_color.png", "_leftImg8bit.png"
PHASES = {"train": "train", "val": "test"}
"""Folder of Cityscapes -> phase of the data set."""
SIDES = {"": ".jpg", "A": "_A.jpg", "B": "_B.jpg"}
"""Pairs, photos and maps -> how the names of their files end, behind the number."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the data set; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--gtFine_dir", type=Path, required=True, help="unpacked folder gtFine")
    add("--leftImg8bit_dir", type=Path, required=True, help="unpacked folder leftImg8bit")
    add("--output_dir", type=Path, default=Path("./datasets/cityscapes"), help="folder to make")
    args = parser.parse_args(argv)
    found = {
        phase: pairs(
            existing_folder("--gtFine_dir", args.gtFine_dir / source),
            existing_folder("--leftImg8bit_dir", args.leftImg8bit_dir / source),
        )
        for source, phase in PHASES.items()
    }
    for phase, both in found.items():
        for side, ending in SIDES.items():
            names = (f"{number}{ending}" for number in range(len(both)))
            refuse_others(args.output_dir / f"{phase}{side}", names, ", or choose --output_dir")
    for phase, both in found.items():
        count = write_phase(both, args.output_dir, phase)
        print(f"{args.output_dir / phase}: {count} pairs", flush=True)
    print(f"done: train with --dataroot {args.output_dir}")
    return 0


def pairs(maps: Path, photos: Path) -> list[tuple[Path, Path]]:
    """Return the paths of map and photo of each scene, sorted.

    Raises UserError where there are none, or where one of the two is missing.
    """
    of_maps = {path.name.removesuffix(MAP_ENDING): path for path in maps.glob(f"*/*{MAP_ENDING}")}
    of_photos = {
        path.name.removesuffix(PHOTO_ENDING): path for path in photos.glob(f"*/*{PHOTO_ENDING}")
    }
    if not of_maps and not of_photos:
        raise UserError(f"{maps} holds no CITY/*{MAP_ENDING}: is it the folder that was unpacked?")
    for scene in sorted(of_maps.keys() ^ of_photos.keys()):
        missing = f"map of it in {maps}" if scene in of_photos else f"photo of it in {photos}"
        raise UserError(f"there is no {missing}: {scene}; unpack the archives again")
    return [(path, of_photos[scene]) for scene, path in sorted(of_maps.items())]


def write_phase(both: Sequence[tuple[Path, Path]], output: Path, phase: str) -> int:
    """Write the pairs, photos and maps of a phase; return how many."""
    folders = {side: output / f"{phase}{side}" for side in SIDES}
    for folder in folders.values():
        make_folder(folder)

    def write(job: tuple[int, tuple[Path, Path]]) -> None:
        number, paths = job
        class_map, photo = (read_image(str(path)).resize(SIZE) for path in paths)
        images = {"": joined(photo, class_map), "A": photo, "B": class_map}
        for side, image in images.items():
            save(image, folders[side] / f"{number}{SIDES[side]}", quality=100)

    return do_all(write, enumerate(both))


if __name__ == "__main__":
    sys.exit(run_program(main))
