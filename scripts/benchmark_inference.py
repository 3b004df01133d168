"""Images per second of 02_inference.py, start-up included, against a plain loop.

The plain loop reads an image, translates it in float32 with PyTorch's instance norm and writes
input and output as PNG, one after the other. All ways run on the same images and weights,
interleaved; medians are printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAIN = "plain loop"
WAYS = {
    PLAIN: [],
    "fp32": ["--precision", "fp32"],
    "bf16": ["--precision", "bf16"],
    "bf16 + compile": ["--precision", "bf16", "--compile"],
}
"""Way -> flags."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `benchmark.py infer`."""
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="which rows; the plain one always")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")


def run(args: argparse.Namespace) -> list[dict[str, float | str]]:
    """A row for each way."""
    chosen = [name for name in WAYS if name == PLAIN or name in (args.ways or WAYS)]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place, args.images, args.size, args.ngf)
        for round_ in range(args.rounds):
            for name in chosen:
                duration, peak = measure(place, name, round_, args.device)
                seconds[name].append(duration)
                peaks[name] = max(peaks.get(name, 0), peak)
                print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    flop = flop_of_image(args.size, args.ngf)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "way": name,
            "s": medians[name],
            "images/s": args.images / medians[name],
            "speed": f"{medians[PLAIN] / medians[name]:.2f}x",
            "TFLOP/s": flop * args.images / medians[name] / 1e12,
            **({"peak GB": peaks[name] / 1e9} if peaks[name] else {}),
        }
        for name in chosen
    ]


def prepare(place: Path, images: int, size: int, ngf: int) -> None:
    """Random images, and a run with random weights."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    from PIL import Image

    from models.networks import define_G
    from util.checkpoints.weights import save_weights

    (place / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(place / f"in/{number:05}.png")
    (place / "runs" / "run").mkdir(parents=True)
    net = define_G(3, 3, ngf, "resnet_9blocks", "instance")
    save_weights(net, place / "runs" / "run" / "latest_net_G.pth")


def flop_of_image(size: int, ngf: int) -> int:
    """Floating-point operations of the convolutions for an image."""
    from models.inference.tile_cost import measure as cost_of
    from models.networks import define_G

    net = define_G(3, 3, ngf, "resnet_9blocks", "instance")
    return 2 * cost_of(net, (1, 3, size, size)).multiply_adds


def measure(place: Path, name: str, round_: int, device: str) -> tuple[float, int]:
    """Seconds of one way, as a process of its own, and its peak memory (0 on Windows)."""
    if name == PLAIN:
        command = [str(ROOT / "scripts/benchmark_inference.py"), str(place), device]
    else:
        where = ["--checkpoints_dir", str(place / "runs"), "--name", "run"]
        out = ["--input", str(place / "in"), "--output", str(place / f"out{name}{round_}")]
        gpu = ["--gpu_ids", "-1" if device == "cpu" else device.partition(":")[2] or "0"]
        command = [str(ROOT / "02_inference.py"), *where, *out, *gpu, *WAYS[name]]
    began = time.perf_counter()
    compiled = {"TORCHINDUCTOR_CACHE_DIR": str(place / f"compiled{round_}")}
    environment = {**os.environ, **compiled}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, env=environment
    )
    peak = 0
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if process.wait():
        sys.exit(f"{name}: the program ended with {process.returncode}; what it said is above")
    return time.perf_counter() - began, peak


def plain_loop(place: Path, device: str) -> None:
    """Read, translate, write, one image after the other."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch
    from PIL import Image

    from models.networks import NORMS, define_G
    from models.parts.architecture import read_generator
    from models.parts.layers import OutputConv2d
    from util.checkpoints.weights import load_into, read_weights
    from util.images import save_image, tensor2im

    path = place / "runs" / "run" / "latest_net_G.pth"
    weights = read_weights(path)
    found = read_generator(weights, path)
    NORMS["instance"], OutputConv2d.by_rows = torch.nn.InstanceNorm2d, False
    net = define_G(found.input_nc, found.output_nc, found.ngf, found.netG, found.norm)
    load_into(net, weights, path)
    net.to(device)
    (place / "plain").mkdir(exist_ok=True)
    for image in sorted((place / "in").iterdir()):
        levels = np.asarray(Image.open(image).convert("RGB"), dtype=np.float32)
        real = torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0) / 127.5 - 1
        with torch.no_grad():
            fake = net(real.to(device))
        save_image(tensor2im(real), place / "plain" / f"{image.stem}_real.png")
        save_image(tensor2im(fake), place / "plain" / f"{image.stem}_fake.png")


if __name__ == "__main__":  # `measure` starts it
    plain_loop(Path(sys.argv[1]), sys.argv[2])
