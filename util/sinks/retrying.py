"""Lets a sink that writes files outlast a disk that is full, read-only or away for a while."""

import logging
import time
from typing import Any

from ..errors import UserError
from .deliveries import Deliveries, Delivery
from .sink import Sink

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two attempts."""
PATIENCE = 10.0
"""Seconds after the first error for which the end of a run waits for the disk."""


class Retrying(Deliveries):
    """Calls the sink `kind(*arguments)` at once; what a disk refuses waits, and is sent again.

    Records arrive in their order, each once, if a method of the sink that has raised OSError or
    UserError can be called again with the same record. The sink is made anew where already its
    construction fails in that way. One line is logged when the writing stops, and one when it goes
    on. Errors of other kinds are raised.
    """

    def __init__(self, kind: type[Sink], *arguments: Any) -> None:
        super().__init__()
        self._kind, self._arguments = kind, arguments
        self.inner: Sink | None = None
        self._opens = False
        self._failing_since: float | None = None
        self._next_attempt = 0.0
        self._attempt()

    @property
    def kind(self) -> type[Sink]:
        """The class of the sink."""
        return self._kind

    def open(self) -> None:
        """Open the sink, or do so once it is made. Raises what that raises."""
        self._opens = True
        if self.inner is not None:
            self.inner.open()

    def close(self) -> None:
        """Deliver what waits and close the sink; a disk that has just failed is waited for."""
        self._put(False, lambda sink: sink.close())
        while self._failing_since is not None:
            if time.monotonic() > self._failing_since + PATIENCE:
                lost = len(self._waiting) - 1 + self.dropped_records + self.dropped_frames
                log.warning("%s: %d record(s) could not be written", self._kind.__name__, lost)
                return
            time.sleep(PAUSE)
            self._attempt()

    def _put(self, frame: bool, delivery: Delivery) -> None:
        super()._put(frame, delivery)
        if self._failing_since is None or time.monotonic() >= self._next_attempt:
            self._attempt()

    def _attempt(self) -> None:
        """Make the sink, where it is not made yet, and the calls that wait."""
        try:
            if self.inner is None:
                made = self._kind(*self._arguments)
                if self._opens:
                    made.open()
                self.inner = made
            while self._waiting:
                self._waiting[0][1](self.inner)
                self._waiting.popleft()
        except (OSError, UserError) as error:
            now = time.monotonic()
            if self._failing_since is None:
                self._failing_since = now
                name = self._kind.__name__
                log.warning("%s waits until it can write (%s); the training goes on", name, error)
            self._next_attempt = now + PAUSE
        else:
            if self._failing_since is not None:
                self._failing_since = None
                self._tell_recovery()

    def _tell_recovery(self) -> None:
        dropped = self.dropped_records + self.dropped_frames
        lost = f"; {dropped} older record(s) were dropped meanwhile" if dropped else ""
        self.dropped_records = self.dropped_frames = 0
        log.info("%s writes again%s", self._kind.__name__, lost)
