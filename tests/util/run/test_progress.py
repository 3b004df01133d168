"""What a training says of its course: a line for each epoch, rates since the last record."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pytest

from util.durations import duration
from util.run import progress as progress_module
from util.run import speed as speed_module
from util.run.progress import Progress

IMAGES = 4


class Data:
    """Four images in an epoch, in batches of one."""

    @property
    def dataset(self) -> Data:
        return self

    def __len__(self) -> int:
        return IMAGES

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        for number in range(start, IMAGES):
            yield {"A_paths": [f"{number}.png"]}


class Clock:
    """Stands for the clock, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    monkeypatch.setattr(speed_module, "time", clock)
    return clock


def make(epochs: int = 3, **more: Any) -> Progress:
    opt = Namespace(epoch_count=1, n_epochs=epochs, n_epochs_decay=0, batch_size=1, seed=0)
    return Progress(opt, Data(), **more)


def test_an_epoch_ends_with_its_time_its_speed_and_what_is_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = make()
    with caplog.at_level(logging.INFO):
        for _ in progress.epochs():
            for _ in progress.batches():
                clock.now += 30.0
            progress.end_epoch()
    assert [record.message for record in caplog.records] == [
        "End of epoch 1 / 3 (2 min, 0.0333 images/s, 4 min left)",
        "End of epoch 2 / 3 (2 min, 0.0333 images/s, 2 min left)",
        "End of epoch 3 / 3 (2 min, 0.0333 images/s)",
    ]


def test_a_script_has_lines_of_its_own(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = make(visible=False)
    with caplog.at_level(logging.INFO):
        list(progress.batches())
        progress.end_epoch()
    assert not caplog.records


def test_rates_are_those_since_the_last_record(clock: Clock) -> None:
    progress = make(epochs=1)
    records = []
    for number, _ in enumerate(progress.batches()):
        clock.now += (50.0, 2.0, 2.0, 3.0)[number]  # the first step of a run is slow
        if number in (0, 2, 3):
            records.append(progress.loss_record({}, 0.1))
            clock.now += 1000.0  # saving and showing images are no step
    assert [record.time for record in records] == [50.0, 2.0, 3.0]
    assert [record.images_per_second for record in records] == [1 / 50, 1 / 2, 1 / 3]
    assert [record.data for record in records] == [0.0, 0.0, 0.0]
    assert (records[-1].epochs, records[-1].epoch_images) == (1, IMAGES)


def test_evaluating_between_epochs_slows_no_step_and_counts_in_what_is_left(clock: Clock) -> None:
    progress = make(epochs=2)
    epochs = progress.epochs()
    next(epochs)
    for _ in progress.batches():
        clock.now += 1.0
    progress.end_epoch()
    clock.now += 10.0
    next(epochs)
    batches = progress.batches()
    next(batches)
    clock.now += 1.0
    record = progress.loss_record({}, 0.1)
    assert record.time == 1.0
    # 14 s for the four images after the first step, three to go
    assert record.seconds_left == pytest.approx(14.0 / 4 * 3)


@pytest.mark.parametrize(
    ("frequency", "shown"), [(100, [1, 8]), (3, [1, 3, 6, 8]), (1, list(range(1, 9)))]
)
def test_the_first_and_the_last_step_of_a_run_are_shown(frequency: int, shown: list[int]) -> None:
    progress = make(epochs=2)
    found = []
    for _ in progress.epochs():
        found += [progress.total_iters for _ in progress.batches() if progress.shown(frequency)]
        progress.end_epoch()
    assert found == shown


def test_a_resumed_run_shows_no_step_that_the_whole_run_does_not_show() -> None:
    progress = make(epochs=2)
    position = {"epoch": 1, "epoch_iters": 2, "total_iters": 2, "total_steps": 2}
    progress.resume(progress.state() | position)
    assert [progress.shown(100) for _ in progress.batches()] == [False, False]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (86400 * 1.5, "36 h 0 min"),
        (86400 * 2 + 3600, "2 d 1 h"),
    ],
)
def test_times_as_a_person_says_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
