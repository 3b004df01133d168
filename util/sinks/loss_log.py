"""Writes losses as text: to the console, to `loss_log.txt` and as JSON lines to `loss_log.jsonl`.

Reads the records back, and removes those of lost steps when a run resumes.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from ..files import LineFile, write_text_atomically
from .sink import LossRecord, Sink

log = logging.getLogger(__name__)

LOSS_LINE = re.compile(r"\(epoch: (\d{1,15}), iters: (\d{1,15}), .*\) .*")
HEADER = re.compile(r"=+ Training Loss \(.*\) =+")


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
        self.text.append(loss_line(record))
        self.lines.append(json.dumps(asdict(record)))


def read_history(folder: Path) -> Iterator[LossRecord]:
    """Yield the records in `loss_log.jsonl` of a run; damaged lines are skipped."""
    path = folder / "loss_log.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            record = _parse_record(line)
            if record is not None:
                yield record


def _parse_record(line: str) -> LossRecord | None:
    """Return the record of a line; None where it is none, or has values of wrong types."""
    try:
        record = LossRecord(**json.loads(line))
        counts = (record.epoch, record.iters, record.total_iters)
        speeds = (record.learning_rate, record.time, record.data, record.images_per_second)
        numbers = [*counts, *speeds, *record.losses.values()]
        valid = all(isinstance(count, int) for count in counts)
        valid = valid and all(isinstance(number, int | float) for number in numbers)
        _ = [float(number) for number in numbers]  # an integer of 400 digits is no number to draw
        return record if valid else None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def rewind_logs(folder: Path, epoch: int, iters: int, total_iters: int) -> None:
    """Remove the lines of later steps from the logs of a run that resumes at this position.

    Half-written lines of `loss_log.txt` and `loss_log.jsonl` are removed too. Raises UserError
    where a file cannot be written.
    """

    def earlier_line(line: str) -> bool:
        match = LOSS_LINE.fullmatch(line)
        if match:
            return (int(match[1]), int(match[2])) <= (epoch, iters)
        return bool(HEADER.fullmatch(line))

    def earlier_record(line: str) -> bool:
        record = _parse_record(line)
        return record is not None and record.total_iters <= total_iters

    _filter(folder / "loss_log.txt", earlier_line)
    _filter(folder / "loss_log.jsonl", earlier_record)


def _filter(path: Path, is_retained: Callable[[str], bool]) -> None:
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")[:-1]  # what follows the last line end was cut off
    retained = "".join(f"{line}\n" for line in lines if is_retained(line))
    if retained != text:
        write_text_atomically(path, retained)
