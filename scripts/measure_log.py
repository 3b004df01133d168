"""Measure how long a run with a long loss log takes to resume its log, curves and gallery.

python scripts/measure_log.py [--records 500000]
"""

import argparse
import json
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch

from util.memory import peak_bytes
from util.sinks.loss_log import loss_line
from util.sinks.sink import LossRecord
from util.visualizer import Visualizer

LOSSES = ("D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B")
LOST = 100
"""Records after the last save, which are removed."""


def main(argv: list[str] | None = None) -> int:
    """Print seconds and MB of memory for opening the sinks of a resumed run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=500_000, help="lines of the loss log")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        (Path(folder) / "run").mkdir()
        write_logs(Path(folder) / "run", args.records)
        where: dict[str, Any] = {"checkpoints_dir": folder, "name": "run", "continue_train": True}
        off = {"display_id": 0, "use_tensorboard": False, "use_wandb": False}
        more = {"no_html": False, "display_winsize": 256, "batch_size": 1, "num_threads": 4}
        opt = Namespace(**where, **off, **more)
        before, began = peak_bytes(torch.device("cpu")), time.perf_counter()
        visualizer = Visualizer(opt)
        position = args.records - LOST
        visualizer.open((1, position, position))
        seconds = time.perf_counter() - began
        used = peak_bytes(torch.device("cpu")) - before
        lines = sum(1 for _ in (Path(folder) / "run" / "loss_log.jsonl").open("rb"))
        visualizer.close()
    print(f"{lines:,} records: {seconds:.2f} s, {used / 1e6:.0f} MB")
    return 0


def write_logs(folder: Path, records: int) -> None:
    """Write logs as a run of one epoch does."""
    header = "================ Training Loss (now) ================\n"
    with (folder / "loss_log.txt").open("w") as text, (folder / "loss_log.jsonl").open("w") as rows:
        text.write(header)
        for step in range(1, records + 1):
            losses = {name: (number + 1) / (step + 7) for number, name in enumerate(LOSSES)}
            record = LossRecord(1, step, step, losses, 2e-4, 0.2101, 0.0123, 4.6)
            text.write(loss_line(record) + "\n")
            rows.write(json.dumps(asdict(record)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
