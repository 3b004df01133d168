"""Measure what a hanging dashboard server costs a training step.

python scripts/benchmark_dashboard.py

Starts a visdom server, stops it with SIGSTOP, and trains small networks in alternating blocks of
steps, with the dashboard and without; prints the median step of both. POSIX only.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch

from models import create_model
from options.train_options import TrainOptions
from util.sinks.background import Background
from util.sinks.dashboard.client import VisdomClient
from util.sinks.dashboard.sink import Dashboard, DashboardSettings
from util.sinks.sink import LossRecord, Sink
from util.visualizer import Visualizer

BLOCK = 10


def main(argv: list[str] | None = None) -> int:
    """Print the median seconds of a step with and without the dashboard, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40, help="blocks of 10 steps, half of each")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        server, port = start_server(Path(folder))
        try:
            seconds = measure(args.blocks, port, Path(folder), server.pid)
        finally:
            server.kill()
    without, with_ = (statistics.median(seconds[name]) for name in ("without", "with"))
    print(f"step without dashboard {1000 * without:.1f} ms, with a stopped server ", end="")
    print(f"{1000 * with_:.1f} ms: {100 * (with_ / without - 1):+.2f} %")
    return 0


def start_server(folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a server on a free port; return its process and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["-port", str(port), "-bind_local", "-env_path", f"{folder}/"]
    command = [sys.executable, str(ROOT / "scripts/serve_visdom.py"), *flags]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = VisdomClient("http://localhost", port, "main", 3.0)
    while not client.answers():
        time.sleep(0.2)
    return server, port


def measure(blocks: int, port: int, folder: Path, server: int) -> dict[str, list[float]]:
    """Return the seconds of every step, with losses at each step and images at every tenth."""
    small = ["--netG", "resnet_6blocks", "--ngf", "16", "--ndf", "16", "--gpu_ids", "-1"]
    opt = TrainOptions().parse(["--dataroot", "unused", "--seed", "0", *small])
    model = create_model(opt)
    model.setup(opt)
    from util.sinks.curves import Curves

    settings = DashboardSettings("benchmark", "http://localhost", port)
    sinks: list[Sink] = [Background(Dashboard(settings, folder, Curves()))]
    shown = {"with": Visualizer(opt, sinks), "without": Visualizer(opt, [])}
    images = {key: torch.rand(1, 3, 64, 64) * 2 - 1 for key in ("A", "B")}
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for step in range(blocks * BLOCK):
        name = ("with", "without")[step // BLOCK % 2]
        if step == BLOCK:
            os.kill(server, signal.SIGSTOP)
        began = time.perf_counter()
        model.set_input({**images, "A_paths": [""], "B_paths": [""]})
        model.optimize_parameters()
        record = LossRecord(1, step, step, model.get_current_losses(), 2e-4, 0.1, 0.0, 9.0)
        shown[name].losses(record)
        if step % BLOCK == 0:
            shown[name].images(model.get_current_visuals(), 1, step, store=False)
        if step >= 2 * BLOCK:
            seconds[name].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
