"""A sink in a thread of its own: the training waits for nothing that it waits for."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink

log = logging.getLogger(__name__)

MOST_POINTS = 10_000
MOST_FRAMES = 8
REST, LONGEST_REST = 10, 10.0
"""After work of t seconds comes a rest of 10 t: a server may share its cores with the training."""
Act = Callable[[Sink], None]


class Background(Sink):
    """Hands records to `inner` in a thread, in their order, with a `pause` of seconds between.

    What waits is bounded: beyond 8 frames, or 10,000 entries, the oldest are dropped. The thread
    starts with the first record, when the data loader has forked its workers already.
    """

    def __init__(self, inner: Sink, pause: float = 1.0, patience: float = 15.0) -> None:
        self.inner, self.pause, self.patience = inner, pause, patience
        self.dropped_frames = 0
        self._waiting: deque[tuple[bool, Act]] = deque()
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def losses(self, record: LossRecord) -> None:
        """Queue a point."""
        self._put(False, lambda sink: sink.losses(record))

    def pictures(self, record: ImageRecord) -> None:
        """Queue a frame."""
        self._put(True, lambda sink: sink.pictures(record))

    def samples(self, record: SampleRecord) -> None:
        """Queue a frame."""
        self._put(True, lambda sink: sink.samples(record))

    def metrics(self, record: MetricsRecord) -> None:
        """Queue the figures of an epoch."""
        self._put(False, lambda sink: sink.metrics(record))

    def saved(self) -> None:
        """Queue the news."""
        self._put(True, lambda sink: sink.saved())

    def close(self) -> None:
        """Let the thread deliver what waits and end, for at most `patience` seconds."""
        with self._news:
            self._closing.set()
            self._news.notify()
        if self._thread is not None:
            self._thread.join(self.patience)

    def _put(self, frame: bool, act: Act) -> None:
        with self._news:
            if self._failed or self._closing.is_set():
                return
            self._waiting.append((frame, act))
            frames = [entry for entry in self._waiting if entry[0]] if frame else []
            if len(frames) > MOST_FRAMES:
                self._waiting.remove(frames[0])
                self.dropped_frames += 1
            if len(self._waiting) > MOST_POINTS:
                self._waiting.popleft()
            self._news.notify()
            if self._thread is None:
                name = f"watch-{type(self.inner).__name__}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            self.inner.open()
            while not self._closing.is_set():
                busy = self._deliver()
                self._closing.wait(max(self.pause, min(REST * busy, LONGEST_REST)))
            self._deliver()
            self.inner.close()
        except Exception as error:  # whatever it is: watching must never harm the run
            with self._news:
                self._failed = True
                self._waiting.clear()
            log.warning("%s stopped (%s); the training goes on", type(self.inner).__name__, error)

    def _deliver(self) -> float:
        """Hand over what waits; returns the seconds that the sink took."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing.is_set(), timeout=1.0)
            waiting = list(self._waiting)
            self._waiting.clear()
        began = time.monotonic()
        for _, act in waiting:
            act(self.inner)
        self.inner.flush()
        return time.monotonic() - began
