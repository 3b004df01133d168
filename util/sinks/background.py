"""Runs a sink in a thread of its own, so that the training never waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink

log = logging.getLogger(__name__)

MAX_RECORDS = 10_000
MAX_FRAMES = 8
"""Records with images that wait; they are large, and only the newest matter."""
REST_FACTOR, MAX_REST = 10, 10.0
"""A delivery of t seconds is followed by a rest of 10 t, at most 10 s, because a visdom server may
share the CPU cores of the training."""
Delivery = Callable[[Sink], None]


class Background(Sink):
    """Delivers records to the sink `inner` in a thread, in their order, every `pause` seconds.

    The queue is bounded: beyond 8 records with images, or 10,000 records, the oldest are dropped.
    The thread starts with `open` or the first record, after the data loader has forked its workers.
    `close` waits for `patience` seconds at most.
    """

    def __init__(self, inner: Sink, pause: float = 1.0, patience: float = 15.0) -> None:
        self.inner, self.pause, self.patience = inner, pause, patience
        self.dropped_frames = 0
        self._waiting: deque[tuple[bool, Delivery]] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def open(self) -> None:
        """Start the thread, which opens the sink."""
        with self._changed:
            self._start()

    def losses(self, record: LossRecord) -> None:
        """Queue the losses of a step."""
        self._put(False, lambda sink: sink.losses(record))

    def images(self, record: ImageRecord) -> None:
        """Queue the images of a step."""
        self._put(True, lambda sink: sink.images(record))

    def samples(self, record: SampleRecord) -> None:
        """Queue the fixed images."""
        self._put(True, lambda sink: sink.samples(record))

    def metrics(self, record: MetricsRecord) -> None:
        """Queue the figures of an epoch."""
        self._put(False, lambda sink: sink.metrics(record))

    def saved(self) -> None:
        """Queue the notice of a save."""
        self._put(True, lambda sink: sink.saved())

    def close(self) -> None:
        """Let the thread deliver its queue and end; wait for at most `patience` seconds."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(self.patience)

    def _put(self, frame: bool, delivery: Delivery) -> None:
        with self._changed:
            if self._failed or self._closing.is_set():
                return
            self._waiting.append((frame, delivery))
            frames = [entry for entry in self._waiting if entry[0]] if frame else []
            if len(frames) > MAX_FRAMES:
                self._waiting.remove(frames[0])
                self.dropped_frames += 1
            if len(self._waiting) > MAX_RECORDS:
                self._waiting.popleft()
            self._changed.notify()
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            name = f"sink-{type(self.inner).__name__}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self.inner.open()
            while not self._closing.is_set():
                busy = self._deliver()
                self._closing.wait(max(self.pause, min(REST_FACTOR * busy, MAX_REST)))
            self._deliver()
            self.inner.close()
        except Exception as error:  # of any kind: showing a run must never end it
            with self._changed:
                self._failed = True
                self._waiting.clear()
            sink = type(self.inner).__name__
            log.warning("%s stopped (%s); the training is not affected", sink, error)

    def _deliver(self) -> float:
        """Deliver the queue; return the seconds that the sink took."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set(), timeout=1.0)
            waiting = list(self._waiting)
            self._waiting.clear()
        began = time.monotonic()
        for _, delivery in waiting:
            delivery(self.inner)
        self.inner.flush()
        return time.monotonic() - began
