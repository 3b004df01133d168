"""Measure the share of communication in a step of several processes on this machine.

Each process trains on random images, with Gloo on CPUs and NCCL on GPUs. Further flags of
01_train.py apply to all rows: --crop_size 64 --ngf 16 ... A step is that of the program, with the
agreement on stopping; each exchange between processes is preceded by a barrier, so that waiting
for a slower process and the exchange itself are measured apart.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COLLECTIVES = ("all_reduce", "all_gather", "broadcast")
Row = dict[str, float | str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `benchmark.py ranks`."""
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="a row for each")
    parser.add_argument("--rounds", type=int, default=5, help="measured steps of each row")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU, for each process")


def run(args: argparse.Namespace) -> list[Row]:
    """Return a row for each number of processes; efficiency is relative to the first row."""
    rows: list[Row] = []
    alone = 0.0
    for world in args.processes:
        facts = measure(world, args)
        step = facts["step"]
        alone = alone or step
        rows.append(
            {
                "processes": f"{world} x {facts['batch']}",
                "s/step": step,
                "exchange s": facts["exchange"],
                "waiting s": facts["waiting"],
                "exchange": f"{100 * facts['exchange'] / step:.2g} %",
                "MB/step": facts["bytes"] / 1e6,
                "images/s": world * facts["batch"] / step,
                "efficiency": f"{100 * alone / step:.0f} %",
            }
        )
    return rows


def measure(world: int, args: argparse.Namespace) -> dict[str, float]:
    """Return the medians of rank 0 among `world` processes; raises SystemExit where one fails."""
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    processes = []
    for rank in range(world):
        arguments = (other if rank == 0 else None, rank, world, store.port, args)
        processes.append(context.Process(target=steps, args=arguments))
        processes[-1].start()
    other.close()
    try:
        facts: dict[str, float] = pipe.recv()
    except EOFError:
        raise SystemExit(f"{world} processes: one has failed (see above)") from None
    for process in processes:
        process.join()
    return facts


def steps(
    pipe: Connection | None, rank: int, world: int, port: int, args: argparse.Namespace
) -> None:
    """Train in one process; rank 0 sends the medians."""
    import torch

    from util import ranks

    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "WORLD_SIZE": world}
    where |= {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world}
    where["TORCHELASTIC_USE_AGENT_STORE"] = True
    os.environ.update({name: str(value) for name, value in where.items()})
    torch.set_num_threads(args.threads)
    if args.device == "cuda":
        torch.cuda.set_device(rank)
    ranks.join(args.device == "cuda")
    model, batch = make_model(str(rank) if args.device == "cuda" else "-1", args.more)
    clock = Clock(model.device)
    for _ in range(2):
        clock.step(model, batch)
    measured = [clock.step(model, batch) for _ in range(args.rounds)]
    ranks.leave(together=True)
    if pipe is not None:
        facts = {key: statistics.median(step[key] for step in measured) for key in measured[0]}
        pipe.send({**facts, "batch": model.opt.batch_size})


def make_model(gpu: str, words: list[str]) -> tuple[Any, dict[str, Any]]:
    """Return the model that the flags describe, and a batch of random images."""
    import torch

    from models import create_model
    from options.train_options import TrainOptions

    torch.manual_seed(0)
    opt = TrainOptions().parse(["--dataroot", "unused", "--seed", "0", "--gpu_ids", gpu, *words])
    model = create_model(opt)
    model.setup(opt)
    shape = (opt.batch_size, opt.input_nc, opt.crop_size, opt.crop_size)
    images = {key: torch.rand(shape) * 2 - 1 for key in ("A", "B")}
    return model, {**images, **{f"{key}_paths": ["-"] * opt.batch_size for key in ("A", "B")}}


class Clock:
    """Measures a step, what it waits for other processes, and what it exchanges with them."""

    def __init__(self, device: Any) -> None:
        import torch.distributed as dist

        self.device = device
        self.barrier = dist.barrier
        self.seconds = {"exchange": 0.0, "waiting": 0.0, "bytes": 0.0}
        for name in COLLECTIVES:
            setattr(dist, name, self.measured(getattr(dist, name)))

    def now(self) -> float:
        """Return the time, once the device has computed all that it was given."""
        from benchmark_counts import synchronize

        synchronize(self.device)
        return time.perf_counter()

    def measured(self, collective: Any) -> Any:
        """Return a collective operation that is measured."""

        def call(first: Any, *rest: Any, **more: Any) -> Any:
            sent = first if not isinstance(first, list) else rest[0]
            self.seconds["bytes"] += sent.numel() * sent.element_size()
            began = self.now()
            self.barrier()
            met = self.now()
            result = collective(first, *rest, **more)
            self.seconds["waiting"] += met - began
            self.seconds["exchange"] += self.now() - met
            return result

        return call

    def step(self, model: Any, batch: dict[str, Any]) -> dict[str, float]:
        """Run a step; return its seconds, those of exchange and waiting, and the bytes given."""
        from util import ranks

        self.seconds.update(exchange=0.0, waiting=0.0, bytes=0.0)
        began = self.now()
        ranks.agree(None)
        model.set_input(batch)
        model.optimize_parameters()
        return {"step": self.now() - began, **self.seconds}
