"""Batches of a data set, prefetched by worker processes and sent as bytes where that is exact."""

import logging
import traceback
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch.utils.data
from torch import Tensor

from util.errors import DataError, UnreadableImageError, UserError
from util.images import Uint8Image, to_float_tensor
from util.random_streams import permutation
from util.run.stopping import WorkerStops
from util.threads import cpu_cores, in_threads

from .base_dataset import BaseDataset
from .reading.image_reader import ImageReader
from .reading.unreadable import UnreadableImages, tries
from .transforms import batch_of

log = logging.getLogger(__name__)

Key = tuple[int, int]
"""(epoch, index) of an item."""


WARM_PREFETCH = 4
"""Batches that threads prefetch from a cache on disk."""


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
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset = dataset
        self.unreadable = UnreadableImages(dataset, opt)
        self.batch_size: int = opt.batch_size
        self.next_epoch: int = opt.epoch_count
        shuffle = not (opt.serial_batches or dataset.in_random_order)
        self._order = _EpochOrder(len(dataset), opt.seed or 0, shuffle)
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
        """Return the number of items (not of batches) in an epoch."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the batches of the next epoch."""
        return self.batches(self.next_epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch (from 1) without its first `start` items.

        Items that are left out are not read. In training an image that cannot be read is replaced
        by the next one. Raises DataError where too many cannot be read, or where the data set fails
        to return an item.
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


class _EpochOrder(torch.utils.data.Sampler[Key]):
    """Yields the keys of an epoch in the order of that epoch."""

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
    """A data set indexed by (epoch, index).

    An item with an unreadable image is replaced as a whole by the next item, so that images that
    form a pair stay together.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace) -> None:
        self.dataset, self.isTrain = dataset, opt.isTrain
        self.tries = tries(opt, len(dataset))

    def __getitem__(self, key: Key) -> _Loaded:
        self.dataset.epoch, index = key
        unreadable: list[UnreadableImageError] = []
        for step in range(self.tries):
            content = self._item((index + step) % len(self.dataset))
            unreadable += self._skipped()
            if not isinstance(content, UnreadableImageError):
                return _Loaded(content, unreadable)
            last = content
            if self.isTrain:
                unreadable.append(last)
        return _Loaded(DataError(str(last)), unreadable)

    def _item(self, index: int) -> dict[str, Any] | UnreadableImageError | DataError:
        try:
            return self.dataset[index]
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
    return loaded._replace(content=pack(loaded.content))


def _reader_of(dataset: BaseDataset) -> ImageReader | None:
    """Return the reader of a data set; a plug-in may have none, or something else of that name."""
    reader = getattr(dataset, "reader", None)
    return reader if isinstance(reader, ImageReader) else None


def _pinned(batch: Any) -> dict[str, Any]:
    """Return the batch in page-locked memory, from which a GPU copies while it computes."""
    return {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in batch.items()}


def _workers(opt: Namespace) -> int:
    workers = min(opt.num_threads, cpu_cores())
    if workers < opt.num_threads and "num_threads" in opt.given:
        log.info("--num_threads %d: using %d, one per core", opt.num_threads, workers)
    return workers


class Packed:
    """Images (N, C, H, W) sent as uint8; unpacked they are float32 in [-1, 1].

    A float tensor would be sent through a shared-memory file of its own; creating, sending and
    mapping that file takes longer than everything else where images are small. As uint8 the images
    take a quarter of the bytes, and the pipe that the rest of the batch takes.
    """

    def __init__(self, images: Uint8Image) -> None:
        self.images = images

    def pin_memory(self) -> Tensor:
        """Unpack into page-locked memory; the pinning thread of DataLoader calls this by name."""
        return to_float_tensor(self.images).pin_memory()

    def unpack(self) -> Tensor:
        """Return the images as float32 (N, C, H, W) in [-1, 1]."""
        return to_float_tensor(self.images)


def pack(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch with those tensors packed that unpacking restores bit for bit."""
    return {key: _packed(value) for key, value in batch.items()}


def unpack(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch as it was before `pack`."""
    return {
        key: value.unpack() if isinstance(value, Packed) else value for key, value in batch.items()
    }


def _packed(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.dim() != 4:
        return value
    values = value.numpy()
    with np.errstate(invalid="ignore"):  # values that are not exact are detected below
        images = (values * 127.5 + 128).astype(np.uint8)  # 127.5, and 0.5 to round
    return Packed(images) if np.array_equal(to_float_tensor(images).numpy(), values) else value
