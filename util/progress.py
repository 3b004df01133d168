"""Where a training run stands: pictures seen, times, and the progress bar."""

import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from .records import LossRecord


class Progress:
    """Counts the pictures and the seconds of a run; one picture is one iteration."""

    def __init__(self, opt: Namespace, pictures_per_epoch: int) -> None:
        self.batch_size: int = opt.batch_size
        self.epoch = opt.epoch_count
        self.last_epoch: int = opt.n_epochs + opt.n_epochs_decay
        self.epoch_iters = 0
        self.total_iters = (opt.epoch_count - 1) * pictures_per_epoch
        self.data_time = 0.0
        self._before = self.total_iters
        self._start = (time.perf_counter(), self.total_iters)
        self._bar = tqdm(
            total=self.last_epoch * pictures_per_epoch,
            initial=self.total_iters,
            unit=" images",
            disable=None,  # off where the output is no terminal
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def batches(self, batches: Iterable[dict[str, Any]], epoch: int) -> Iterator[dict[str, Any]]:
        """The batches of an epoch; time spent inside the loop is computing, between it data."""
        self.epoch, self.epoch_iters = epoch, 0
        self._bar.set_description(f"epoch {epoch}/{self.last_epoch}")
        asked = time.perf_counter()
        for batch in batches:
            self._got = time.perf_counter()
            size = len(batch["A_paths"])
            self._before = self.total_iters
            self.total_iters += size
            self.epoch_iters += size
            self.data_time = self._got - asked
            yield batch
            asked = time.perf_counter()
            self._bar.update(size)

    def due(self, frequency: int) -> bool:
        """Whether this step crossed a multiple of `frequency` pictures."""
        return self.total_iters // frequency > self._before // frequency

    @property
    def first_step(self) -> bool:
        """Whether this is the first step that the process computes."""
        return self._before == self._start[1]

    def images_per_second(self) -> float:
        """Over the whole run so far."""
        began, initial = self._start
        return (self.total_iters - initial) / max(time.perf_counter() - began, 1e-9)

    def loss_record(self, losses: Mapping[str, float], learning_rate: float) -> LossRecord:
        """The losses of the step in hand, with where it stands."""
        return LossRecord(
            epoch=self.epoch,
            iters=self.epoch_iters,
            total_iters=self.total_iters,
            losses=losses,
            learning_rate=learning_rate,
            time=(time.perf_counter() - self._got) / (self.total_iters - self._before),
            data=self.data_time,
            images_per_second=self.images_per_second(),
        )

    def close(self) -> None:
        """Take the progress bar away."""
        self._bar.close()
