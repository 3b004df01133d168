"""The position of a training run: epochs, images seen, speed, and the progress bar."""

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from tqdm import tqdm

from .. import ranks
from ..durations import duration
from ..errors import DataError
from ..random_streams import stream
from ..sinks.sink import LossRecord
from .launch import names_of_images
from .speed import Speed

log = logging.getLogger(__name__)


class Batches(Protocol):
    """What a data loader provides."""

    dataset: Any
    """The data set that it loads."""

    def __len__(self) -> int:
        """Return the number of images in an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch (from 1) without its first `start` images."""


class Position(NamedTuple):
    """A position in a run."""

    epoch: int
    """From 1."""
    epoch_iters: int
    """Images seen in this epoch."""
    total_iters: int
    """Images seen in the whole run."""


class Progress:
    """Counts the images and the seconds of a run; one image is one iteration.

    Where several processes train together, these are the images of all of them.
    `check` is called with each batch before it is counted, and raises DataError where the model
    cannot take the batch. Without `visible` there is neither a progress bar nor a line at the end
    of each epoch, as a script has its own.
    """

    def __init__(
        self,
        opt: Namespace,
        dataset: Batches,
        check: Callable[[dict[str, Any]], None] = lambda batch: None,
        visible: bool = True,
    ) -> None:
        self._visible = visible and ranks.is_main()
        self.opt, self.dataset, self.check = opt, dataset, check
        self.epoch: int = opt.epoch_count
        self.last_epoch: int = opt.n_epochs + opt.n_epochs_decay
        self.epoch_iters = 0
        self.total_iters = (opt.epoch_count - 1) * len(dataset)
        self.total_steps = 0
        self.speed = Speed()
        self.start = self._start_here()
        self._epoch_start = time.perf_counter(), self.total_iters
        self._bar: tqdm[Any] | None = None

    def state(self) -> dict[str, Any]:
        """Return the position, for the training state."""
        return {
            "epoch": self.epoch,
            "epoch_iters": self.epoch_iters,
            "total_iters": self.total_iters,
            "total_steps": self.total_steps,
            "pictures_per_epoch": len(self.dataset),
            "pictures": self._names,
        }

    @cached_property
    def _names(self) -> str:
        return names_of_images(self.dataset.dataset)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take over a position that `state` returned; say where the images have changed since.

        The rest of the epoch has the order of the images of now then, from the same place on.
        """
        self.epoch, self.epoch_iters = int(state["epoch"]), int(state["epoch_iters"])
        self.total_iters, self.total_steps = int(state["total_iters"]), int(state["total_steps"])
        self.start = self._start_here()
        stored, now = int(state["pictures_per_epoch"]), len(self.dataset)
        if stored != now or state.get("pictures", self._names) != self._names:
            together = ranks.world() * self.opt.batch_size
            last_batch = (now - 1) // together * together  # an epoch ends with a step
            self.epoch_iters = min(self.epoch_iters, last_batch)
            log.warning(
                "the images have changed since the last save (an epoch had %d and has %d): the "
                "order differs from image %d of epoch %d on; each later epoch has every image once",
                *(stored, now, self.epoch_iters + 1, self.epoch),
            )

    def _start_here(self) -> Position:
        """Return the current position, from which this process starts."""
        self._before = self.total_iters
        return Position(self.epoch, self.epoch_iters, self.total_iters)

    def epochs(self) -> Iterator[int]:
        """Yield the current epoch and those after it; `end_epoch` is called at the end of each.

        The progress bar is removed when the loop ends.
        """
        try:
            while self.epoch <= self.last_epoch:
                yield self.epoch
        finally:
            if self._bar is not None:
                self._bar.close()

    def end_epoch(self) -> None:
        """Go to the beginning of the next epoch; log the time of this one, and what is left."""
        self.speed.mark(self.total_iters)
        if self._visible:
            began, before = self._epoch_start
            seconds, left = time.perf_counter() - began, self.seconds_left()
            log.info(
                "End of epoch %d / %d (%s, %.3g images/s%s)",
                *(self.epoch, self.last_epoch, duration(seconds)),
                (self.total_iters - before) / max(seconds, 1e-9),
                f", {duration(left)} left" if left > 0 else "",
            )
        self.epoch, self.epoch_iters = self.epoch + 1, 0

    def jump(self, epoch: int) -> None:
        """Go to the beginning of an epoch, which a script has chosen."""
        self.epoch, self.epoch_iters = epoch, 0
        self._before = self.total_iters = (epoch - 1) * len(self.dataset)

    def batches(self, before_retry: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
        """Yield the remaining batches of the epoch.

        The time between two of them is data time, the time in the body of the loop computing time.
        `before_retry` is called, on all processes, between two steps and before a batch that one of
        them could not load is loaded again.
        """
        self._epoch_start = time.perf_counter(), self.total_iters
        bar = self._progress_bar()
        bar.set_description(f"epoch {self.epoch}/{self.last_epoch}")
        requested = time.perf_counter()
        for batch in self._batches_in_step(before_retry):
            size = len(batch["A_paths"]) if ranks.world() == 1 else self._global_size()
            self._seed_step()
            self._before = self.total_iters
            self.total_iters += size
            self.epoch_iters += size
            self.total_steps += 1
            self.speed.begin_step(requested, size)
            yield batch
            if self.first_step:
                self.speed.mark(self.total_iters)
            self.speed.end_step()
            requested = time.perf_counter()
            bar.update(size)

    def _batches_in_step(self, before_retry: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """Yield the batches of the epoch, checked; all processes raise the DataError of any."""
        batches = self.dataset.batches(self.epoch, start=self.epoch_iters)
        while True:
            batch, error = self._next_of(batches)
            while ranks.agree(error):
                before_retry()
                if error is not None:
                    log.warning("%s", error)
                    batches = self.dataset.batches(self.epoch, start=self.epoch_iters)
                    batch, error = self._next_of(batches)
            if batch is None:
                return
            yield batch

    def _next_of(
        self, batches: Iterator[dict[str, Any]]
    ) -> tuple[dict[str, Any] | None, DataError | None]:
        """Return the next batch, checked, None at the end of the epoch; or a DataError."""
        try:
            batch = next(batches, None)
            if batch is not None:
                self.check(batch)
            return batch, None
        except DataError as error:
            return None, error

    def _global_size(self) -> int:
        """Return how many images the batches of all processes hold in this step."""
        left = len(self.dataset) - self.epoch_iters
        return min(ranks.world() * self.opt.batch_size, left)

    def _seed_step(self) -> None:
        """Seed dropout by the step and the process, where there are several."""
        if ranks.world() > 1:
            key = ("dropout", self.total_steps, ranks.rank())
            torch.manual_seed(stream(self.opt.seed, *key).getrandbits(63))

    def _progress_bar(self) -> "tqdm[Any]":
        if self._bar is None:
            self._bar = tqdm(
                total=self.total_iters + self._images_left(),
                initial=self.total_iters,
                unit=" images",
                # None: hidden where the output is not a terminal
                disable=None if self._visible else True,
                dynamic_ncols=True,
                smoothing=0.05,  # over about 20 steps: with 0.3, the default, the estimate jumps
            )
        return self._bar

    def _images_left(self) -> int:
        return (self.last_epoch - self.epoch + 1) * len(self.dataset) - self.epoch_iters

    def due(self, frequency: int) -> bool:
        """Return whether this step crossed a multiple of `frequency` images."""
        return self.total_iters // frequency > self._before // frequency

    def shown(self, frequency: int) -> bool:
        """Return whether this step is shown: where it is due, and as the first and last of a run.

        So a run has something to show at once, and a short one at its end.
        """
        return self.due(frequency) or self._before == 0 or self.last_step

    @property
    def trained(self) -> bool:
        """Whether this process has computed a step."""
        return self.total_iters > self.start.total_iters

    @property
    def first_step(self) -> bool:
        """Whether this is the first step that the process computes."""
        return self._before == self.start.total_iters

    @property
    def last_step(self) -> bool:
        """Whether this is the last step of the run."""
        return self.epoch == self.last_epoch and self.epoch_iters >= len(self.dataset)

    def seconds_left(self) -> float:
        """Return an estimate of the seconds to the end of the run; 0 where nothing tells yet."""
        return self.speed.seconds_left(self.total_iters, self._images_left())

    def loss_record(self, losses: Mapping[str, float], learning_rate: float) -> LossRecord:
        """Return the losses of the current step with its position, and the speed since the last."""
        rates = self.speed.take()
        return LossRecord(
            epoch=self.epoch,
            iters=self.epoch_iters,
            total_iters=self.total_iters,
            losses=losses,
            learning_rate=learning_rate,
            time=rates.computing,
            data=rates.waiting,
            images_per_second=rates.images_per_second,
            epochs=self.last_epoch,
            epoch_images=len(self.dataset),
            seconds_left=self.seconds_left(),
        )
