"""Download a data set of the CycleGAN or pix2pix paper, by its name.

    python datasets/download_dataset.py horse2zebra
    python datasets/download_dataset.py edges2shoes
    python datasets/download_dataset.py --pix2pix facades     (CycleGAN has one of that name too)

It needs nothing but Python. A download that broke off is continued by the same command. A mirror is
named by --url, or by the variables CYCLEGAN_DATASETS_URL and PIX2PIX_DATASETS_URL: the address of a
folder with the same files, or one with {name} in it. The SHA-256 of the archive is stored in
NAME.sha256 beside the folder, and the next download of it is compared with that.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.downloads.archives import unpack
from util.downloads.published import (
    HOST,
    Publication,
    choose,
    downloaded,
    parser_of_names,
    temporary_folder,
)
from util.errors import UsageError, UserError, command
from util.files import replace_file
from util.programs import escape_on_stdout

DATASETS = Path(__file__).resolve().parent
PUBLICATIONS = {
    "CycleGAN": Publication(
        base=f"{HOST}/cyclegan/datasets",
        ending=".zip",
        variable="CYCLEGAN_DATASETS_URL",
        names=(
            *("apple2orange", "summer2winter_yosemite", "horse2zebra", "monet2photo"),
            *("cezanne2photo", "ukiyoe2photo", "vangogh2photo", "maps", "cityscapes", "facades"),
            *("iphone2dslr_flower", "ae_photos", "grumpifycat"),
            *("mini", "mini_pix2pix", "mini_colorization"),
        ),
    ),
    "pix2pix": Publication(
        base=f"{HOST}/pix2pix/datasets",
        ending=".tar.gz",
        variable="PIX2PIX_DATASETS_URL",
        names=("cityscapes", "night2day", "edges2handbags", "edges2shoes", "facades", "maps"),
    ),
}
CITYSCAPES = """\
cityscapes may not be passed on by others: its licence asks you to get it yourself.
Download gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip from
https://www.cityscapes-dataset.com, unpack them, and make the data set with
  python datasets/prepare_cityscapes_dataset.py --gtFine_dir gtFine --leftImg8bit_dir leftImg8bit \
--output_dir datasets/cityscapes"""
PHASES = ("train", "trainA", "test", "testA", "val")
"""Folders by which an archive is recognized that holds no folder of its name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Download the data set that the command line names; return the exit code."""
    escape_on_stdout()
    try:
        get(arguments(argv))
    except UserError as error:
        print(f"download_dataset: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("download_dataset: stopped; the same command continues", file=sys.stderr)
        return 130
    return 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises UsageError where there is not one name."""
    parser = parser_of_names(__doc__, PUBLICATIONS, "data set")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to make (datasets/NAME)")
    args = parser.parse_args(argv)
    args.name = args.names[0] if len(args.names) == 1 else ""
    return args


def get(args: argparse.Namespace) -> None:
    """Download and unpack a data set; its folder appears complete or not at all.

    Raises UsageError for an unknown name, and UserError where the download or the archive fails.
    """
    name = args.name
    publication = choose(name, PUBLICATIONS, "pix2pix" if args.pix2pix else "CycleGAN")
    if name == "cityscapes":
        raise UserError(CITYSCAPES)
    target = args.output or DATASETS / name
    url = publication.url(name, args.url)
    print(f"downloading {url}", flush=True)
    with downloaded(url, target, publication.variable) as archive, temporary_folder(target) as work:
        unpack(archive, work / "unpacked")
        replace_file(data_folder(work / "unpacked", name), target)
    print(f"done: {target}; train with {command(['--dataroot', str(target)])}")


def data_folder(unpacked: Path, name: str) -> Path:
    """Return the folder of the data set in an unpacked archive. Raises UserError without one."""
    if (unpacked / name).is_dir():
        return unpacked / name
    if any((unpacked / phase).is_dir() for phase in PHASES):
        return unpacked
    raise UserError(f"it holds no folder {name}; is the address right?")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which cleans up
    sys.exit(main())
