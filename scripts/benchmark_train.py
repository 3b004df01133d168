"""Measure training steps on random images, each variant in a process of its own.

Further flags of 01_train.py apply to all variants: --crop_size 512 --ngf 32 ... The plain variant
is float32 in separate passes, with PyTorch's own layers and without fused Adam.
"""

import argparse
import contextlib
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

PLAIN = "plain"
WAYS: dict[str, list[str]] = {
    PLAIN: ["--precision", "fp32", "--separate_passes"],
    "fp32": ["--precision", "fp32"],
    "bf16": ["--precision", "bf16"],
    "bf16 + compile": ["--precision", "bf16", "--compile"],
    "fp32 + checkpoint": ["--precision", "fp32", "--grad_checkpoint"],
}
GPU_WAYS = {
    "tf32": ["--precision", "tf32"],
    "fp16": ["--precision", "fp16"],
    "bf16 + CUDA graphs": ["--precision", "bf16", "--compile", "reduce-overhead"],
}
CONVOLUTIONS = "convolutions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `benchmark.py train`."""
    every = [*WAYS, *GPU_WAYS]
    parser.add_argument("--ways", nargs="+", choices=every, help="which rows; the plain one always")
    parser.add_argument("--rounds", type=int, default=3, help="measured steps of each way")
    parser.add_argument("--device", default="", help="cpu, cuda, cuda:1; not given: a GPU if any")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: as PyTorch does")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print the milliseconds of each kind of operation of 3 steps instead",
    )


def run(args: argparse.Namespace) -> list[dict[str, float | str]]:
    """Return a row for each variant: seconds, images, operations and memory of a step."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # silences the profiler
    where = ["--gpu_ids", gpu_ids(args.device)]
    ways = {**WAYS, **({} if where[1] == "-1" else GPU_WAYS)}
    chosen = {name: ways[name] for name in ways if name == PLAIN or name in (args.ways or ways)}
    words = {name: [*where, *way, *args.more] for name, way in chosen.items()}
    if args.profile:
        os.environ["TORCHINDUCTOR_CPP_ENABLE_KERNEL_PROFILE"] = "1"  # names compiled kernels
        return [profile_row(name, words[name], args.threads) for name in chosen]
    workers = {name: Worker(name, words[name], args.threads) for name in words}
    workers[CONVOLUTIONS] = Worker(CONVOLUTIONS, words[PLAIN], args.threads)
    try:
        facts = {name: worker.ask("prepare") for name, worker in workers.items()}
        for _ in range(args.rounds):
            for worker in workers.values():
                worker.seconds.append(worker.ask("step"))
        for name, worker in workers.items():
            facts[name].update(worker.ask("finish"))
    finally:
        for worker in workers.values():
            worker.end()
    rates = {
        kind: statistics.median(one[kind] for one in workers[CONVOLUTIONS].seconds)
        for kind in ("float32", "half")
    }
    return [row(name, workers, facts, rates) for name in chosen]


def profile_row(name: str, words: list[str], threads: int) -> dict[str, float | str]:
    """Return the milliseconds of a step of a variant by kinds of operations."""
    worker = Worker(name, words, threads)
    try:
        worker.ask("prepare")
        return {"way": name, **worker.ask("profile")}
    finally:
        worker.end()


def row(
    name: str, workers: dict[str, "Worker"], facts: dict[str, dict[str, Any]], rates: dict[str, Any]
) -> dict[str, float | str]:
    """Return what is printed of a variant; ratios are to the plain variant."""
    medians = {key: statistics.median(workers[key].seconds) for key in (PLAIN, name)}
    own, plain = facts[name], facts[PLAIN]
    speed = plain["flop"] / medians[name] / 1e12
    rate = rates["half" if own["half"] else "float32"] / 1e12
    shown: dict[str, float | str] = {
        "way": name,
        "s/step": medians[name],
        "images/s": own["batch"] / medians[name],
        "speed": f"{medians[PLAIN] / medians[name]:.2f}x",
        "TFLOP/s": speed,
        "of conv rate": f"{100 * speed / rate:.0f} %",
        "peak GB": own["peak"] / 1e9,
        "memory": f"{own['peak'] / plain['peak']:.2f}x",
    }
    shown["operations"] = own["operations"]
    shown["of plain"] = f"{own['operations'] / plain['operations']:.2f}x"
    for key in ("launches", "GPU idle"):
        if key in own:
            shown[key] = own[key]
    shown["first step s"] = own["first"]
    return shown


def gpu_ids(device: str) -> str:
    """Return `--device` as a value of `--gpu_ids`."""
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return "-1" if device == "cpu" else device.partition(":")[2] or "0"


class Worker:
    """A process that computes one variant on request."""

    def __init__(self, name: str, words: list[str], threads: int) -> None:
        self.seconds: list[Any] = []
        self.name = name
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=answer, args=(other, name, words, threads))
        self.process.daemon = True
        self.process.start()
        other.close()

    def ask(self, what: str) -> Any:
        """Let the process run `prepare`, `step`, `finish` or `profile`; return its result.

        Raises SystemExit where the process has ended.
        """
        print(f"\r{self.name}: {what} ...".ljust(40), end="\r", file=sys.stderr, flush=True)
        try:
            self.pipe.send(what)
            return self.pipe.recv()
        except (EOFError, OSError):
            raise SystemExit(f"{self.name}: the process ended (see above)") from None

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(10)


def answer(pipe: Connection, name: str, words: list[str], threads: int) -> None:
    """Run the requests that come through the pipe until it is closed."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    way: Steps | Convolutions = (Convolutions if name == CONVOLUTIONS else Steps)(name, words)
    with contextlib.suppress(EOFError):  # until the other end is closed
        while True:
            pipe.send(getattr(way, pipe.recv())())
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # the variants share the GPU


