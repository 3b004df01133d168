"""The losses in text: on the console, in `loss_log.txt`, and as JSON lines beside it.

What the files hold is read, and rewound where a run goes on, here too.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from ..files import write_text_atomically
from .sink import LossRecord, Sink

log = logging.getLogger(__name__)

LOSS_LINE = re.compile(r"\(epoch: (\d+), iters: (\d+), .*\) .*")
HEADER = re.compile(r"=+ Training Loss \(.*\) =+")


def loss_line(record: LossRecord) -> str:
    """`(epoch: 1, iters: 100, time: 0.210, data: 0.123) D_A: 0.512 G_A: 0.321`."""
    head = f"(epoch: {record.epoch}, iters: {record.iters}"
    times = f"time: {record.time:.3f}, data: {record.data:.3f})"
    losses = " ".join(f"{name}: {value:.3f}" for name, value in record.losses.items())
    return f"{head}, {times} {losses}"


class Console(Sink):
    """Losses as log messages."""

    def losses(self, record: LossRecord) -> None:
        """One line."""
        log.info("%s", loss_line(record))


class LogFiles(Sink):
    """`loss_log.txt` in the format that users' scripts read, `loss_log.jsonl` with full digits."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.text, self.lines = folder / "loss_log.txt", folder / "loss_log.jsonl"
        now = time.strftime("%c")
        self._append(self.text, f"================ Training Loss ({now}) ================")

    def losses(self, record: LossRecord) -> None:
        """A line in each file."""
        self._append(self.text, loss_line(record))
        self._append(self.lines, json.dumps(asdict(record)))

    @staticmethod
    def _append(path: Path, line: str) -> None:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line + "\n")


def read_history(folder: Path) -> Iterator[LossRecord]:
    """The records in `loss_log.jsonl` of a run; half-written lines of a crash are skipped."""
    path = folder / "loss_log.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield LossRecord(**json.loads(line))
            except (ValueError, TypeError):
                continue


def rewind_logs(folder: Path, epoch: int, iters: int, total_iters: int) -> None:
    """Take the logs of a run back to where it goes on, so that no line is there twice.

    Drops what `loss_log.txt` and `loss_log.jsonl` tell of later steps, and half-written lines.
    """

    def earlier_line(line: str) -> bool:
        match = LOSS_LINE.fullmatch(line)
        if match:
            return (int(match[1]), int(match[2])) <= (epoch, iters)
        return bool(HEADER.fullmatch(line))

    def earlier_record(line: str) -> bool:
        try:
            return json.loads(line)["total_iters"] <= total_iters
        except (ValueError, KeyError, TypeError):
            return False

    _filter(folder / "loss_log.txt", earlier_line)
    _filter(folder / "loss_log.jsonl", earlier_record)


def _filter(path: Path, keep: Callable[[str], bool]) -> None:
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")[:-1]  # what follows the last line end was cut off
    kept = "".join(f"{line}\n" for line in lines if keep(line))
    if kept != text:
        write_text_atomically(path, kept)
