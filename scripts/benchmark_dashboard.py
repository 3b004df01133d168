"""Measure what the dashboard costs a training step.

python scripts/benchmark_dashboard.py

Trains small networks in alternating blocks of steps: without a dashboard, with a server that works,
with one that is stopped (SIGSTOP), and with a port that never answers. A block is as long as the
time between two records of losses (``--freq``, as ``--print_freq`` of a training at batch size 1);
every fourth one sends images too, as by default. Prints the median block of each kind, as seconds
of a step, and the median of its ratios to the block without a dashboard of the same round. POSIX
only.
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

IMAGES_EVERY = 4
"""Blocks from one sending of images to the next: --display_freq 400 at --print_freq 100."""


def main(argv: list[str] | None = None) -> int:
    """Print the median seconds of a step for each kind of dashboard, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="blocks of each kind")
    parser.add_argument("--freq", type=int, default=100, help="steps of a block, one record each")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary, socket.socket() as silent:
        folder = Path(temporary)
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        live, stopped = start_server(folder / "a"), start_server(folder / "b")
        ports = {"live": live[1], "stopped": stopped[1], "silent": silent.getsockname()[1]}
        try:
            seconds = measure(args.rounds, args.freq, ports, folder, stopped[0].pid)
        finally:
            live[0].kill()
            stopped[0].kill()
    for kind, blocks in seconds.items():
        step = statistics.median(blocks) / args.freq
        ratio = statistics.median(a / b for a, b in zip(blocks, seconds["off"], strict=True))
        print(f"dashboard {kind:8} {1000 * step:7.1f} ms a step, {100 * (ratio - 1):+.2f} %")
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
    rounds: int, freq: int, ports: dict[str, int], folder: Path, server: int
) -> dict[str, list[float]]:
    """Return the seconds of the blocks of each kind; a first round, which warms up, is left out."""
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
    for number in range(rounds + 1):
        for kind, visualizer in shown.items():
            began = time.perf_counter()
            for place in range(freq):
                model.set_input({**images, "A_paths": [""], "B_paths": [""]})
                model.optimize_parameters()
                if place == 0:
                    step = 1 + number * freq
                    losses = model.get_current_losses()
                    visualizer.losses(LossRecord(1, step, step, losses, 2e-4, 0.1, 0.0, 9.0))
                    if number % IMAGES_EVERY == 0:
                        visuals = model.get_current_visuals()
                        visualizer.images(visuals, 1, step, store=False)
            if number > 0:
                seconds[kind].append(time.perf_counter() - began)
        if number == 0:
            os.kill(server, signal.SIGSTOP)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
