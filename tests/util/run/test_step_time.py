"""The time of a step on a GPU is that of its own work; with a GPU whose clock the test sets."""

import time
from typing import Any

import pytest
import torch

from util.run.progress import Progress
from util.run.step_time import StepTime


class Gpu:
    """A queue of work; its clock shows seconds once it has done what is queued."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done_at, self.devices = 0.0, []
        gpu = self

        class Event:
            at: float | None = None
            synchronized = False

            def __init__(self, enable_timing: bool = False) -> None:
                assert enable_timing

            def record(self, stream: Any) -> None:
                assert stream == "stream"
                self.at, self.synchronized = gpu.done_at, False

            def synchronize(self) -> None:
                self.synchronized = True

            def elapsed_time(self, end: "Event") -> float:
                assert end.synchronized
                assert self.at is not None and end.at is not None
                return 1000 * (end.at - self.at)

        def current_stream(device: Any) -> str:
            self.devices.append(device)
            return "stream"

        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", current_stream)

    def queue(self, seconds: float) -> None:
        self.done_at += seconds


def test_work_of_earlier_steps_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, device = Gpu(monkeypatch), torch.device("cuda", 1)
    step = StepTime(device)
    for seconds in (0.5, 8, 0.25):  # the CPU waits for none of them before the last
        step.begin()
        gpu.queue(seconds)
    assert step.seconds() == pytest.approx(0.25)
    assert set(gpu.devices) == {device}


def test_the_log_has_that_time_for_an_image(
    train_opt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(monkeypatch)
    opt = train_opt("--batch_size", "2").replace(device=torch.device("cuda", 0))
    batches = [{"A_paths": ["a", "b"]}, {"A_paths": ["c", "d"]}]

    class Data:
        def __len__(self) -> int:
            return 4

        def batches(self, epoch: int, start: int = 0) -> Any:
            return iter(batches)

    progress = Progress(opt, Data(), bar=False)
    for seconds, _ in zip((100, 3), progress.batches(), strict=True):
        gpu.queue(seconds)
    assert progress.loss_record({}, 0.1).time == pytest.approx(1.5)


def test_on_the_cpu_the_clock_of_the_cpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    step = StepTime(torch.device("cpu"))
    step.begin()
    assert step.seconds() == 2.5
