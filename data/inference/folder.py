"""Images of a folder for inference, prefetched in batches of equal size."""

import logging
import traceback
from argparse import Namespace
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor

from util import ranks, sharing
from util.errors import UsageError, UserError
from util.threads import in_threads

from ..base_dataset import BaseDataset
from ..items import Item, batch_of, load_item, seeds_global_streams

log = logging.getLogger(__name__)

PREFETCH_BYTES = 2**29
"""About so many bytes of images are prefetched at most, so that few huge ones wait in memory."""
PATH_LISTS = ("image_paths", "A_paths", "AB_paths", "B_paths")
"""Attributes of data sets; the first that one has names its items."""


Group = list[tuple[int, Item]]
"""Items of equal size with their places in the data set."""


class Results(Protocol):
    """The part of util.results.results.Results that prefetching asks for existing results."""

    def refuse_overwriting(self, paths: Sequence[str], inputs: Iterable[str]) -> None: ...
    def has(self, path: str) -> bool: ...
    def add_existing(self, path: str, place: int) -> None: ...


class ImagePrefetcher:
    """The items of a data set in batches, prefetched by threads while others are computed.

    An image that cannot be read is logged, added to `failures` and left out. Several processes
    have a share of the items each, in blocks of `batch_size`.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.is_plugin = seeds_global_streams(dataset)
        self.batch_size: int = opt.together
        limited = "num_test" in opt.given
        self.count = min(opt.num_test, len(dataset)) if limited else len(dataset)
        self.failures: list[str] = []
        self.existing = 0
        self.places: list[int] = []
        """The places of the latest batch in the data set."""
        self._share: list[int] | None = None
        self._paths_of_plugin: set[str] = set()
        self._largest = 0

    @property
    def how_many(self) -> str:
        """Return the text `50 of 500 images` for the console."""
        return f"{self.count} of {len(self.dataset)} images"

    @property
    def bar(self) -> dict[str, Any]:
        """Return the arguments of the progress bar."""
        hidden = None if ranks.is_main() else True  # None: where the output is no terminal
        return {"total": self.count, "unit": " images", "disable": hidden, "dynamic_ncols": True}

    def refuse_overwriting(self, results: Results) -> None:
        """Raise UsageError where a result would replace an input, or a file that is no result."""
        if self.is_plugin:  # what it reads tells its items
            return
        paths = self._paths()
        lists = (getattr(self.dataset, name, []) for name in PATH_LISTS)
        inputs = (path for paths in lists for path in paths)
        results.refuse_overwriting([paths[i % len(paths)] for i in range(self.count)], inputs)

    def left(self, results: Results) -> int:
        """Return how many images this process is to translate.

        With --skip_existing, these are images without results; all processes call it before the
        first of them writes.
        """
        return len(self._own_share(results))

    def _own_share(self, results: Results) -> list[int]:
        if self._share is None:
            pending = sharing.on_main(lambda: list(self._pending(results)))
            self._share = sharing.share(pending, self.batch_size)
        return self._share

    def batches(self, results: Results) -> Iterator[Item]:
        """Yield batches of up to `batch_size` items of equal size: (N, C, H, W), all else in lists.

        With --skip_existing, items that have `results` are left out. At most 4 * batch_size items,
        and about PREFETCH_BYTES, wait for others of their size.
        """
        groups: dict[Any, Group] = {}
        # a thread would disturb what others draw from the global random streams, dropout too
        share, readers = self._own_share(results), 0 if self.is_plugin else self.opt.readers
        items = in_threads(self._read, share, self._prefetch_count, readers)
        for place, item in zip(share, items, strict=True):
            if isinstance(item, UserError):
                self.failures.append(str(item))
                log.warning("skipped: %s", item)
                continue
            if self.is_plugin and self.opt.skip_existing and self._exists(item, place, results):
                continue
            shape = tuple(tuple(x.shape) for x in item.values() if isinstance(x, Tensor))
            groups.setdefault(shape, []).append((place, item))
            if len(groups[shape]) == self.batch_size:
                yield self._batch(groups.pop(shape))
            elif self._too_many(groups.values()):
                yield self._batch(groups.pop(max(groups, key=lambda shape: len(groups[shape]))))
        for group in groups.values():
            yield self._batch(group)

    def _batch(self, group: Group) -> Item:
        self.places = [place for place, _ in group]
        return batch_of([item for _, item in group])

    def report(self, not_written: Sequence[str] = ()) -> int:
        """Log what was left out; return the exit code, 1 where an image was not read or written.

        `not_written` are the messages about images that could not be written.
        """
        self.failures.extend(not_written)
        if self.existing:
            message = "%d of %d had their results already (--skip_existing)"
            log.info(message, self.existing, self.count)
        if self.failures and self.count > 1:  # told as it happened, maybe long ago
            log.warning("%d of %d images were skipped:", len(self.failures), self.count)
            for failure in self.failures:
                log.warning("  %s", failure)
        return 1 if self.failures else 0

    def _pending(self, results: Results) -> Iterator[int]:
        paths = self._paths() if self.opt.skip_existing and not self.is_plugin else None
        for index in range(self.count):
            path = paths[index % len(paths)] if paths else ""
            if paths and results.has(path):
                self.existing += 1
                results.add_existing(path, index)
            else:
                yield index

    def _exists(self, item: Item, place: int, results: Results) -> bool:
        path = item.get("image_paths") or item["A_paths"]
        if not results.has(path):
            return False
        self.existing += 1
        results.add_existing(path, place)
        return True

    def _paths(self) -> list[str]:
        return next(getattr(self.dataset, n) for n in PATH_LISTS if hasattr(self.dataset, n))

    def _prefetch_count(self) -> int:
        """Return how many images to prefetch: one, until the size of an image is known."""
        max_count = PREFETCH_BYTES // self._largest if self._largest else 1
        return max(1, min(max(self.batch_size + 4, self.opt.readers), max_count))

    def _too_many(self, groups: Collection[Group]) -> bool:
        waiting = [item for group in groups for _, item in group]
        return len(waiting) >= 4 * self.batch_size or sum(map(_bytes, waiting)) > PREFETCH_BYTES

    def _read(self, index: int) -> Item | UserError:
        try:
            item = load_item(self.dataset, index, self.opt)
        except UserError as error:
            return error
        except Exception as error:
            if not self.is_plugin:
                raise
            name = type(self.dataset).__name__
            text = traceback.format_exc().rstrip()
            raise UserError(f"{name} has no item {index}:\n{text}") from error
        if self.is_plugin:
            item = self._with_names(item)
            self._warn_of_same_path(item["image_paths"], index)
        self._largest = max(self._largest, _bytes(item))
        return item

    def _warn_of_same_path(self, path: str, index: int) -> None:
        if path in self._paths_of_plugin:
            log.warning(
                "item %d of %s has the path of an earlier item, whose results it overwrites (%s): "
                "give each item a path of its own",
                *(index, type(self.dataset).__name__, path),
            )
        self._paths_of_plugin.add(path)

    def _with_names(self, item: Item) -> Item:
        """Return an item of a plug-in with one file name under each key of paths.

        Raises UsageError where --model test has no image A to translate.
        """
        if self.opt.model == "test" and "A" not in item:
            name, keys = type(self.dataset).__name__, ", ".join(item)
            raise UsageError(f"--model test translates A, and the items of {name} hold: {keys}")
        item = {k: _first(v) if k.endswith("_paths") else v for k, v in item.items()}
        if self.opt.direction == "BtoA" and self.opt.model != "test" and "B_paths" in item:
            return {"image_paths": item["B_paths"], **item}
        return {"image_paths": item["A_paths"], **item}


def _first(paths: Any) -> str:
    return str(paths[0] if isinstance(paths, list | tuple) and paths else paths)


def _bytes(item: Item) -> int:
    return sum(value.nbytes for value in item.values() if isinstance(value, Tensor))
