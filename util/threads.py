"""Calls in other threads, with a bound on how many wait."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def cpu_cores() -> int:
    """Return how many CPU cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """Calls functions in `threads` threads; at most `ahead` calls wait or run at any time.

    As a context manager it waits for all calls at the end. When the block is left by an exception,
    calls that have not begun are dropped, and running ones are finished.
    """

    def __init__(self, threads: int = 2, ahead: int = 8) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._calls: deque[Future[Any]] = deque()
        self._ahead = ahead

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function(*arguments)` in a thread. Raises what an earlier call has raised."""
        while len(self._calls) >= self._ahead:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(function, *arguments))

    def finish(self) -> None:
        """Wait for all calls. Raises what one of them has raised."""
        while self._calls:
            self._calls.popleft().result()

    def __enter__(self) -> "Threads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._pool.shutdown(cancel_futures=True)


def in_threads(
    function: Callable[[Key], Value],
    keys: Iterable[Key],
    ahead: Callable[[], int],
    threads: int = 2,
) -> Iterator[Value]:
    """Yield `map(function, keys)` in order, computed by threads up to `ahead()` keys ahead.

    `ahead` is called again for each key. With 0 threads each value is computed when it is needed.
    """
    if threads == 0:
        yield from map(function, keys)
        return
    pool = ThreadPoolExecutor(threads)
    calls: deque[Future[Value]] = deque()
    try:
        for key in keys:
            calls.append(pool.submit(function, key))
            while len(calls) > ahead():
                yield calls.popleft().result()
        while calls:
            yield calls.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
