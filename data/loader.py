"""Batches of a data set, prefetched by worker processes and sent as bytes where that is exact."""

import logging
import pickle
import re
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch.utils.data
from torch import Tensor

from util import global_batch, ranks
from util.errors import DataError, TransientDataError, UnreadableImageError, UserError
from util.memory import SHARED_MEMORY_IS_FULL
from util.options import script_of
from util.run.dead_workers import DeadWorkerError, end_workers, fetching
from util.run.stopping import WorkerStops
from util.threads import cpu_cores, in_threads

from .base_dataset import BaseDataset
from .epoch_order import EpochOrder, Key
from .items import batch_of, load_item, seeds_global_streams
from .packing import pack, unpack
from .reading.image_reader import ImageReader
from .reading.unreadable import UnreadableImages, tries

log = logging.getLogger(__name__)

WARM_PREFETCH = 4
"""Batches that threads prefetch from a cache on disk."""
NOT_PICKLED = "pickle|get local object"
"""What errors of other kinds than PicklingError say; the latter is that of Python 3.13."""


class _Loaded(NamedTuple):
    """An item or a batch on its way to the main process.

    Errors travel as values: an exception would reach the user as the worker's traceback.
    """

    content: dict[str, Any] | DataError
    unreadable: list[UnreadableImageError]
    """The unreadable images that were replaced by others."""


