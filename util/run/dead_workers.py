"""Worker processes that die while they load images, as where the system is short of memory.

torch raises their death as a RuntimeError wherever the main process happens to be, by a handler of
SIGCHLD. In the middle of a training step that would leave weights of two steps, so the error is
put off until the next batch is fetched, between two steps.
"""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch.utils.data

from ..errors import DataError
from ..memory import SHARED_MEMORY_IS_FULL

DEATH = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) "
    r"(?:is killed by signal: (?P<signal>[\w ]+)|exited unexpectedly)"
)
"""How torch.utils.data says that a worker process is gone."""


class DeadWorkerError(DataError):
    """A process that loads images has died; `how` says how, as the end of a sentence."""

    def __init__(self, how: str, remedy: str) -> None:
        super().__init__(f"a process that loads images {how}{remedy}")
        self.how = how


class _Handler:
    """The handler of SIGCHLD: calls that of torch, and keeps its error until a batch is fetched."""

    def __init__(self) -> None:
        self.fetching = False
        self.death: RuntimeError | None = None
        self._torchs: Any = None

    def install(self) -> None:
        """Take the place of torch's handler, which the first workers install."""
        if not hasattr(signal, "SIGCHLD"):  # Windows
            return
        if threading.current_thread() is not threading.main_thread():
            return
        current = signal.getsignal(signal.SIGCHLD)
        if callable(current) and current != self._handle:
            self._torchs = current
            signal.signal(signal.SIGCHLD, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        try:
            self._torchs(number, frame)
        except RuntimeError as error:
            if self.fetching:  # a worker that died while it was sending would be waited for
                raise
            self.death = error


_handler = _Handler()


@contextmanager
def fetching() -> Iterator[None]:
    """Raise DeadWorkerError where a worker dies in the block, or has died since the last one.

    The block starts workers or fetches a batch.
    """
    _handler.fetching = True
    try:
        death, _handler.death = _handler.death, None
        if death is not None:
            raise death
        yield
        _handler.install()
    except RuntimeError as error:
        match = DEATH.match(str(error))
        if not match:
            raise
        raise _described(match["signal"]) from error
    finally:
        _handler.fetching = False


def end_workers(loader: "torch.utils.data.DataLoader[Any]") -> None:
    """End the workers that a loader has left at once, as the memory may be short."""
    iterator: Any = loader._iterator
    if iterator is not None:
        iterator._shutdown_workers()
    _handler.death = None  # of another one of them


def _described(signal_name: str | None) -> DeadWorkerError:
    how = f"was killed (signal: {signal_name})" if signal_name else "ended unexpectedly"
    if signal_name == "Bus error":  # it wrote to memory that the system did not have
        return DeadWorkerError(how, f": {SHARED_MEMORY_IS_FULL}")
    return DeadWorkerError(
        f"{how}, often because the memory of the machine ran out",
        ": give a smaller --num_threads (0: no such processes)",
    )
