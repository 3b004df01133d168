"""Runs a sink in a thread of its own, so that the training never waits for it."""

import logging
import threading
import time

from .deliveries import Deliveries, Delivery
from .sink import Sink

log = logging.getLogger(__name__)

REST_FACTOR, MAX_REST = 10, 10.0
"""A delivery of t seconds is followed by a rest of 10 t, at most 10 s, because a visdom server may
share the CPU cores of the training."""


class Background(Deliveries):
    """Delivers records to the sink `inner` in a thread, in their order, every `pause` seconds.

    It `rests` after long deliveries, except where that would lose what a killed run has not stored.
    The thread starts with `open` or the first record, after the data loader has forked its workers.
    `close` waits for `patience` seconds at most.
    """

    inner: Sink

    def __init__(
        self, inner: Sink, pause: float = 1.0, patience: float = 15.0, *, rests: bool = True
    ) -> None:
        super().__init__()
        self.inner, self.pause, self.patience = inner, pause, patience
        self._rest_factor = REST_FACTOR if rests else 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    @property
    def kind(self) -> type[Sink]:
        """The class of the sink."""
        return self.inner.kind if isinstance(self.inner, Deliveries) else type(self.inner)

    def open(self) -> None:
        """Start the thread, which opens the sink."""
        with self._changed:
            self._start()

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
            super()._put(frame, delivery)
            self._changed.notify()
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            name = f"sink-{self.kind.__name__}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self.inner.open()
            while not self._closing.is_set():
                busy = self._deliver()
                self._closing.wait(max(self.pause, min(self._rest_factor * busy, MAX_REST)))
            self._deliver()
            self.inner.close()
        except Exception as error:  # of any kind: showing a run must never end it
            with self._changed:
                self._failed = True
                self._waiting.clear()
            name = self.kind.__name__
            reason = str(error) or type(error).__name__
            log.warning("%s stopped (%s); the training is not affected", name, reason)

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
