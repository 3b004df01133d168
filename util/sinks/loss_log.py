"""Writes losses as text: to the console, to `loss_log.txt` and as JSON lines to `loss_log.jsonl`.

Reads the records back, and removes those of lost steps when a run resumes.
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from ..files import MAX_LINE, LineFile, lines_from_end
from .curves import Curves
from .sink import LossRecord, Sink

log = logging.getLogger(__name__)

LOSS_LINE = re.compile(r"\(epoch: (\d{1,15}), iters: (\d{1,15}), .*\) .*")
HEADER = re.compile(r"=+ Training Loss \(.*\) =+")
MAX_READ = 20_000
"""Records of which curves are made, where a log has more."""


def loss_line(record: LossRecord) -> str:
    """Return `(epoch: 1, iters: 100, time: 0.210, data: 0.123) D_A: 0.512 G_A: 0.321`."""
    head = f"(epoch: {record.epoch}, iters: {record.iters}"
    times = f"time: {record.time:.3f}, data: {record.data:.3f})"
    losses = " ".join(f"{name}: {value:.3f}" for name, value in record.losses.items())
    return f"{head}, {times} {losses}"


class Console(Sink):
    """Logs losses to the console."""

    def losses(self, record: LossRecord) -> None:
        """Log one line."""
        log.info("%s", loss_line(record))


class LogFiles(Sink):
    """Writes `loss_log.txt`, which users' scripts read, and `loss_log.jsonl` in full digits.

    `start` (epoch, images of the epoch, images in all) is the position to which the logs of a run
    that resumes are cut back. Raises OSError or UserError where a file cannot be read or written;
    the same record may then be sent again.
    """

    def __init__(self, folder: Path, start: tuple[int, int, int] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if start is not None:
            rewind_logs(folder, *start)
        self.text = LineFile(folder / "loss_log.txt")
        self.lines = LineFile(folder / "loss_log.jsonl")
        self.text.append(f"================ Training Loss ({time.strftime('%c')}) ================")

    def losses(self, record: LossRecord) -> None:
        """Append a line to each file."""
        row = asdict(record)
        del row["seconds_left"]  # an estimate, of this moment alone
        self.text.append(f"{loss_line(record)} ")  # users' scripts expect a blank behind each loss
        self.lines.append(json.dumps(row))


def read_history(folder: Path, every: int = 1) -> Iterator[LossRecord]:
    """Yield the records in `loss_log.jsonl`, of each `every`-th line; damaged ones are skipped."""
    path = folder / "loss_log.jsonl"
    if not path.is_file():
        return
    with path.open("rb") as file:
        # not every line that a crash leaves has an end, and zeros can be gigabytes
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b"")):
            if number % every == 0:
                record = _parse_record(line.decode(errors="replace"))
                if record is not None:
                    yield record


def last_record(folder: Path) -> LossRecord | None:
    """Return the last record in `loss_log.jsonl` that is not damaged, or None."""
    path = folder / "loss_log.jsonl"
    lines = lines_from_end(path) if path.is_file() else ()
    records = (_parse_record(line.decode(errors="replace")) for _, line in lines)
    return next((record for record in records if record is not None), None)


def read_curves(folder: Path, end: float = math.inf) -> Curves:
    """Return the curves of a run up to `end` images, in a bounded time and memory.

    Of a log of more than 20,000 lines each second, fourth, eighth, ... line is read.
    """
    path, every = folder / "loss_log.jsonl", 1
    if path.is_file():
        with path.open("rb") as file:
            begin = file.read(MAX_LINE)
        lines = path.stat().st_size * (begin.count(b"\n") + 1) / max(1, len(begin))
        while lines > every * MAX_READ:
            every *= 2
    records = (record for record in read_history(folder, every) if record.total_iters <= end)
    return Curves(records, every=every)


def _parse_record(line: str) -> LossRecord | None:
    """Return the record of a line; None where it is none, or has values of wrong types."""
    try:
        record = LossRecord(**json.loads(line))
        counts = [record.epoch, record.iters, record.total_iters]
        counts += [record.epochs, record.epoch_images]
        speeds = (record.learning_rate, record.time, record.data, record.images_per_second)
        numbers = [*counts, *speeds, record.seconds_left, *record.losses.values()]
        valid = all(isinstance(count, int) for count in counts)
        valid = valid and all(isinstance(number, int | float) for number in numbers)
        _ = [float(number) for number in numbers]  # an integer of 400 digits is no number to draw
        return record if valid else None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def rewind_logs(folder: Path, epoch: int, iters: int, total_iters: int) -> None:
    """Remove the lines of later steps from the logs of a run that resumes at this position.

    What is not a line of a log is removed with them. Lines are in the order of the steps, so they
    are read from the end. Raises OSError where a file cannot be read or written.
    """

    def earlier_line(line: str) -> bool:
        match = LOSS_LINE.fullmatch(line)
        return match is not None and (int(match[1]), int(match[2])) <= (epoch, iters)

    def earlier_record(line: str) -> bool:
        record = _parse_record(line)
        return record is not None and record.total_iters <= total_iters

    _cut_behind(folder / "loss_log.txt", earlier_line)
    _cut_behind(folder / "loss_log.jsonl", earlier_record)


def _cut_behind(path: Path, is_earlier: Callable[[str], bool]) -> None:
    """Cut a file off behind the last line that `is_earlier`; headers stay."""
    if not path.is_file():
        return
    cut, headers = 0, b""
    for end, line in lines_from_end(path):
        text = line.decode(errors="replace")
        if is_earlier(text):
            cut = end
            break
        if HEADER.fullmatch(text):
            headers = line + b"\n" + headers
    if path.stat().st_size == cut + len(headers):  # nothing else follows
        return
    with path.open("rb+") as file:
        file.truncate(cut)
        file.seek(cut)
        file.write(headers)
