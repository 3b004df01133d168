"""The end of an inference, to which the processes that share its images come together."""

from collections.abc import Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, Protocol, TypeVar

from .. import ranks, sharing
from ..errors import UsageError, UserError
from ..results.results import Results
from .launch import SAME_IMAGES, check_alike, images_of
from .stopping import RaiseOnStop, RaiseOnTerminate

Batch = TypeVar("Batch")

STOP = "stop"
"""The message that all processes are to stop, with an exit code."""


class Images(Protocol):
    """What inference translates."""

    failures: list[str]


class EndTogether:
    """Has the processes that share an inference end together; a context manager around `results`.

    A process that fails or gets a stop signal has the others stop after their batch. All wait for
    the last one, rank 0 then shows the results of all, and they end with one exit code. One process
    alone raises SystemExit at SIGTERM. Raises UserError where machines have other `images`.
    """

    def __init__(self, results: Results, images: Images) -> None:
        self.results, self.images = results, images
        self.stop = RaiseOnStop() if ranks.world() > 1 else RaiseOnTerminate()
        dataset = getattr(images, "dataset", None)
        self.working = 1 if dataset is None else ranks.world()
        """How many processes translate: a video is one file, hence of one process."""
        if self.working > 1:
            check_alike(images_of(dataset), SAME_IMAGES)

    @property
    def processes(self) -> str:
        """The text ` on 2 of 2 processes` for the console, empty for one."""
        if ranks.world() == 1:
            return ""
        return f" on {self.working} of {ranks.world()} processes"

    def until_stopped(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches until another process stops; raises SystemExit then."""
        for batch in batches:
            if code := sharing.message(STOP):
                raise SystemExit(int(code))
            yield batch

    def __enter__(self) -> "EndTogether":
        self.stop.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(self.stop, RaiseOnStop):
                self._meet(self.stop, error)
        finally:
            self.stop.__exit__(kind, error, trace)

    def _meet(self, stop: RaiseOnStop, error: BaseException | None) -> None:
        """Wait for the others, gather their results, and raise what ends them."""
        stop.held = True

        def tell() -> None:
            if code := _exit_code(error) or stop.requested:
                sharing.leave_message(STOP, str(code))

        try:
            tell()
            ranks.patient_barrier(tell)
            everyones = ranks.gather_objects(
                (
                    _exit_code(error) or stop.requested,
                    (self.results.rows, self.results.failures, self.images.failures),
                )
            )
        except (UserError, RuntimeError):  # one has died: rank 0 shows its own results
            if error is not None:
                return
            self.results.interrupted()
            raise
        code = next((code for code, _ in everyones if code), None)
        self._take([found for _, found in everyones], stopped=code is not None)
        if code is not None and error is None:
            raise SystemExit(code)

    def _take(self, everyones: list[Any], stopped: bool) -> None:
        """Give rank 0 the results of all; the others wait until it has shown them, if `stopped`."""
        if ranks.is_main():
            rows, failures, unread = zip(*everyones, strict=True)
            self.results.take([*chain(*rows)], [*chain(*failures)])
            self.images.failures[:] = chain(*unread)
            if stopped:
                self.results.interrupted()
        ranks.from_main(None)


def _exit_code(error: BaseException | None) -> int | None:
    """Return the exit code of a process that ends with an error, None without one."""
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return 130
    return None if error is None else 2 if isinstance(error, UsageError) else 1
