"""Taking the logs of a run back to where it goes on, so that no line is there twice."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from .files import write_text_atomically

LOSS_LINE = re.compile(r"\(epoch: (\d+), iters: (\d+), .*\) .*")
HEADER = re.compile(r"=+ Training Loss \(.*\) =+")


def rewind_logs(folder: Path, epoch: int, iters: int, total_iters: int) -> None:
    """Drop what `loss_log.txt` and `loss_log.jsonl` tell of later steps, and half-written lines."""

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
