"""A sink that hands its records on to another one, from a queue of bounded length."""

from collections import deque
from collections.abc import Callable

from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink

MAX_RECORDS = 10_000
MAX_FRAMES = 8
"""Records with images that wait; they are large, and only the newest matter."""
Delivery = Callable[[Sink], None]


class Deliveries(Sink):
    """Queues each record as a call of the other sink; a subclass makes the calls, in their order.

    Beyond 8 records with images, or 10,000 records, the oldest are dropped.
    """

    inner: Sink | None
    """The other sink; None: it could not be made yet."""

    def __init__(self) -> None:
        self.dropped_frames = 0
        self.dropped_records = 0
        self._waiting: deque[tuple[bool, Delivery]] = deque()

    @property
    def kind(self) -> type[Sink]:
        """The class of the other sink."""
        raise NotImplementedError

    def losses(self, record: LossRecord) -> None:
        """Queue the losses of a step."""
        if self._uses("losses"):
            self._put(False, lambda sink: sink.losses(record))

    def images(self, record: ImageRecord) -> None:
        """Queue the images of a step."""
        if self._uses("images"):
            self._put(True, lambda sink: sink.images(record))

    def samples(self, record: SampleRecord) -> None:
        """Queue the fixed images."""
        if self._uses("samples"):
            self._put(True, lambda sink: sink.samples(record))

    def metrics(self, record: MetricsRecord) -> None:
        """Queue the figures of an epoch."""
        if self._uses("metrics"):
            self._put(False, lambda sink: sink.metrics(record))

    def saved(self) -> None:
        """Queue the notice of a save, which is no record with images."""
        if self._uses("saved"):
            self._put(False, lambda sink: sink.saved())

    def _uses(self, name: str) -> bool:
        """Return whether the other sink overrides the method of that name."""
        return getattr(self.kind, name) is not getattr(Sink, name)

    def _put(self, frame: bool, delivery: Delivery) -> None:
        """Queue a call; `frame`: its record has images."""
        self._waiting.append((frame, delivery))
        frames = [entry for entry in self._waiting if entry[0]] if frame else []
        if len(frames) > MAX_FRAMES:
            self._waiting.remove(frames[0])
            self.dropped_frames += 1
        if len(self._waiting) > MAX_RECORDS:
            self._waiting.popleft()
            self.dropped_records += 1
