"""Images that cannot be read in training: each is named once; too many of them end the run."""

import logging
from argparse import Namespace
from collections.abc import Collection, Iterable, Sequence

import torch.utils.data

from util.errors import DataError, UnreadableImageError

log = logging.getLogger(__name__)

NAMED = 5
"""At most so many files are named by the message that ends the run."""


def allowed(share: float, images: int) -> int:
    """Return how many of `images` may be unreadable.

    This is the share of them, rounded down, but at least one and never all; 0 for a share of 0.
    """
    if share == 0:
        return 0
    # 1e-9 against rounding errors: 0.29 * 100 is 28.999999999999996
    return min(max(1, int(share * images + 1e-9)), images - 1)


def tries(opt: Namespace, images: int) -> int:
    """Return how many consecutive images, of `images`, are tried before one must be readable.

    In training this is one more than may be unreadable, so that the error ends the run for certain;
    at inference it is one.
    """
    return 1 + allowed(opt.max_bad_images, images) if opt.isTrain else 1


class UnreadableImages:
    """The images that this training could not read, with the reasons; used by the main process."""

    def __init__(self, dataset: torch.utils.data.Dataset[object], opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.reasons: dict[str, str] = {}
        self._folders: list[Collection[str]] | None = None

    def note(self, errors: Iterable[UnreadableImageError]) -> None:
        """Record images that were replaced by others, and log those that are new.

        Raises DataError where a folder has more of them than --max_bad_images allows.
        """
        new = {error.path: error.reason for error in errors if error.path not in self.reasons}
        if not new:
            return
        self.reasons.update(new)
        for bad, images in self._by_folder():
            if len(bad) > allowed(self.opt.max_bad_images, images):
                raise DataError(self._too_many(bad, images))
        for path, reason in new.items():
            log.warning("skipped %s (%s): the next image takes its place", path, reason)

    def report(self) -> None:
        """Log how many images were skipped, if any, at the end of training."""
        if self.reasons:
            count = len(self.reasons)
            noun = "image was" if count == 1 else "images were"
            log.warning("%d unreadable %s skipped in this training, named above", count, noun)

    def _by_folder(self) -> list[tuple[list[str], int]]:
        """Return, for each list of paths of the data set, the unreadable ones and its length.

        A plug-in may have no such list; its unreadable images are counted against its items.
        """
        if self._folders is None:
            lists = [value for name, value in vars(self.dataset).items() if _is_list(name, value)]
            self._folders = [*{frozenset(paths) for paths in lists if isinstance(paths, list)}]
            self._folders += [paths for paths in lists if not isinstance(paths, list)]
        unreadable = [
            ([path for path in self.reasons if path in folder], len(folder))
            for folder in self._folders
        ]
        unlisted = [p for p in self.reasons if not any(p in folder for folder in self._folders)]
        return [*unreadable, (unlisted, len(self.dataset))]  # type: ignore[arg-type]

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
    if not name.endswith("_paths") or not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return not isinstance(value, list) or all(isinstance(path, str) for path in value)
