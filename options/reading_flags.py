"""The flags of training that say how images are read and augmented."""

import argparse

from data.augmentation import JITTER_HELP


def add_augmentation_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that change images randomly."""
    add = parser.add_argument_group("augmentation (see docs/datasets.md)").add_argument
    add(
        "--color_jitter",
        type=str,
        default="",
        metavar="B,C,S,H",
        help=f"change colours randomly, by at most these strengths: {JITTER_HELP}",
    )
    add(
        "--random_rotation",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="rotate images randomly, by at most so many degrees either way",
    )
    add(
        "--random_resized_crop",
        type=float,
        default=0.0,
        metavar="MIN_SCALE",
        help="instead of the crop take a part of random size and proportions, of at least this "
        "share of the area, and resize it to --crop_size; 0: off",
    )


def add_reading_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of decoding and caching images, and of those that cannot be read."""
    add = parser.add_argument_group("reading (see docs/performance.md)").add_argument
    add(
        "--max_bad_images",
        type=float,
        default=0.01,
        help="share of the images of a folder that may be unreadable (0.01: 1 %%), rounded down "
        "but at least one image: each is named once and replaced by the next image; with more, the "
        "run saves and ends; 0: it ends at the first",
    )
    add(
        "--full_decode",
        action="store_true",
        help="decode JPEG images in full; without it, draft decoding at a half or a quarter of "
        "their size where they are shrunk and the difference is hard to see",
    )
    add(
        "--cache",
        type=str,
        default="none",
        choices=("none", "ram", "disk"),
        help="cache resized images in memory, or on disk for later runs too",
    )
    add(
        "--cache_gb",
        type=float,
        default=None,
        help="maximum size of the cache in GB; when not given, half of what is free",
    )
    add(
        "--cache_dir",
        type=str,
        default=None,
        help="folder of --cache disk; when not given, <checkpoints_dir>/cache",
    )
