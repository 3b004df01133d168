"""Check a data folder before a training, and draw a picture of it.

    python scripts/check_dataset.py datasets/horse2zebra
    python scripts/check_dataset.py datasets/facades --load_size 286 --crop_size 256 --full

Prints a table of the folders (trainA, trainB, testA, ... or train, val, test with pairs side by
side), then errors, with which a training fails or loses images, and warnings. The exit code is 1
where there are errors. Files are read by their headers; --full decodes them, which finds all that
cannot be read. Test images with the bytes of a training image are always found; --near finds those
that look alike too (pip install imagehash).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.checks.contact_sheet import write_contact_sheet
from data.checks.duplicates import exact_duplicates, near_duplicates
from data.checks.findings import add_duplicates, check, table
from data.checks.folders import SIDES, dataset_mode, read_folders
from data.transforms import PREPROCESS
from util.errors import UsageError, printable
from util.run.session import run_program

SHEET = "./results/check/{name}.jpg"
SHEET_FORMATS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm")


def main(argv: Sequence[str] | None = None) -> int:
    """Check the folder that the command line names; return the exit code."""
    args = arguments(argv)
    root = Path(args.dataroot)
    args.dataset_mode = dataset_mode(root, args.dataset_mode)
    folders = read_folders(root, args.dataset_mode, args.threads, args.full)
    findings = check(folders, args)
    exact = exact_duplicates(folders)
    add_duplicates(findings, "copies", exact)
    if args.near:
        add_duplicates(findings, "near copies", near_duplicates(folders, args.threads, exact))
    print(f"{root} (--dataset_mode {args.dataset_mode})")
    print(table(folders))
    for kind, messages in (("error", findings.errors), ("warning", findings.warnings)):
        for message in messages:
            print(f"{kind}: {printable(message)}")
    if not findings.errors and not findings.warnings:
        print("nothing was found that is wrong")
    sheet = Path(args.sheet or SHEET.format(name=root.resolve().name))
    if args.sheet != "none" and write_contact_sheet(folders, sheet):
        print(f"contact sheet: {sheet}")
    return 1 if findings.errors else 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Raises UsageError for a number that is too small."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataroot", metavar="DIR", help="the data folder")
    add("--dataset_mode", choices=SIDES, help="by default as the folders are named")
    add("--preprocess", choices=PREPROCESS, default="resize_and_crop", help="of the training")
    add("--load_size", type=int, default=286, help="of the training (286)")
    add("--crop_size", type=int, default=256, help="of the training (256)")
    add("--full", action="store_true", help="decode every image, instead of its header alone")
    add("--near", action="store_true", help="find test images that look like training images")
    add("--sheet", metavar="FILE", help=f"the picture ({SHEET}); 'none' writes none")
    add("--threads", type=int, default=8, help="files that are read at a time (8)")
    args = parser.parse_args(argv)
    if args.sheet not in (None, "none") and Path(args.sheet).suffix.lower() not in SHEET_FORMATS:
        raise UsageError(f"--sheet {args.sheet}: give an image file, such as sheet.jpg, or none")
    for flag in ("load_size", "crop_size", "threads"):
        if getattr(args, flag) < 1:
            raise UsageError(f"--{flag} {getattr(args, flag)}: must be above 0")
    args.max_size = None  # of --preprocess keep, which inference alone has
    return args


if __name__ == "__main__":
    sys.exit(run_program(main))
