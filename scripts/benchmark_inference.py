"""Pictures per second of 02_inference.py, start-up included, against a plain loop.

python scripts/benchmark_inference.py [--pictures 200] [--rounds 1]

The plain loop reads a picture, translates it in float32 with PyTorch's instance norm and writes
input and output as PNG, one after the other. All ways run on the same pictures and weights,
interleaved; medians are printed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WAYS = {
    "plain loop": [],
    "fp32": ["--precision", "fp32"],
    "bf16": ["--precision", "bf16"],
    "bf16 + compile": ["--precision", "bf16", "--compile"],
}


def main(argv: list[str] | None = None) -> int:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.plain:
        return plain_loop(args.plain)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place, args.pictures, args.size, args.ngf)
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for round_ in range(args.rounds):
            for name, words in WAYS.items():
                seconds[name].append(measure(place, name, words, round_))
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
        base = statistics.median(seconds["plain loop"])
        for name, values in seconds.items():
            median = statistics.median(values)
            print(f"{name:16} {args.pictures / median:6.2f} pictures/s {base / median:6.2f}x")
    return 0


def prepare(place: Path, pictures: int, size: int, ngf: int) -> None:
    """Random pictures, and a run with random weights."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    from PIL import Image

    from models.networks import define_G
    from util.checkpoints import save_weights

    (place / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(pictures):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(place / f"in/{number:05}.png")
    (place / "runs" / "run").mkdir(parents=True)
    net = define_G(3, 3, ngf, "resnet_9blocks", "instance")
    save_weights(net, place / "runs" / "run" / "latest_net_G.pth")


def measure(place: Path, name: str, words: list[str], round_: int) -> float:
    """Seconds of one way, as a process of its own."""
    if name == "plain loop":
        command = [str(ROOT / "scripts/benchmark_inference.py"), "--plain", str(place)]
    else:
        where = ["--checkpoints_dir", str(place / "runs"), "--name", "run"]
        out = ["--input", str(place / "in"), "--output", str(place / f"out{name}{round_}")]
        command = [str(ROOT / "02_inference.py"), *where, *out, *words]
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def plain_loop(place: Path) -> int:
    """Read, translate, write, one picture after the other."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch
    from PIL import Image

    from models.architecture import read_generator
    from models.networks import NORMS, define_G
    from util.checkpoints import load_into, read_weights
    from util.images import save_image, tensor2im

    path = place / "runs" / "run" / "latest_net_G.pth"
    weights = read_weights(path)
    found = read_generator(weights, path)
    NORMS["instance"] = torch.nn.InstanceNorm2d
    net = define_G(found.input_nc, found.output_nc, found.ngf, found.netG, found.norm)
    load_into(net, weights, path)
    (place / "plain").mkdir(exist_ok=True)
    for picture in sorted((place / "in").iterdir()):
        levels = np.asarray(Image.open(picture).convert("RGB"), dtype=np.float32)
        real = torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0) / 127.5 - 1
        with torch.no_grad():
            fake = net(real)
        save_image(tensor2im(real), place / "plain" / f"{picture.stem}_real.png")
        save_image(tensor2im(fake), place / "plain" / f"{picture.stem}_fake.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