class Steps:
    """Training steps of one variant."""

    def __init__(self, name: str, words: list[str]) -> None:
        import torch

        from models import create_model
        from models.parts.convolutions import OutputConv2d
        from models.parts.layers import InstanceNorm2d
        from options.train_options import TrainOptions
        from util.memory import FOR_TRAINING, keep_freed_memory

        torch.manual_seed(0)
        self.plain = name == PLAIN
        if self.plain:
            InstanceNorm2d.by_groups = OutputConv2d.by_rows = False
        else:
            keep_freed_memory(FOR_TRAINING)
        opt = TrainOptions().parse(["--dataroot", "unused", "--seed", "0", *words])
        self.opt, self.model = opt, create_model(opt)
        if self.plain:
            for optimizer in self.model.optimizers:
                optimizer.param_groups[0]["fused"] = False
        self.model.setup(opt)
        shape = (opt.batch_size, opt.input_nc, opt.crop_size, opt.crop_size)
        images = {key: torch.rand(shape) * 2 - 1 for key in ("A", "B")}
        paths = {f"{key}_paths": ["-"] * opt.batch_size for key in ("A", "B")}
        self.batch = {**images, **paths}

    def step(self) -> float:
        """Return the seconds of a step, after one that refills the caches of the CPU."""
        self.one()
        return self.one()

    def one(self) -> float:
        """Run a step; return its seconds."""
        from benchmark_counts import synchronize

        began = time.perf_counter()
        self.model.set_input(self.batch)
        self.model.optimize_parameters()
        synchronize(self.model.device)
        return time.perf_counter() - began

    def prepare(self) -> dict[str, Any]:
        """Warm up; return peak bytes, operations and, if plain, floating-point operations."""
        from benchmark_counts import count_operations
        from torch.utils.flop_counter import FlopCounterMode

        from util.memory import peak_bytes

        facts: dict[str, Any] = {"first": self.one(), "batch": self.opt.batch_size}
        facts["half"] = self.model.forward_pass.precision.half is not None
        self.one()
        facts["peak"] = peak_bytes(self.model.device) or 0  # before the counters need memory too
        facts["operations"] = count_operations(self.one)
        if self.plain:
            with FlopCounterMode(display=False) as counter:
                self.one()
            facts["flop"] = counter.get_total_flops()
        self.one()
        return facts

    def finish(self) -> dict[str, Any]:
        """Return, on a GPU, the launches of a step and the share of its time without a kernel."""
        from benchmark_counts import gpu_use

        return gpu_use(self.one) if self.model.device.type == "cuda" else {}

    def profile(self) -> dict[str, float]:
        """Return the milliseconds of a step by kinds of operations, and their sum."""
        from benchmark_profile import milliseconds_by_kind

        kinds = milliseconds_by_kind(self.one, 3, self.model.device.type == "cuda")
        return {**kinds, "sum": sum(kinds.values())}


class Convolutions:
    """Measures the rate of the 3x3 convolutions in residual blocks, which dominate a step."""

    def __init__(self, _name: str, words: list[str]) -> None:
        import torch

        from models.compute.precision import use_precision
        from options.train_options import TrainOptions
        from util.devices import pick_device

        opt = TrainOptions().parse(["--dataroot", "unused", *words])
        self.device = pick_device(opt.gpu_ids, True)
        use_precision(opt.precision, self.device)
        torch.backends.cudnn.benchmark = True
        self.calls = 1 if self.device.type == "cpu" else 50
        """Between two synchronizations, which take longer than a single call on a GPU."""
        channels, side = 4 * opt.ngf, opt.crop_size // 4
        self.cases = {}
        for kind, dtype in (("float32", torch.float32), ("half", torch.bfloat16)):
            for layout in (torch.contiguous_format, torch.channels_last):
                net = torch.nn.Conv2d(channels, channels, 3, bias=False).to(self.device, dtype)
                images = torch.rand(opt.batch_size, channels, side + 2, side + 2).to(net.weight)
                case = (net.to(memory_format=layout), images.to(memory_format=layout))
                self.cases[kind, layout] = case
        self.flop = 2 * 9 * channels**2 * side**2 * opt.batch_size

    def step(self) -> dict[str, float]:
        """Return the FLOP/s by precision, of the faster layout."""
        import torch
        from benchmark_counts import synchronize

        rates: dict[str, float] = {}
        with torch.no_grad():
            for (kind, _), (net, images) in self.cases.items():
                seconds = []
                for _ in range(7):
                    began = time.perf_counter()
                    for _ in range(self.calls):
                        net(images)
                    synchronize(self.device)
                    seconds.append((time.perf_counter() - began) / self.calls)
                rates[kind] = max(rates.get(kind, 0.0), self.flop / statistics.median(seconds))
        return rates

    def prepare(self) -> dict[str, Any]:
        """Warm up."""
        self.step()
        return {}

    def finish(self) -> dict[str, Any]:
        """Return no further facts."""
        return {}
