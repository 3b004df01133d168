"""Measure what the dashboard costs a training step.

python scripts/benchmark_dashboard.py

Trains small networks in alternating blocks of steps: without a dashboard, with a server that works,
with one that is stopped (SIGSTOP), and with a port that never answers. Prints the median step of
each, and its ratio to the first. POSIX only.
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
from util.sinks.curves import Curves
from util.sinks.dashboard.client import VisdomClient
from util.sinks.dashboard.sink import Dashboard, DashboardSettings
from util.sinks.sink import LossRecord
from util.visualizer import Visualizer

BLOCK, SETTLING = 25, 5
"""Steps of a block, of which the first do not count: the thread of the block before may be busy."""


def main(argv: list[str] | None = None) -> int:
    """Print the median seconds of a step for each kind of dashboard, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="blocks of each kind")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary, socket.socket() as silent:
        folder = Path(temporary)
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        live, stopped = start_server(folder / "a"), start_server(folder / "b")
        ports = {"live": live[1], "stopped": stopped[1], "silent": silent.getsockname()[1]}
        try:
            seconds = measure(args.rounds, ports, folder, stopped[0].pid)
        finally:
            live[0].kill()
            stopped[0].kill()
    without = statistics.median(seconds["off"])
    for kind, steps in seconds.items():
        median = statistics.median(steps)
        more = 100 * (median / without - 1)
        print(f"dashboard {kind:8} {1000 * median:7.1f} ms a step, {more:+.2f} %")
    return 0


def start_server(folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a server on a free port; return its process and the port."""
    folder.mkdir()
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


def measure(
    rounds: int, ports: dict[str, int], folder: Path, server: int
) -> dict[str, list[float]]:
    """Return the seconds of the steps, with losses at each step and images at every 25th."""
    small = ["--netG", "resnet_6blocks", "--ngf", "16", "--ndf", "16", "--gpu_ids", "-1"]
    opt = TrainOptions().parse(["--dataroot", "unused", "--seed", "0", *small])
    model = create_model(opt)
    model.setup(opt)
    shown = {"off": Visualizer(opt, [])}
    for kind, port in ports.items():
        settings = DashboardSettings("benchmark", "http://127.0.0.1", port)
        shown[kind] = Visualizer(opt, [Background(Dashboard(settings, folder, Curves()))])
    images = {key: torch.rand(1, 3, 64, 64) * 2 - 1 for key in ("A", "B")}
    seconds: dict[str, list[float]] = {kind: [] for kind in shown}
    for step in range((rounds + 1) * BLOCK * len(shown)):  # the first round warms up
        number, place = step // BLOCK, step % BLOCK
        kind = list(shown)[number % len(shown)]
        if step == BLOCK * len(shown):
            os.kill(server, signal.SIGSTOP)
        began = time.perf_counter()
        model.set_input({**images, "A_paths": [""], "B_paths": [""]})
        model.optimize_parameters()
        record = LossRecord(1, step, step, model.get_current_losses(), 2e-4, 0.1, 0.0, 9.0)
        shown[kind].losses(record)
        if place == SETTLING:
            shown[kind].images(model.get_current_visuals(), 1, step, store=False)
        if number >= len(shown) and place >= SETTLING:
            seconds[kind].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
