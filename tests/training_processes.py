"""Trainings in processes of their own, for the tests of resuming.

A module beside the tests, since a process cannot import `tests.test_resume` where another package
in the environment is named `tests` (that of torch-fidelity is).
"""

import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import torch


def train(argv: list[str]) -> int:
    """The real program, in this process."""
    return import_module("01_train").main(argv)


def child(argv: list[str], stop_after: int = 0, number: int = 0, die_at: int = 0) -> None:
    """The real program in a process of its own.

    It sends itself the signal `number` after a step, or SIGKILL at its `die_at`th access to a file.
    """
    torch.set_num_threads(1)
    if die_at:
        sys.addaudithook(killer(die_at))
    if stop_after:
        from util.run.health import Health

        watch, steps = Health.watch, iter(range(1, 10**6))

        def watch_and_stop(self: Any, *args: Any) -> None:
            watch(self, *args)
            if next(steps) == stop_after:
                os.kill(os.getpid(), number)

        Health.watch = watch_and_stop  # type: ignore[method-assign]
    from util.run.session import run_program

    sys.exit(run_program(lambda: train(argv)))


def killer(die_at: int) -> Any:
    """A hook that kills this process before the nth time that it writes or renames a file."""
    accesses = iter(range(1, 10**9))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        ours = not threading.current_thread().name.startswith("sink-")  # but the one that saves
        writes = event == "open" and str(args[1])[:1] in ("w", "a")
        if ours and (writes or event == "os.rename") and next(accesses) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def limited_child(argv: list[str], log: str, limit: int) -> None:
    """A training in which no file can grow beyond `limit` bytes."""
    import resource

    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        child(argv)