class CustomDatasetDataLoader:
    """The batches of a data set; each iteration over the loader is the next epoch.

    The order of an epoch depends on (seed, epoch) alone; with `--serial_batches` it is by index.
    Where several processes train together, the batches of all of them are consecutive in it.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.unreadable = UnreadableImages(dataset, opt)
        self.batch_size: int = opt.batch_size
        self.next_epoch: int = opt.epoch_count
        shuffle = not (opt.serial_batches or dataset.in_random_order)
        self._order = EpochOrder(len(dataset), opt.seed or 0, shuffle, opt.batch_size)
        self.cache: str = opt.cache
        # threads would disturb what each other draws from the global random streams
        self._can_use_threads = not seeds_global_streams(dataset)
        self._loader = self._with_workers(_workers(opt))
        self._may_restart = True
        if script := script_of(opt):
            script.made_loader(self)

    def __len__(self) -> int:
        """Return the number of items (not of batches) in an epoch."""
        return len(self.dataset)

    def load_data(self) -> "CustomDatasetDataLoader":
        """Return itself, as scripts of 2017 call it."""
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the batches of the next epoch."""
        script = script_of(self.opt)
        return script.batches(self) if script else self.batches(self.next_epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 1, of the next iteration."""
        self.next_epoch = epoch

    def _with_workers(self, workers: int) -> "torch.utils.data.DataLoader[Any]":
        return torch.utils.data.DataLoader(
            _Keyed(self.dataset, self.opt),
            batch_size=self.batch_size,
            sampler=self._order,
            num_workers=workers,
            collate_fn=_collate_packed if workers else _collate,
            persistent_workers=workers > 0,
            worker_init_fn=WorkerStops() if workers else None,
            # its own stream: starting an epoch must not move the one that dropout draws from
            generator=torch.Generator().manual_seed(self.opt.seed or 0),
            pin_memory=bool(self.opt.gpu_ids) and torch.cuda.is_available(),
        )

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch (from 1) without its first `start` items.

        Items that are left out are not read. In training an image that cannot be read is replaced
        by the next one. Raises DataError where too many cannot be read, or where the data set fails
        to return an item; where a worker process has died, for the first time TransientDataError,
        after which there are half as many.
        """
        self.next_epoch = epoch + 1
        self._order.epoch, self._order.start = epoch, start
        reader = _reader_of(self.dataset)
        warm = reader and reader.warm() and (self._can_use_threads or self.cache == "ram")
        with self._fetching():
            batches = self._warm_batches() if warm else self._from_workers()
        for own, total in self._order.batch_sizes():
            with self._fetching():
                loaded = next(batches)
            first = self._order.batch_size * ranks.rank()
            global_batch.announce_batch(own, total, first)
            self.unreadable.note(loaded.unreadable)
            if isinstance(loaded.content, DataError):
                raise loaded.content
            if reader:
                reader.log_if_full()
            yield self._completed(unpack(loaded.content))

    def _from_workers(self) -> Iterator[_Loaded]:
        """Start the workers; on Windows and macOS the data set is sent to them, pickled."""
        try:
            with warnings.catch_warnings():  # torch warns of what the error says
                warnings.filterwarnings("ignore", "Got pickle error")
                return iter(self._loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            said = str(error)
            if not (isinstance(error, pickle.PicklingError) or re.search(NOT_PICKLED, said)):
                raise
            raise UserError(
                f"{type(self.dataset).__name__} cannot be sent to the processes that load images "
                f"({error}): keep lambdas, local functions and open files out of its attributes, "
                "or give --num_threads 0"
            ) from error

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        """Where a worker has died, in the block or before it, halve their number; but only once."""
        try:
            with fetching():
                yield
        except DeadWorkerError as error:
            if not self._may_restart:
                raise
            self._may_restart, before = False, self._loader.num_workers
            end_workers(self._loader)
            self._loader = self._with_workers(before // 2)
            change = f"going on with --num_threads {before // 2} instead of {before}"
            how = f"a process that loads images {error.how}"
            raise TransientDataError(f"{how}: {change}") from error

    def _completed(self, batch: dict[str, Any]) -> dict[str, Any]:
        completed = self.dataset.complete(batch)
        is_pinned = completed is batch or not self._loader.pin_memory
        return completed if is_pinned else _pinned(completed)

    def report(self) -> None:
        """Log how many images were unreadable, at the end of training."""
        self.unreadable.report()

    def _warm_batches(self) -> Iterator[_Loaded]:
        """Return the batches of the epoch, loaded by this process instead of by workers.

        Once all images are in the cache, sending a batch between processes takes longer than
        loading it. From memory even passing it between threads does; a disk can be slow, so
        threads prefetch from it.
        """
        keyed: torch.utils.data.Dataset[Any] = self._loader.dataset

        def batch_at(keys: list[Key]) -> _Loaded:
            loaded = _collate([keyed[key] for key in keys])
            if isinstance(loaded.content, DataError) or not self._loader.pin_memory:
                return loaded
            return loaded._replace(content=_pinned(loaded.content))

        keys_of_batches: Any = self._loader.batch_sampler
        if self.cache == "ram":
            return map(batch_at, keys_of_batches)
        return in_threads(batch_at, keys_of_batches, ahead=lambda: WARM_PREFETCH)


class _Keyed(torch.utils.data.Dataset[_Loaded]):
    """A data set indexed by (epoch, index).

    An item with an unreadable image is replaced as a whole by the next item, so that images that
    form a pair stay together.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.opt = dataset, opt
        self.tries = tries(opt, len(dataset))

    def __getitem__(self, key: Key) -> _Loaded:
        epoch, index = key
        unreadable: list[UnreadableImageError] = []
        for step in range(self.tries):
            content = self._item((index + step) % len(self.dataset), epoch)
            unreadable += self._skipped()
            if not isinstance(content, UnreadableImageError):
                return _Loaded(content, unreadable)
            last = content
            if self.opt.isTrain:
                unreadable.append(last)
        return _Loaded(DataError(str(last)), unreadable)

    def _item(self, index: int, epoch: int) -> dict[str, Any] | UnreadableImageError | DataError:
        try:
            return load_item(self.dataset, index, self.opt, epoch, compact=True)
        except UnreadableImageError as error:
            return error
        except UserError as error:
            return DataError(str(error))
        except Exception:  # raised by a plug-in: the trained weights must not be lost with it
            name = type(self.dataset).__name__
            return DataError(f"{name} has no item {index}:\n{traceback.format_exc().rstrip()}")

    def _skipped(self) -> Iterator[UnreadableImageError]:
        reader = _reader_of(self.dataset)
        with suppress(IndexError):  # the queue is empty, perhaps since another thread emptied it
            while reader:
                yield reader.skipped.popleft()


def _collate(items: list[_Loaded]) -> _Loaded:
    unreadable = [error for item in items for error in item.unreadable]
    contents = []
    for item in items:
        if isinstance(item.content, DataError):
            return _Loaded(item.content, unreadable)
        contents.append(item.content)
    try:
        return _Loaded(batch_of(contents), unreadable)
    except UserError as error:
        return _Loaded(DataError(str(error)), unreadable)
    except Exception:  # items of a plug-in that cannot be stacked
        text = traceback.format_exc().rstrip()
        return _Loaded(DataError(f"items do not make a batch:\n{text}"), unreadable)


def _collate_packed(items: list[_Loaded]) -> _Loaded:
    loaded = _collate(items)
    if isinstance(loaded.content, DataError):
        return loaded
    content = pack(loaded.content)
    try:
        # here and not in the thread that sends them, whose error would leave the run waiting
        for value in content.values():
            if isinstance(value, Tensor) and value.device.type == "cpu":
                value.share_memory_()
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        return loaded._replace(content=DataError(f"{SHARED_MEMORY_IS_FULL} ({reason})"))
    return loaded._replace(content=content)


def _reader_of(dataset: BaseDataset) -> ImageReader | None:
    """Return the reader of a data set; a plug-in may have none."""
    return getattr(dataset, "_image_reader", None)


def _pinned(batch: Any) -> dict[str, Any]:
    """Return the batch in page-locked memory, from which a GPU copies while it computes."""
    return {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in batch.items()}


def _workers(opt: Namespace) -> int:
    workers = min(opt.num_threads, cpu_cores())
    if workers < opt.num_threads and "num_threads" in opt.given:
        log.info("--num_threads %d: using %d, one per core", opt.num_threads, workers)
    return workers
