"""The few pictures that a run is watched on: always the same, of the test folders if there are."""

import copy
import logging
from collections.abc import Callable
from typing import Any

from util.frozen_options import Options

from ..base_dataset import BaseDataset
from ..reading.image_reader import ImageReader
from ..transforms import batch_of

log = logging.getLogger(__name__)

COUNT = 4
PHASES = ("test", "val")


def fixed_samples(opt: Options, training: BaseDataset, count: int = COUNT) -> list[dict[str, Any]]:
    """Batches of one item each, placed as at inference; none where nothing can be read.

    Of the test or the val folders, else of the `training` data set, without listing it again.
    """
    here = opt.replace(isTrain=False, serial_batches=True)
    few = here.replace(max_dataset_size=min(count, opt.max_dataset_size))
    ways: list[Callable[[], BaseDataset]] = [
        *(lambda phase=phase: type(training)(few.replace(phase=phase)) for phase in PHASES),
        lambda: _as_at_inference(training, here),
    ]
    problem: Exception | None = None
    for make in ways:
        try:
            dataset = make()
            return [batch_of([dataset[index]]) for index in range(min(count, len(dataset)))]
        except Exception as error:  # whatever it is: watching must never harm the run
            problem = error
    log.info("no fixed pictures are shown (%s)", problem)
    return []


def _as_at_inference(training: BaseDataset, opt: Options) -> BaseDataset:
    """The same files, read and placed without chance and without the cache."""
    dataset = copy.copy(training)
    dataset.opt, dataset.reader = opt, ImageReader(opt)
    return dataset
