"""Killed worker processes: nothing trained is lost, and no step is half done."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, wait_for

from util.checkpoints.training_state import read_state
from util.errors import DataError
from util.run import dead_workers
from util.run.dead_workers import DeadWorkerError, fetching
from util.run.health import Health
from util.run.session import run_program

FLAGS = [*TINY, "--num_threads", "2", "--n_epochs", "2", "--n_epochs_decay", "0", "--no_html"]
FLAGS += ["--print_freq", "1000", "--display_freq", "1000"]
posix = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
one_core = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")


@pytest.mark.parametrize(
    ("message", "how"),
    [
        ("DataLoader worker (pid 12) is killed by signal: Killed. ", "was killed (signal: Killed)"),
        ("DataLoader worker (pid(s) 12, 13) exited unexpectedly", "ended unexpectedly"),
        (
            "DataLoader worker (pid 12) exited unexpectedly with exit code 1. Details are lost",
            "ended unexpectedly",
        ),
    ],
)
def test_a_dead_worker_is_one_line_with_the_remedy(message: str, how: str) -> None:
    with pytest.raises(DataError) as caught, fetching():
        raise RuntimeError(message)
    text = str(caught.value)
    assert text.startswith(f"a process that loads images {how}, often because")
    assert "--num_threads" in text


def test_a_worker_that_died_of_a_full_shared_memory_names_it() -> None:
    message = (
        "DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that "
        "dataloader's workers are out of shared memory."
    )
    with pytest.raises(DataError) as caught, fetching():
        raise RuntimeError(message)
    for words in ("signal: Bus error", "/dev/shm", "--shm-size 2g", "--num_threads 0"):
        assert words in str(caught.value)


def test_errors_of_other_origin_are_not_taken_for_a_dead_worker() -> None:
    with pytest.raises(RuntimeError, match="shapes"), fetching():
        raise RuntimeError("shapes do not fit")


class Numbers(torch.utils.data.Dataset[int]):
    """0, 1, 2, ..."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> int:
        return index


@posix
def test_a_death_between_two_batches_is_raised_when_the_next_one_is_fetched() -> None:
    """Not from the handler of a signal, in whichever line the training is then."""
    handled = signal.getsignal(signal.SIGCHLD)
    before = multiprocessing.active_children()
    with fetching():
        batches: Iterator[Any] = iter(torch.utils.data.DataLoader(Numbers(), num_workers=1))
    assert signal.getsignal(signal.SIGCHLD) != handled or handled != signal.SIG_DFL
    (worker,) = set(multiprocessing.active_children()) - set(before)
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: dead_workers._handler.death is not None)  # that of torch would raise here
    with pytest.raises(DeadWorkerError, match="signal: Killed"), fetching():
        pytest.fail("the death was known before")
    with fetching():  # told once
        pass
    del batches


@pytest.fixture
def kill_workers_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """kill_workers_after(3): kill all of them within the third step that this process computes."""
    monkeypatch.setattr("data.loader.cpu_cores", lambda: 2)
    watch, steps = Health.watch, iter(range(1, 10**6))

    def make(*when: int) -> None:
        def watch_and_kill(self: Health, *step: Any) -> None:
            watch(self, *step)
            if next(steps) in when:
                workers = multiprocessing.active_children()
                assert workers
                for worker in workers:
                    os.kill(worker.pid, signal.SIGKILL)
                wait_for(lambda: dead_workers._handler.death is not None)

        monkeypatch.setattr(Health, "watch", watch_and_kill)

    return make


def train(pictures: Path, name: str, *words: str) -> int:
    where = ["--dataroot", str(pictures), "--checkpoints_dir", str(pictures.parent / "runs")]
    argv = [*where, "--name", name, *FLAGS, *words]
    return run_program(lambda: import_module("01_train").main(argv))


def state(pictures: Path, name: str) -> dict[str, Any]:
    return read_state(pictures.parent / "runs" / name / "training_state.pth")


@posix
@one_core
def test_a_training_goes_on_with_fewer_workers_then_saves_and_ends(
    pictures: Path, kill_workers_after: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(pictures, "whole", "--num_threads", "0") == 0
    capsys.readouterr()
    kill_workers_after(3, 7)  # in the first epoch and in the second
    assert train(pictures, "killed") == 1
    out, err = capsys.readouterr()
    assert "was killed (signal: Killed), often because the memory of the machine ran out" in out
    assert out.count(": going on with --num_threads 1 instead of 2\n") == 1
    assert out.endswith("saved; the same command with --continue_train resumes from here\n")
    assert err.count("\n") == 1 and "give a smaller --num_threads" in err
    assert state(pictures, "killed")["progress"]["total_iters"] == 7
    assert train(pictures, "killed", "--continue_train", "--num_threads", "0") == 0
    whole, killed = state(pictures, "whole"), state(pictures, "killed")
    assert whole["progress"] == killed["progress"]
    for name, weights in whole["model"]["networks"].items():
        for key, value in weights.items():
            assert torch.equal(value, killed["model"]["networks"][name][key]), (name, key)


@posix
@one_core
def test_the_state_is_saved_before_workers_start_again(
    pictures: Path, kill_workers_after: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As starting them may be what the memory does not suffice for."""
    from data.loader import CustomDatasetDataLoader

    saved: list[int] = []
    batches = CustomDatasetDataLoader.batches

    def watched(self: Any, epoch: int, start: int = 0) -> Any:
        if start:
            saved.append(state(pictures, "run")["progress"]["total_iters"])
        return batches(self, epoch, start)

    monkeypatch.setattr(CustomDatasetDataLoader, "batches", watched)
    kill_workers_after(3)
    assert train(pictures, "run", "--n_epochs", "1") == 0
    assert saved == [3]
