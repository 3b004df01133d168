"""How fast a training is now, and how long it still takes."""

import time
from collections import deque
from typing import NamedTuple

EPOCHS = 10
"""The time that is left is estimated from so many epochs: evaluations between them count too."""


class Rates(NamedTuple):
    """The means over the steps since the last record."""

    images_per_second: float
    computing: float
    """Seconds for an image."""
    waiting: float
    """Seconds that a step waits for its batch."""


class Speed:
    """Measures steps from the request of a batch to the end of its step.

    On a GPU single steps tell nothing, as the CPU queues the work of many before it waits for a
    result; the means do, since a record waits for all that was queued. What happens between epochs,
    and in a step after its record (showing images, saving), does not count in the rates; it does in
    `seconds_left`.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._last = Rates(0.0, 0.0, 0.0)
        self._marks: deque[tuple[float, int]] = deque(maxlen=EPOCHS + 1)
        self._start_anew()

    def _start_anew(self) -> None:
        self._images, self._steps, self._waited, self._spent = 0, 0, 0.0, 0.0

    def begin_step(self, requested: float, images: int) -> None:
        """Count a batch that has just arrived; `requested` is when it was asked for."""
        self._requested, self._recorded = requested, False
        self._images, self._steps = self._images + images, self._steps + 1
        self._waited += time.perf_counter() - requested

    def end_step(self) -> None:
        """Count the seconds of a step, unless its record has."""
        if not self._recorded:
            self._spent += time.perf_counter() - self._requested

    def take(self) -> Rates:
        """Return the rates since the last call; without a step since then, those of that call."""
        if self._images:
            seconds = self._spent + time.perf_counter() - self._requested
            self._last = Rates(
                images_per_second=self._images / max(seconds, 1e-9),
                computing=max(0.0, seconds - self._waited) / self._images,
                waiting=self._waited / self._steps,
            )
            self._start_anew()
            self._recorded = True
        return self._last

    def elapsed(self) -> float:
        """Return the seconds since the program began to train."""
        return time.perf_counter() - self._began

    def mark(self, total_iters: int) -> None:
        """Note when an epoch ends, and the first step, which takes longer than others."""
        self._marks.append((time.perf_counter(), total_iters))

    def seconds_left(self, total_iters: int, images_left: int) -> float:
        """Return the seconds for the images that are left; 0 where nothing tells yet."""
        if not self._marks or self._marks[0][1] >= total_iters:
            return 0.0
        began, before = self._marks[0]
        return (time.perf_counter() - began) / (total_iters - before) * images_left
