"""Work for other threads, in bounded numbers."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def cpu_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """Calls functions in other threads; at most `ahead` calls wait or run at any time.

    As a context manager it waits for all calls at the end. When the block is left by an exception,
    calls that have not begun are dropped, and those under way are finished.
    """

    def __init__(self, threads: int = 2, ahead: int = 8) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._calls: deque[Future[Any]] = deque()
        self._ahead = ahead

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function(*arguments)` some time. Raises what an earlier call has raised."""
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
    """`map(function, keys)` in the same order, computed up to `ahead()` keys ahead by threads.

    `ahead` is asked before each key is taken. Without `threads` each value is computed when it is
    asked for.
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
