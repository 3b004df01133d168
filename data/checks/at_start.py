"""The check of a few images before a training: whether they suit the sizes that it asks for."""

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from util import ranks
from util.errors import UnreadableImageError

from .findings import size_problems
from .headers import Header, read_header

log = logging.getLogger(__name__)

CHECKED = 16
"""Images of each list of paths whose header is read, evenly spaced: some milliseconds in all."""
LISTS = ("A_paths", "B_paths", "AB_paths")
"""The attributes in which our data sets have the paths of their images."""
MODES = ("unaligned", "aligned", "colorization")
"""Data sets of which it is known that they resize and crop as the options say."""


def warn_of_sizes(dataset: Any, opt: Namespace) -> None:
    """Log one warning where images are too small for the crop, or are enlarged much.

    A few headers are read; files that cannot be read are left to the training, which replaces them.
    """
    if opt.dataset_mode not in MODES or not ranks.is_main():
        return
    headers = []
    for name in LISTS:
        paths = getattr(dataset, name, None)
        if isinstance(paths, list) and paths:
            count = min(CHECKED, len(paths))
            headers += _headers([paths[i * len(paths) // count] for i in range(count)])
    sizes = {(header.width, header.height): header for header in headers}
    small, enlarged = size_problems(sizes, opt)
    advice = "scripts/check_dataset.py finds all of them"
    if small:
        log.warning(
            "images are too small for --crop_size %d, which ends the training when it meets them: "
            "%s has %dx%d; %s",
            *(opt.crop_size, Path(sizes[small[0]].path).name, *small[0], advice),
        )
    elif headers and len(enlarged) == len(sizes):
        log.warning(
            "images of %dx%d are enlarged to --load_size %d: a smaller --load_size and --crop_size "
            "train faster and lose nothing",
            *(*enlarged[0], opt.load_size),
        )


def _headers(paths: list[str]) -> list[Header]:
    headers = []
    for path in paths:
        try:
            headers.append(read_header(path))
        except UnreadableImageError:
            continue
    return headers
