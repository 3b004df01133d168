"""The figures of held-out images in text: on the console, and as JSON lines in `metrics.jsonl`."""

import json
import logging
import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..evaluation.figures import Figure
from ..evaluation.report import number, plain_figure
from ..files import LineFile, write_text_atomically
from .sink import MetricsRecord, Sink

log = logging.getLogger(__name__)

FILE_NAME = "metrics.jsonl"


class MetricsLog(Sink):
    """A line for each epoch and direction.

    The lines of `start_epoch`, in which a run resumes, and of later epochs are dropped first.
    """

    def __init__(self, folder: Path, start_epoch: int | None = None) -> None:
        if start_epoch is not None:
            rewind_metrics(folder, start_epoch)
        self.file = LineFile(folder / FILE_NAME)

    def metrics(self, record: MetricsRecord) -> None:
        """Append the lines to the file and log them."""
        self.file.append(*(json.dumps(row) for row in _rows(record)))
        for line in metrics_lines(record):
            log.info("%s", line)


def metrics_lines(record: MetricsRecord) -> list[str]:
    """`(epoch: 5, G_A) KID: 0.0312, FID: 101.2; best epoch: 5`, and the time that it took."""
    lines = []
    for network, row in record.figures.items():
        figures = ", ".join(f"{title}: {number(figure.value)}" for title, figure in row.items())
        best = f"; best epoch: {record.best[network]}" if network in record.best else ""
        lines.append(f"(epoch: {record.epoch}, {network}) {figures}{best}")
    return [*lines, f"evaluated in {record.seconds:.1f} s; {record.share:.1%} of the time so far"]


def read_metrics(folder: Path) -> Iterator[MetricsRecord]:
    """Yield the records in `metrics.jsonl` of a run; half-written lines of a crash are skipped."""
    epochs: dict[int, list[MetricsRecord]] = {}
    for line in _lines(folder / FILE_NAME):
        try:
            row = _parse_row(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        epochs.setdefault(row.epoch, []).append(row)
    for rows in epochs.values():
        figures = {network: figures for row in rows for network, figures in row.figures.items()}
        best = {network: epoch for row in rows for network, epoch in row.best.items()}
        yield replace(rows[0], figures=figures, best=best)


def _parse_row(line: str) -> MetricsRecord:
    """Return the figures of one direction. Raises ValueError, TypeError, ... for other lines."""
    row = json.loads(line)
    network, best = row["network"], row["best_epoch"]
    figures = {title: _figure(values) for title, values in row["figures"].items()}
    return MetricsRecord(
        epoch=operator.index(row["epoch"]),
        total_iters=operator.index(row["total_iters"]),
        figures={network: figures},
        best={network: best} if best else {},
        seconds=float(row["seconds"]),
        share=float(row["share"]),
    )


def rewind_metrics(folder: Path, epoch: int) -> None:
    """Drop the lines of `epoch` and later ones, which a run that resumes in it measures again."""

    def is_earlier(line: str) -> bool:
        try:
            return bool(json.loads(line)["epoch"] < epoch)
        except (ValueError, KeyError, TypeError, RecursionError):
            return False

    path = folder / FILE_NAME
    lines = _lines(path)
    retained = [line for line in lines if is_earlier(line)]
    if retained != lines:
        write_text_atomically(path, "".join(f"{line}\n" for line in retained))


def _rows(record: MetricsRecord) -> Iterator[dict[str, Any]]:
    for network, row in record.figures.items():
        yield {
            "epoch": record.epoch,
            "total_iters": record.total_iters,
            "network": network,
            "figures": {title: plain_figure(figure) for title, figure in row.items()},
            "best_epoch": record.best.get(network),
            "seconds": record.seconds,
            "share": record.share,
        }


def _figure(values: dict[str, Any]) -> Figure:
    """The inverse of `plain_figure`: a value that is None was the PSNR of equal images."""
    value = math.inf if values["value"] is None else values["value"]
    return Figure(values["metric"], float(value), values["protocol"], values.get("spread"))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
