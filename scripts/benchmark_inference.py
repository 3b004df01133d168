"""Measure the images per second of 02_inference.py with its start-up, against a plain loop.

The plain loop reads an image, translates it in float32 with PyTorch's instance norm and writes
input and output as PNG, one after the other. All variants run on the same images and weights, in
turn; medians are printed.
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
"""Name of a variant -> its flags."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `benchmark.py infer`."""
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="which rows; the plain one always")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")


def run(args: argparse.Namespace) -> list[dict[str, float | str]]:
    """Return a row for each variant."""
    chosen = [name for name in WAYS if name == PLAIN or name in (args.ways or WAYS)]
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, args.images, args.size, args.ngf)
        for round_ in range(args.rounds):
            for name in chosen:
                duration, peak = measure(folder, name, round_, args.device)
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


def prepare(folder: Path, images: int, size: int, ngf: int) -> None:
    """Write random images, and a run with random weights."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    from PIL import Image

    from models.networks import define_G
    from util.checkpoints.weights import save_weights

    (folder / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"in/{number:05}.png")
    (folder / "runs" / "run").mkdir(parents=True)
    net = define_G(3, 3, ngf, "resnet_9blocks", "instance")
    save_weights(net, folder / "runs" / "run" / "latest_net_G.pth")


def flop_of_image(size: int, ngf: int) -> int:
    """Return the floating-point operations of the convolutions for an image."""
    from models.inference.tile_cost import measure as cost_of
    from models.networks import define_G

    net = define_G(3, 3, ngf, "resnet_9blocks", "instance")
    return 2 * cost_of(net, (1, 3, size, size)).multiply_adds


def measure(folder: Path, name: str, round_: int, device: str) -> tuple[float, int]:
    """Return the seconds and the peak bytes (0 on Windows) of a variant in its own process."""
    if name == PLAIN:
        command = [str(ROOT / "scripts/benchmark_inference.py"), str(folder), device]
    else:
        where = ["--checkpoints_dir", str(folder / "runs"), "--name", "run"]
        out = ["--input", str(folder / "in"), "--output", str(folder / f"out{name}{round_}")]
        gpu = ["--gpu_ids", "-1" if device == "cpu" else device.partition(":")[2] or "0"]
        command = [str(ROOT / "02_inference.py"), *where, *out, *gpu, *WAYS[name]]
    began = time.perf_counter()
    compiled = {"TORCHINDUCTOR_CACHE_DIR": str(folder / f"compiled{round_}")}
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
        sys.exit(f"{name}: the program ended with {process.returncode} (see above)")
    return time.perf_counter() - began, peak


def plain_loop(folder: Path, device: str) -> None:
    """Read, translate, write, one image after the other."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch

    from models.networks import define_G
    from models.parts.architecture import read_generator
    from models.parts.convolutions import OutputConv2d
    from models.parts.layers import InstanceNorm2d
    from util.checkpoints.weights import load_into, read_weights
    from util.image_files import open_image
    from util.images import save_image, tensor2im

    path = folder / "runs" / "run" / "latest_net_G.pth"
    weights = read_weights(path)
    arch = read_generator(weights, path)
    InstanceNorm2d.by_groups = OutputConv2d.by_rows = False
    shape = (arch.input_nc, arch.output_nc, arch.ngf, arch.netG, arch.norm)
    skips = bool(arch.skip_connections)
    net = define_G(*shape, upsample=arch.upsample, skip_connections=skips)
    load_into(net, weights, path)
    net.to(device)
    (folder / "plain").mkdir(exist_ok=True)
    for source in sorted((folder / "in").iterdir()):
        levels = np.asarray(open_image(source).convert("RGB"), dtype=np.float32)
        real = torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0) / 127.5 - 1
        with torch.no_grad():
            fake = net(real.to(device))
        save_image(tensor2im(real), folder / "plain" / f"{source.stem}_real.png")
        save_image(tensor2im(fake), folder / "plain" / f"{source.stem}_fake.png")


if __name__ == "__main__":  # `measure` starts it
    plain_loop(Path(sys.argv[1]), sys.argv[2])
