"""Stopping on request: the step in hand is finished and saved first."""

import logging
import signal
import threading
from types import FrameType, TracebackType

log = logging.getLogger(__name__)

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGBREAK": 130}


class StopRequest:
    """Turns the first SIGINT, SIGTERM or Ctrl-Break into a request; a second stops at once."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._former: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may take signals
        for name in EXIT_CODES:
            if hasattr(signal, name):
                number = signal.Signals[name]
                self._former[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _take(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        self.exit_code = EXIT_CODES[name]
        for known in self._former:
            signal.signal(known, signal.SIG_DFL)
        log.info("%s: finishing this step, then saving (again to stop at once)", name)


def ignore_stops(_worker: int = 0) -> None:
    """For worker processes: the main process decides when to stop."""
    for name in EXIT_CODES:
        if hasattr(signal, name):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
