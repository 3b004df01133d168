"""Logs and gallery outlast a disk that fails for a while: in order, nothing twice, nothing lost."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from util.errors import UserError
from util.html import HTML
from util.sinks import deliveries, retrying
from util.sinks.deliveries import MAX_FRAMES
from util.sinks.gallery import ROWS_PER_PAGE, Gallery
from util.sinks.loss_log import LogFiles
from util.sinks.retrying import Retrying
from util.sinks.sink import Sink
from util.sinks.tensorboard_sink import TensorBoard
from util.visualizer import Visualizer

FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


class Disk:
    """Lets writing below a folder fail: at once, in the middle of a line, or at a rename."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.fails, self.room = str(folder), False, 0
        open_, replace, write = Path.open, Path.replace, io.FileIO.write
        disk = self

        class LimitedFile(io.FileIO):
            def write(self, content: Any) -> int:
                if disk.room <= 0:
                    raise FULL
                part = bytes(content)[: disk.room]
                disk.room -= len(part)
                return write(self, part)

        def opened(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
            if not self.fails or not str(path).startswith(self.folder) or mode[0] == "r":
                return open_(path, mode, *more, **options)
            if self.room == 0:
                raise READ_ONLY
            return LimitedFile(str(path), mode.replace("b", ""))

        def replaced(path: Path, target: Path) -> Path:
            if self.fails:
                raise READ_ONLY
            return replace(path, target)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(Path, "replace", replaced)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    return Disk(tmp_path, monkeypatch)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.split(" (")[0] for record in caplog.records]


def steps(folder: Path) -> list[int]:
    lines = (folder / "loss_log.jsonl").read_text().splitlines()
    records = [json.loads(line)["total_iters"] for line in lines]
    text = (folder / "loss_log.txt").read_text()
    assert [int(n) for n in re.findall(r"iters: (\d+)", text)] == records
    assert text.count("=== Training Loss") == 1
    return records


@pytest.mark.parametrize("room", [0, 1, 100, 500], ids="{} bytes".format)
@pytest.mark.parametrize("begin", [1, 4])
def test_every_record_is_in_both_logs_once(
    begin: int, room: int, tmp_path: Path, point: Any, disk: Disk, caplog: Any
) -> None:
    """With 100 bytes left a line is cut off, with 500 the second log fails after the first."""
    caplog.set_level(logging.INFO)
    if begin == 1:  # already the folder's first file cannot be written
        disk.fails, disk.room = True, room
    sink = Retrying(LogFiles, tmp_path / "run")
    for step in range(1, 13):
        if step == begin:
            disk.fails, disk.room = True, room
        if step == 9:
            disk.fails = False
        sink.losses(point(step))
    sink.close()
    assert steps(tmp_path / "run") == list(range(1, 13))
    assert messages(caplog) == ["LogFiles waits until it can write", "LogFiles writes again"]


def test_the_gallery_has_every_page_and_every_epoch_that_fits_into_the_queue(
    tmp_path: Path, point: Any, frame: Any, sample: Any, disk: Disk
) -> None:
    sink, last = Retrying(Gallery, tmp_path, "exp", 64), 2 * ROWS_PER_PAGE + 3
    for epoch in range(1, last + 1):
        disk.fails = epoch > last - MAX_FRAMES + 1  # a page of older epochs is due meanwhile
        sink.losses(point(epoch))
        sink.images(frame(epoch))
    disk.fails = False
    sink.close()
    pages = [tmp_path / "web" / name for name in ("index.html", "older_0001.html")]
    shown = [re.findall(r"<h3>epoch (\d+)</h3>", page.read_text()) for page in pages]
    assert [int(n) for page in shown for n in page] == list(range(last, 0, -1))
    assert len(list((tmp_path / "web" / "images").glob("*_real_A.png"))) == last


