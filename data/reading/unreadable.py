"""Images that a training cannot read: each is named once; too many of them end the run."""

import logging
from argparse import Namespace
from collections.abc import Iterable, Sequence

import torch.utils.data

from util.errors import DataError

from ..image_folder import UnreadableImageError

log = logging.getLogger(__name__)

NAMED = 5
"""Files that the last message names."""


def allowed(share: float, images: int) -> int:
    """How many of `images` may be unreadable.

    The share of them, rounded down, but at least one and never all; 0 where the share is 0.
    """
    if share == 0:
        return 0
    # a trifle more, lest 0.29 * 100 should be 28
    return min(max(1, int(share * images + 1e-9)), images - 1)


def tries(opt: Namespace, images: int) -> int:
    """How many of `images` are tried in a row before an unreadable one is an error.

    In training one more than are allowed, so that the error is certain to end the run; at inference
    one.
    """
    return 1 + allowed(opt.max_bad_images, images) if opt.isTrain else 1


class UnreadableImages:
    """What the training in hand could not read, with the reasons; lives in the main process."""

    def __init__(self, dataset: torch.utils.data.Dataset[object], opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.reasons: dict[str, str] = {}
        self._folders: set[frozenset[str]] | None = None

    def note(self, found: Iterable[UnreadableImageError]) -> None:
        """Take note of images that were replaced by others, and name those that are new.

        Raises DataError where a folder has more of them than --max_bad_images allows.
        """
        new = {error.path: error.reason for error in found if error.path not in self.reasons}
        if not new:
            return
        self.reasons.update(new)
        for bad, images in self._by_folder():
            if len(bad) > allowed(self.opt.max_bad_images, images):
                raise DataError(self._too_many(bad, images))
        for path, reason in new.items():
            log.warning("skipped %s (%s): the next image takes its place", path, reason)

    def report(self) -> None:
        """At the end of a training, one line that says how many images were skipped, if any."""
        if self.reasons:
            count = len(self.reasons)
            noun = "image was" if count == 1 else "images were"
            log.warning("%d unreadable %s skipped in this training, named above", count, noun)

    def _by_folder(self) -> list[tuple[list[str], int]]:
        """The unreadable images of each list of paths that the data set has, and its length.

        A plug-in may have no such list; its images are counted among its items.
        """
        if self._folders is None:
            listed = (value for name, value in vars(self.dataset).items() if _is_list(name, value))
            self._folders = {frozenset(paths) for paths in listed}
        found = [
            ([path for path in self.reasons if path in folder], len(folder))
            for folder in self._folders
        ]
        known = frozenset().union(*self._folders)
        elsewhere = [path for path in self.reasons if path not in known]
        return [*found, (elsewhere, len(self.dataset))]  # type: ignore[arg-type]

    def _too_many(self, bad: Sequence[str], images: int) -> str:
        share = self.opt.max_bad_images
        files = ", ".join(f"{path} ({self.reasons[path]})" for path in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        return (
            f"{len(bad)} of {images} images cannot be read, and --max_bad_images {share:g} allows "
            f"{allowed(share, images)}: {files}{more}. Put readable images in their places (of the "
            "same names, if the run is to be resumed), or allow more with --max_bad_images"
        )


def _is_list(name: str, value: object) -> bool:
    return name.endswith("_paths") and isinstance(value, list)
