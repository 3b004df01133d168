"""The few images that a run is watched on, the same ones each time."""

import copy
import logging
from collections.abc import Callable
from typing import Any

from util import ranks
from util.errors import UnreadableImageError
from util.options import Options
from util.random_streams import global_streams

from ..base_dataset import BaseDataset
from ..items import batch_of, load_item

log = logging.getLogger(__name__)

COUNT = 4
PHASES = ("test", "val")
AS_AT_INFERENCE = {
    **{"isTrain": False, "serial_batches": True, "no_flip": True},
    **{"cache": "none", "full_decode": True, "output": None, "results_dir": None},
}
"""The options under which a training reads an image as inference does."""


def fixed_samples(opt: Options, training: BaseDataset, count: int = COUNT) -> list[dict[str, Any]]:
    """Return at most `count` batches of one item each, preprocessed as at inference.

    They come from the test or the val folders, else from the `training` data set, whose folders are
    not listed again. An item with an unreadable image is left out. The list is empty where nothing
    can be read, and on all processes but rank 0, which shows them.
    """
    if not ranks.is_main():
        return []
    opt = opt.replace(**AS_AT_INFERENCE)
    few = opt.replace(max_dataset_size=min(count, opt.max_dataset_size))
    sources: list[Callable[[], BaseDataset]] = [
        *(lambda phase=phase: type(training)(few.replace(phase=phase)) for phase in PHASES),
        lambda: _as_at_inference(training, opt),
    ]
    problem: Exception | None = None
    for make in sources:
        try:
            with global_streams(opt.seed or 0, "fixed samples"):  # the training's are not disturbed
                dataset = make()
            return _first_items(dataset, opt, count)
        except Exception as error:  # whatever it is: watching must never harm the run
            problem = error
    log.info("no fixed samples are shown (%s)", problem)
    return []


def _first_items(dataset: BaseDataset, opt: Options, count: int) -> list[dict[str, Any]]:
    """Return the readable ones of the first items; raises UnreadableImageError where none is."""
    samples, unreadable = [], []
    for index in range(min(count, len(dataset))):
        try:
            samples.append(batch_of([load_item(dataset, index, opt)]))
        except UnreadableImageError as error:
            unreadable.append(error)
    if unreadable and not samples:
        raise unreadable[0]
    for skipped in unreadable:
        log.info("left out of the fixed samples: %s (%s)", skipped.path, skipped.reason)
    return samples


def _as_at_inference(training: BaseDataset, opt: Options) -> BaseDataset:
    """Return a data set of the same files that reads without random choices and without a cache."""
    dataset = copy.copy(training)
    dataset.opt = opt
    dataset.set_reader(opt)
    return dataset