def test_the_first_fixed_images_are_shown_once_the_disk_allows_it(
    tmp_path: Path, sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    sink, save, fails = Retrying(Gallery, tmp_path, "exp", 64), HTML.save, [FULL]

    def fail_once(page: HTML) -> None:
        if fails:
            raise fails.pop()
        save(page)

    monkeypatch.setattr(HTML, "save", fail_once)
    sink.samples(sample(1, store=False))
    sink.saved()
    sink.close()
    assert not fails and "epoch001" in (tmp_path / "web" / "index.html").read_text()


def test_tensorboard_goes_on_in_a_new_file(
    tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    files: list[Any] = []
    full = [False]

    class Writer:
        """As that of TensorBoard: once a write has failed, so do all later ones."""

        def __init__(self, folder: str, purge_step: int | None) -> None:
            self.purge_step, self.failed = purge_step, False
            self.queue: list[int] = []
            self.steps: list[int] = []
            files.append(self)

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.queue.append(step)

        def flush(self) -> None:
            self.failed = self.failed or full[0]
            if self.failed:
                raise FULL
            self.steps += sorted(set(self.queue))
            self.queue = []

        def close(self) -> None:
            self.flush()

    sink = Retrying(TensorBoard, tmp_path)
    assert isinstance(sink.inner, TensorBoard)
    sink.inner._make = Writer
    for step in range(1, 7):
        full[0] = step == 3
        sink.losses(point(step))
    sink.close()
    assert [(file.purge_step, file.steps) for file in files] == [(1, [1, 2]), (None, [3, 4, 5, 6])]
    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_what_waits_is_bounded_and_what_was_dropped_is_told(
    point: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.0)
    monkeypatch.setattr(deliveries, "MAX_RECORDS", 50)
    seen: list[int] = []

    class Counts(Sink):
        fails = True

        def losses(self, record: Any) -> None:
            if self.fails:
                raise UserError("no disk")
            seen.append(record.total_iters)

    caplog.set_level(logging.INFO)
    sink = Retrying(Counts)
    for step in range(55):
        sink.losses(point(step))
    Counts.fails = False
    sink.losses(point(55))
    assert seen == list(range(6, 56))
    assert caplog.messages[-1] == "Counts writes again; 6 older record(s) were dropped meanwhile"
    assert len(caplog.messages) == 2


def test_the_end_of_a_run_waits_for_the_disk_but_not_for_ever(
    tmp_path: Path, point: Any, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    sink = Retrying(LogFiles, tmp_path)
    disk.fails = True
    sink.losses(point(1))
    pauses: list[float] = []

    def recover(seconds: float) -> None:
        pauses.append(seconds)
        disk.fails = len(pauses) < 3

    monkeypatch.setattr(retrying.time, "sleep", recover)
    sink.close()
    assert len(pauses) == 3 and steps(tmp_path) == [1]
    monkeypatch.setattr(retrying, "PATIENCE", -1.0)
    disk.fails = True
    again = Retrying(LogFiles, tmp_path)
    again.losses(point(2))
    again.close()
    assert caplog.messages[-1] == "LogFiles: 1 record(s) could not be written"


def test_an_error_that_is_not_the_disks_still_leaves_a_sink_out(
    point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Sink):
        def losses(self, record: Any) -> None:
            raise KeyError("D_A")

    visualizer = Visualizer(Namespace(), [Retrying(Wrong)])
    visualizer.losses(point(1))
    visualizer.losses(point(2))
    visualizer.close()
    assert caplog.messages == ["Wrong stopped ('D_A'); the training is not affected"]


def test_lines_of_lost_steps_are_removed_once_the_disk_allows_it(
    tmp_path: Path, point: Any, disk: Disk
) -> None:
    first = Retrying(LogFiles, tmp_path)
    for step in (1, 2, 3):
        first.losses(point(step))
    first.close()
    disk.fails = True
    second = Retrying(LogFiles, tmp_path, (1, 2, 2))
    second.losses(point(3, learning_rate=1.0))
    disk.fails = False
    second.close()
    lines = [json.loads(x) for x in (tmp_path / "loss_log.jsonl").read_text().splitlines()]
    assert [(line["total_iters"], line["learning_rate"]) for line in lines] == [
        (1, 2e-4),
        (2, 2e-4),
        (3, 1.0),
    ]
