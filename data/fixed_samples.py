"""The few pictures that a run is watched on: always the same, of the test folders if there are."""

import logging
from typing import Any

from util.frozen_options import Options

from . import find_dataset_using_name
from .transforms import batch_of

log = logging.getLogger(__name__)

COUNT = 4


def fixed_samples(opt: Options, count: int = COUNT) -> list[dict[str, Any]]:
    """Batches of one item each, placed as at inference; none where nothing can be read."""
    problem: Exception | None = None
    for phase in dict.fromkeys(("test", "val", opt.phase)):
        here = opt.replace(
            phase=phase,
            isTrain=False,
            serial_batches=True,
            max_dataset_size=min(count, opt.max_dataset_size),
        )
        try:
            dataset = find_dataset_using_name(opt.dataset_mode)(here)
            return [batch_of([dataset[index]]) for index in range(min(count, len(dataset)))]
        except Exception as error:  # whatever it is: watching must never harm the run
            problem = error
    log.info("no fixed pictures are shown (%s)", problem)
    return []
