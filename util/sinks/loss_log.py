"""The losses in text: on the console, in `loss_log.txt`, and as JSON lines beside it."""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path

from ..records import LossRecord
from .sink import Sink

log = logging.getLogger(__name__)


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
