"""Says once that the training waits for its batches, and which flag helps."""

import logging
import statistics
from argparse import Namespace
from collections import deque

from .. import ranks
from ..threads import cpu_cores
from .sink import LossRecord, Sink

log = logging.getLogger(__name__)

STEPS = 10
"""Records of losses: enough that one which happens to wait for the disk says nothing."""


class LoadingHint(Sink):
    """Compares the seconds of waiting and of computing: their medians over ten records in a row."""

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self._steps: deque[tuple[float, float]] = deque(maxlen=STEPS)
        self._first = True
        self._told = False

    def losses(self, record: LossRecord) -> None:
        """Add a record; the first is left out, as it waits for the worker processes to start."""
        if self._first or self._told:
            self._first = False
            return
        global_batch = self.opt.batch_size * ranks.world()
        self._steps.append((record.data, record.time * global_batch))
        waiting = statistics.median(step[0] for step in self._steps)
        computing = statistics.median(step[1] for step in self._steps)
        if len(self._steps) == STEPS and waiting > computing:
            self._told = True
            log.info(
                "loading is the bottleneck: a step waits %.3f s for its batch and computes "
                "for %.3f s; %s",
                waiting,
                computing,
                self._remedy(),
            )

    def _remedy(self) -> str:
        cores = cpu_cores()
        if self.opt.num_threads < cores:
            return (
                f"raise --num_threads (now {self.opt.num_threads}; {cores} CPU cores may be used)"
            )
        return "all CPU cores read images already: store smaller images, near --load_size"
