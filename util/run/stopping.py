"""Stop signals: a training saves first, inference closes its files, workers leave it to them."""

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import time
from types import FrameType, TracebackType

from .. import ranks

log = logging.getLogger(__name__)

FORWARDED = 5.0
"""Seconds within which a second signal is the same one: a cluster signals each process of a job,
and torchrun forwards what it gets."""
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGBREAK": 130, "SIGHUP": 129}
LOST_TERMINAL = "SIGHUP"
"""The signal of a terminal that was closed: shell and system send it, so that it comes twice."""


class StopRequest:
    """Turns the first SIGINT, SIGTERM, SIGHUP or Ctrl-Break into a request.

    A second one ends the process, except SIGHUP. What was started by nohup goes on at SIGHUP.
    Processes that train together stop at the same step, with the code of the one that was asked.
    """

    names: tuple[str, ...] = tuple(EXIT_CODES)

    def __init__(self) -> None:
        self._requested: int | None = None
        self._since = 0.0
        self._previous: dict[signal.Signals, object] = {}

    @property
    def exit_code(self) -> int | None:
        """The exit code where a stop was requested, with several processes once all know it."""
        return self._requested if ranks.world() == 1 else ranks.agreed_stop()

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may handle signals
        for name in self.names:
            if hasattr(signal, name) and not _started_by_nohup(name):
                number = signal.Signals[name]
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._is_first(number):
            return
        ranks.request_stop(EXIT_CODES[signal.Signals(number).name])
        if ranks.world() == 1:
            self._end_at_the_next()
        name = signal.Signals(number).name
        again = "" if name == LOST_TERMINAL else " (again to stop at once)"
        log.info("%s: finishing this step, then saving%s", name, again)

    def _is_first(self, number: int) -> bool:
        """Note the first signal; a later one that was not just forwarded ends the process."""
        if self._requested is not None:
            lost_terminal = signal.Signals(number).name == LOST_TERMINAL
            if time.monotonic() - self._since > FORWARDED and not lost_terminal:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return False
        self._requested = EXIT_CODES[signal.Signals(number).name]
        self._since = time.monotonic()
        return True

    def _end_at_the_next(self) -> None:
        """Let a further signal end the process at once, except SIGHUP."""
        for known in self._previous:
            ignored = known.name == LOST_TERMINAL
            signal.signal(known, signal.SIG_IGN if ignored else signal.SIG_DFL)


def _started_by_nohup(name: str) -> bool:
    return name == LOST_TERMINAL and signal.getsignal(signal.Signals[name]) is signal.SIG_IGN


class RaiseOnTerminate(StopRequest):
    """Raises SystemExit at SIGTERM, SIGHUP and Ctrl-Break, as Ctrl-C raises KeyboardInterrupt.

    Open files are closed in order then. A second signal ends the process at once.
    """

    names = ("SIGTERM", "SIGBREAK", "SIGHUP")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._end_at_the_next()
        name = signal.Signals(number).name
        log.info("%s: stopped", name)
        raise SystemExit(EXIT_CODES[name])


class RaiseOnStop(StopRequest):
    """Raises SystemExit at the first signal, for one of several processes: each may get it twice.

    While it is `held` the signal is only noted, as `requested`.
    """

    held = False

    @property
    def requested(self) -> int | None:
        """The exit code that the first signal asks for."""
        return self._requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_first(number) and not self.held:
            log.info("%s: stopped", signal.Signals(number).name)
            raise SystemExit(self._requested)


class WorkerStops:
    """The `worker_init_fn` of a DataLoader: only the main process decides when to stop.

    A cluster sends SIGTERM to every process of a job; a worker that obeyed it would break the
    current step. So workers ignore stop signals until the main process is about to end.
    """

    def __init__(self) -> None:
        self._ending = multiprocessing.RawValue("b", 0)
        # registered after multiprocessing's own hook, hence called before that ends the workers
        atexit.register(self._end)

    def _end(self) -> None:
        self._ending.value = 1

    def __call__(self, _worker: int) -> None:
        """Install the handlers; called in a worker when it starts."""
        for name in EXIT_CODES:
            if hasattr(signal, name):
                signal.signal(signal.Signals[name], self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._ending.value and number == signal.SIGTERM:
            os._exit(0)
