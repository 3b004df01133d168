"""util/sinks/background.py: the training never waits for a sink, and the queue is bounded."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from conftest import PATIENCE

from util.sinks.background import Background
from util.sinks.deliveries import MAX_FRAMES, MAX_RECORDS
from util.sinks.sink import ImageRecord, LossRecord, Sink


class Slow(Sink):
    """Hangs until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.points: list[int] = []
        self.frames: list[int] = []
        self.closed = False

    def open(self) -> None:
        self.go.wait(PATIENCE)

    def losses(self, record: LossRecord) -> None:
        self.points.append(record.total_iters)

    def images(self, record: ImageRecord) -> None:
        self.frames.append(record.epoch)

    def close(self) -> None:
        self.closed = True


def test_a_hanging_sink_costs_nothing_and_gets_all_points(point: Any, frame: Any) -> None:
    slow = Slow()
    sink = Background(slow)
    for step in range(1, 501):
        sink.losses(point(step))
        sink.images(frame(step))
        sink.saved()  # a notice that this sink does not use pushes no image out
    assert not slow.points and not slow.frames  # no call has waited for the sink
    slow.go.set()
    sink.close()
    assert slow.closed
    assert slow.points == list(range(1, 501))
    assert slow.frames == list(range(501 - MAX_FRAMES, 501))
    assert sink.dropped_frames == 500 - MAX_FRAMES


def test_points_are_bounded_too(point: Any) -> None:
    slow = Slow()
    sink = Background(slow)
    record = point(1)
    for _ in range(MAX_RECORDS + 50):
        sink.losses(record)
    slow.go.set()
    sink.close()
    assert len(slow.points) == MAX_RECORDS


def test_closing_has_an_end(point: Any) -> None:
    slow = Slow()
    sink = Background(slow, patience=0.2)
    sink.losses(point(1))
    sink.close()
    assert sink._thread is not None and sink._thread.is_alive()  # it hangs still
    assert not slow.closed
    slow.go.set()
    sink._thread.join(PATIENCE)
    assert slow.closed


def test_a_failure_is_logged_once_and_later_records_are_not_buffered(
    point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Slow):
        def open(self) -> None:
            raise OSError("no network")

    sink = Background(Broken())
    with caplog.at_level(logging.WARNING):
        sink.losses(point(1))
        assert sink._thread is not None
        sink._thread.join(PATIENCE)  # it has failed
        for step in range(2, 50):
            sink.losses(point(step))
        sink.close()
    assert len(caplog.records) == 1 and "Broken stopped (no network)" in caplog.text
    assert not sink._waiting


def test_the_thread_starts_with_the_first_record() -> None:
    sink = Background(Slow())
    sink.close()
    assert sink._thread is None


def test_a_failure_without_a_message_is_named_by_its_kind(
    point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Slow):
        def open(self) -> None:
            raise TimeoutError

    sink = Background(Broken())
    sink.losses(point(1))
    assert sink._thread is not None
    sink._thread.join(PATIENCE)
    assert "Broken stopped (TimeoutError)" in caplog.text
