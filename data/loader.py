"""Batches of a data set, read ahead by worker processes and sent as bytes where that is exact."""

import logging
import traceback
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch.utils.data
from torch import Tensor

from util.errors import DataError, UserError
from util.images import Uint8Image, to_float_tensor
from util.random_streams import permutation
from util.run.stopping import WorkerStops
from util.threads import cpu_cores, in_threads

from .base_dataset import BaseDataset
from .image_folder import UnreadableImageError
from .reading.image_reader import ImageReader
from .reading.unreadable import UnreadableImages, tries
from .transforms import batch_of

log = logging.getLogger(__name__)

Key = tuple[int, int]
"""(epoch, index) of an item."""


WARM_PREFETCH = 4
"""Batches read ahead by threads from a cache on disk."""


class _Loaded(NamedTuple):
    """An item or a batch on its way to the main process.

    Errors travel as values: an exception would reach the user as the worker's traceback.
    """

    content: dict[str, Any] | DataError
    unreadable: list[UnreadableImageError]
    """The images that others took the places of."""


class CustomDatasetDataLoader:
    """The batches of a data set: iterating over it is one epoch, each time the next.

    The order of an epoch depends on (seed, epoch) alone; `--serial_batches` keeps it by index.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset = dataset
        self.unreadable = UnreadableImages(dataset, opt)
        self.batch_size: int = opt.batch_size
        self.next_epoch: int = opt.epoch_count
        self._order = _EpochOrder(len(dataset), opt.seed or 0, shuffle=not opt.serial_batches)
        self.cache: str = opt.cache
        workers = _workers(opt)
        self._loader = torch.utils.data.DataLoader(
            _Keyed(dataset, opt),
            batch_size=opt.batch_size,
            sampler=self._order,
            num_workers=workers,
            collate_fn=_collate_packed if workers else _collate,
            persistent_workers=workers > 0,
            worker_init_fn=WorkerStops() if workers else None,
            # its own stream: starting an epoch must not move the one that dropout draws from
            generator=torch.Generator().manual_seed(opt.seed or 0),
            pin_memory=bool(opt.gpu_ids) and torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        """Number of items (not batches) in an epoch."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of the next epoch."""
        return self.batches(self.next_epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of an epoch (from 1), without its first `start` items.

        What is left out is not read. In training an image that cannot be read is replaced by the
        next one. Raises DataError where too many cannot be read, or where an item cannot be made.
        """
        self.next_epoch = epoch + 1
        self._order.epoch, self._order.start = epoch, start
        reader = _reader_of(self.dataset)
        for loaded in self._warm_batches() if reader and reader.warm() else self._loader:
            self.unreadable.note(loaded.unreadable)
            if isinstance(loaded.content, DataError):
                raise loaded.content
            if reader:
                reader.log_if_full()
            yield unpack(loaded.content)

    def report(self) -> None:
        """Say how many images were unreadable, once the training has ended."""
        self.unreadable.report()

    def _warm_batches(self) -> Iterator[_Loaded]:
        """The batches of the epoch, made by this process instead of by workers.

        With all pictures in the cache, to send a batch takes longer than to make it. In memory
        even to hand it over from another thread does; a disk can be slow, and is read ahead.
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


class _EpochOrder(torch.utils.data.Sampler[Key]):
    """The keys of an epoch in its order."""

    def __init__(self, length: int, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.epoch, self.start = 1, 0

    def __len__(self) -> int:
        return self.length - self.start

    def __iter__(self) -> Iterator[Key]:
        order: Sequence[int] = range(self.length)
        if self.shuffle:
            order = permutation(self.length, self.seed, "order", self.epoch)
        return ((self.epoch, index) for index in order[self.start :])


class _Keyed(torch.utils.data.Dataset[_Loaded]):
    """A data set by (epoch, index).

    Where an item has an unreadable image the next item takes its place, whole, so that what
    belongs together stays together.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.replaces, self.tries = dataset, opt.isTrain, tries(opt, len(dataset))

    def __getitem__(self, key: Key) -> _Loaded:
        self.dataset.epoch, index = key
        unreadable: list[UnreadableImageError] = []
        for step in range(self.tries):
            content = self._item((index + step) % len(self.dataset))
            unreadable += self._skipped()
            if not isinstance(content, UnreadableImageError):
                return _Loaded(content, unreadable)
            last = content
            if self.replaces:
                unreadable.append(last)
        return _Loaded(DataError(str(last)), unreadable)

    def _item(self, index: int) -> dict[str, Any] | UnreadableImageError | DataError:
        try:
            return self.dataset[index]
        except UnreadableImageError as error:
            return error
        except UserError as error:
            return DataError(str(error))
        except Exception:  # of a plug-in; the trained weights must not be lost with it
            name = type(self.dataset).__name__
            return DataError(f"{name} has no item {index}:\n{traceback.format_exc().rstrip()}")

    def _skipped(self) -> Iterator[UnreadableImageError]:
        reader = _reader_of(self.dataset)
        with suppress(IndexError):  # none is left, perhaps as another thread took it
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
    except Exception:  # items of a plug-in that do not go together
        text = traceback.format_exc().rstrip()
        return _Loaded(DataError(f"items do not make a batch:\n{text}"), unreadable)


def _collate_packed(items: list[_Loaded]) -> _Loaded:
    loaded = _collate(items)
    if isinstance(loaded.content, DataError):
        return loaded
    return loaded._replace(content=pack(loaded.content))


def _reader_of(dataset: BaseDataset) -> ImageReader | None:
    """Return the reader of a data set; a plug-in may have none, or something else of that name."""
    reader = getattr(dataset, "reader", None)
    return reader if isinstance(reader, ImageReader) else None


def _pinned(batch: Any) -> dict[str, Any]:
    """With its tensors in memory that a GPU copies from while it computes."""
    return {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in batch.items()}


def _workers(opt: Namespace) -> int:
    workers = min(opt.num_threads, cpu_cores())
    if workers < opt.num_threads and "num_threads" in opt.given:
        log.info("--num_threads %d: using %d, one for each core", opt.num_threads, workers)
    return workers


class Packed:
    """Levels (N, C, H, W) on their way; unpacked they are float32 in [-1, 1].

    A float tensor would go through a file of shared memory of its own, whose making, sending and
    mapping takes longer than all else once pictures are small; 8-bit levels are a quarter of it
    and go through the pipe that the rest of the batch takes.
    """

    def __init__(self, levels: Uint8Image) -> None:
        self.levels = levels

    def pin_memory(self) -> Tensor:
        """Called by the thread of a DataLoader that pins."""
        return to_float_tensor(self.levels).pin_memory()

    def unpack(self) -> Tensor:
        """float32 (N, C, H, W)."""
        return to_float_tensor(self.levels)


def pack(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch with those tensors packed that are the same, bit by bit, when they are unpacked."""
    return {key: _packed(value) for key, value in batch.items()}


def unpack(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch that was packed."""
    return {
        key: value.unpack() if isinstance(value, Packed) else value for key, value in batch.items()
    }


def _packed(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.dim() != 4:
        return value
    values = value.numpy()
    with np.errstate(invalid="ignore"):  # what is no level is found out below
        levels = (values * 127.5 + 128).astype(np.uint8)
    return Packed(levels) if np.array_equal(to_float_tensor(levels).numpy(), values) else value
