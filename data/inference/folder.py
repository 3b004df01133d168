"""The pictures of a folder for inference: read ahead, in batches of equal size, damage reported."""

import logging
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor

from util.errors import UsageError, UserError
from util.threads import in_threads

from ..base_dataset import BaseDataset
from ..transforms import batch_of

log = logging.getLogger(__name__)

Item = dict[str, Any]

AHEAD_BYTES = 2**29
"""Of pictures that were read and wait, about; huge ones are not read far ahead."""


class Results(Protocol):
    """What is asked of the place that results go to (util.results.results.Results)."""

    def has(self, path: str) -> bool: ...
    def add_existing(self, path: str) -> None: ...


class ImagePrefetcher:
    """The items of a data set in batches, read by threads while others are computed.

    A picture that cannot be read is said, kept in `failures`, and left out.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.together: int = opt.together
        limited = "num_test" in opt.given
        self.count = min(opt.num_test, len(dataset)) if limited else len(dataset)
        self.failures: list[str] = []
        self.there = 0
        self._largest = 0

    @property
    def how_many(self) -> str:
        """For the console: `50 of 500 pictures`."""
        return f"{self.count} of {len(self.dataset)} pictures"

    @property
    def bar(self) -> dict[str, Any]:
        """Arguments of the progress bar."""
        return {"total": self.count, "unit": " images", "disable": None, "dynamic_ncols": True}

    def left(self, results: Results) -> int:
        """How many images are to be translated: with --skip_existing those without results."""
        if not self.opt.skip_existing:
            return self.count
        paths = self._paths()
        return sum(not results.has(paths[index % len(paths)]) for index in range(self.count))

    def batches(self, results: Results) -> Iterator[Item]:
        """Batches of up to `together` items of equal size: (N, C, H, W), all else in lists.

        With --skip_existing without those that `results` has. At most 4 * together items, and
        about AHEAD_BYTES, wait for others of their size.
        """
        groups: dict[Any, list[Item]] = {}
        for item in in_threads(self._read, self._wanted(results), self._ahead, self.opt.readers):
            if isinstance(item, UserError):
                self.failures.append(str(item))
                log.warning("skipped: %s", item)
                continue
            shape = tuple(tuple(x.shape) for x in item.values() if isinstance(x, Tensor))
            groups.setdefault(shape, []).append(item)
            if len(groups[shape]) == self.together:
                yield batch_of(groups.pop(shape))
            elif self._too_many(groups.values()):
                yield batch_of(groups.pop(max(groups, key=lambda shape: len(groups[shape]))))
        for group in groups.values():
            yield batch_of(group)

    def report(self, not_written: Sequence[str] = ()) -> int:
        """Sum up what was left out; the exit code, 1 where a picture could not be read or written.

        `not_written` are the messages of the latter.
        """
        self.failures.extend(not_written)
        if self.there:
            log.info("%d of %d had their results already (--skip_existing)", self.there, self.count)
        if self.failures:
            log.warning("%d of %d pictures were skipped:", len(self.failures), self.count)
        for failure in self.failures:
            log.warning("  %s", failure)
        return 1 if self.failures else 0

    def _wanted(self, results: Results) -> Iterator[int]:
        paths = self._paths() if self.opt.skip_existing else None
        for index in range(self.count):
            path = paths[index % len(paths)] if paths else ""
            if paths and results.has(path):
                self.there += 1
                results.add_existing(path)
            else:
                yield index

    def _paths(self) -> list[str]:
        for name in ("image_paths", "A_paths", "AB_paths"):
            if hasattr(self.dataset, name):
                return getattr(self.dataset, name)
        raise UsageError(
            f"--skip_existing: {type(self.dataset).__name__} lists no A_paths; leave the flag out"
        )

    def _ahead(self) -> int:
        """How many pictures are read before they are needed; one, while their size is unknown."""
        fit = AHEAD_BYTES // self._largest if self._largest else 1
        return max(1, min(max(self.together + 4, self.opt.readers), fit))

    def _too_many(self, groups: Collection[list[Item]]) -> bool:
        waiting = [item for group in groups for item in group]
        return len(waiting) >= 4 * self.together or sum(map(_bytes, waiting)) > AHEAD_BYTES

    def _read(self, index: int) -> Item | UserError:
        try:
            item = self.dataset[index]
        except UserError as error:
            return error
        self._largest = max(self._largest, _bytes(item))
        return item


def _bytes(item: Item) -> int:
    return sum(value.nbytes for value in item.values() if isinstance(value, Tensor))
