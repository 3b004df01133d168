"""Pack image folders into tar shards for --dataset_mode shards, or write the index of others.

    python scripts/pack_shards.py datasets/horse2zebra shards/horse2zebra
    python scripts/pack_shards.py --index "others/A-{000..063}.tar"

Image files are copied byte by byte, in a random order unless --in_order is given. Shards of one
folder differ by at most one image. The index, trainA-index.json, belongs beside the shards.
"""

import argparse
import io
import random
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import find_images
from data.reading.shard_index import index_place, is_local, with_slashes, write_index
from data.reading.shard_streams import import_webdataset
from util.errors import UnreadableImageError, UsageError, UserError, command
from util.files import list_folder, make_folder, replace_file, write_atomically
from util.run.session import run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Pack, or write an index; return the exit code."""
    args = arguments(argv)
    if args.index:
        for pattern in args.index:
            index(pattern)
        return 0
    root, output = Path(args.dataroot), Path(args.output)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; {list_folder(root.parent)}")
    sides = (path.name for path in root.iterdir() if path.is_dir() and path.name[-1] in "AB")
    names = args.folders or sorted(sides)
    if not names:
        raise UserError(f"{root} holds no folder such as trainA and trainB; {list_folder(root)}")
    for name in names:
        refuse_existing(output, Path(name).name)  # that of `trainA/` is trainA
    for name in names:
        pack(root / name, output, args.images, args.in_order)
    print(f"done: train with --dataset_mode shards {command(['--dataroot', output.as_posix()])}")
    return 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises UsageError where it says neither or both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataroot", nargs="?", help="folder with trainA, trainB, testA, ...")
    add("output", nargs="?", help="folder for the shards")
    add("--images", type=int, default=1000, metavar="N", help="at most so many in a shard (1000)")
    add("--folders", nargs="+", metavar="NAME", help="pack these folders (those ending in A or B)")
    add("--in_order", action="store_true", help="sorted by path instead of in a random order")
    add("--index", nargs="+", metavar="SHARDS", help="write the index of these local shards")
    args = parser.parse_args(argv)
    if args.index and args.dataroot is not None:
        raise UsageError("--index packs nothing: leave out the folders")
    if not args.index and args.output is None:
        raise UsageError("give the data folder and the folder for its shards, or --index SHARDS")
    if args.images < 1:
        raise UsageError(f"--images {args.images}: must be above 0")
    return args


def refuse_existing(output: Path, name: str) -> None:
    """Raise UserError where there are shards of that name."""
    if any(output.glob(f"{name}-*.tar")):
        raise UserError(f"{output} holds shards of {name}: delete them or choose another folder")


def pack(folder: Path, output: Path, most: int, in_order: bool) -> None:
    """Pack the images of a folder and below it. Raises UserError where there are none."""
    paths = find_images(folder)
    if not paths:
        raise UserError(f"{folder} holds no image")
    if not in_order:
        random.Random(0).shuffle(paths)
    unfinished = output / f".{folder.name}.packing"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a program that was killed
    make_folder(unfinished)
    count = -(-len(paths) // most)
    shards = [unfinished / f"{folder.name}-{number:06d}.tar" for number in range(count)]
    for number, shard in enumerate(shards):
        part = paths[number * len(paths) // count : (number + 1) * len(paths) // count]
        write_shard(shard, folder, part)
        print(f"{output / shard.name}: {len(part)} images", flush=True)
    # the index first: a training with it misses the shards that have not come, and says so
    index_file = unfinished / f"{folder.name}-index.json"
    write_index(index_file, shards)
    for file in (index_file, *shards):
        replace_file(file, output / file.name)
    shutil.rmtree(unfinished, ignore_errors=True)


def write_shard(shard: Path, folder: Path, paths: Sequence[str]) -> None:
    """Write image files into a tar file, which depends on their names and bytes alone."""

    def write(file: io.IOBase) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in paths:
                content = content_of(path)
                entry = tarfile.TarInfo(Path(path).relative_to(folder).as_posix())
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))

    write_atomically(shard, write)


def content_of(path: str) -> bytes:
    """Return the bytes of an image file. Raises UserError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImageError(path, error.strerror or str(error)) from error


def index(pattern: str) -> None:
    """Write the index of local shards. Raises UserError where one is missing or damaged."""
    pattern = with_slashes(pattern)
    shards = import_webdataset().shardlists.expand_urls(pattern)
    remote = [shard for shard in shards if not is_local(shard)]
    if remote:
        raise UsageError(f"--index {remote[0]}: is for local .tar files; run it where they are")
    missing = [shard for shard in shards if not Path(shard).is_file()]
    if missing:
        raise UserError(f"--index: there is no {missing[0]}; {list_folder(Path(shards[0]).parent)}")
    place = Path(index_place(pattern))
    print(f"{place}: {write_index(place, [Path(shard) for shard in shards])} images")


if __name__ == "__main__":
    sys.exit(run_program(main))
