"""Measure the pairs per second of the loader, against reading images without optimizations.

Imported by scripts/benchmark.py. The images are generated here, photo-like and always the same:
1024x768 JPEG for two workers, and 256x256 JPEG read in the main process, where the training waits
for each batch. All rows are measured in turn; medians are printed.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from PIL import Image

from data import create_dataset
from options.train_options import TrainOptions
from util.image_files import open_image
from util.memory import FOR_TRAINING, keep_freed_memory

Row = dict[str, float | str]
LARGE, SMALL = (1024, 768), (256, 256)
WAYS: dict[str, tuple[tuple[int, int], bool, list[str]]] = {
    "full decode": (LARGE, True, ["--full_decode"]),
    "draft": (LARGE, True, []),
    "cache ram": (LARGE, True, ["--cache", "ram", "--cache_gb", "1"]),
    "cache disk": (LARGE, True, ["--cache", "disk", "--cache_gb", "1"]),
    "256 px in process": (SMALL, False, []),
    "256 px in process, cache ram": (SMALL, False, ["--cache", "ram", "--cache_gb", "1"]),
    "256 px, brightness, contrast, saturation": (SMALL, False, ["--color_jitter", ".2,.2,.2,0"]),
    "256 px, hue": (SMALL, False, ["--color_jitter", "0,0,0,.05"]),
    "256 px, rotation": (SMALL, False, ["--random_rotation", "10"]),
    "256 px, resized crop": (SMALL, False, ["--random_resized_crop", ".5"]),
}
"""Name -> size of the images, whether worker processes read them, flags."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `benchmark.py load`."""
    parser.add_argument("--images", type=int, default=100, help="images in each domain")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each row")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--device", default="cpu", help="cuda: into pinned memory")


def run(args: argparse.Namespace) -> list[Row]:
    """Return a row for each variant; its speed is relative to the plain variant of that size."""
    keep_freed_memory(FOR_TRAINING)  # as the training does
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        for size in (LARGE, SMALL):
            make_images(root / str(size[0]), args.images, size)
        readers: dict[str, Callable[[], Iterable[Any]]] = {}
        for name, size, workers in (("plain", LARGE, True), ("256 px plain", SMALL, False)):
            plain = PlainPairs(root / str(size[0]))
            count = args.workers if workers else 0
            readers[name] = _repeated(plain_loader(plain, count, pinned=args.device != "cpu"))
        for name, (size, workers, flags) in WAYS.items():
            count = args.workers if workers else 0
            where = ["--dataroot", str(root / str(size[0])), "--checkpoints_dir", str(root)]
            device = ["--gpu_ids", "-1" if args.device == "cpu" else "0"]
            words = [*where, "--num_threads", str(count), *device, "--seed", "1", *flags]
            readers[name] = _repeated(create_dataset(TrainOptions().parse(words)))
        stack.callback(readers.clear)  # ends the workers before the folder goes
        seconds = _measure(readers, args.rounds)
    return _rows(seconds, args.images)


def make_images(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write `count` JPEG images to each of trainA and trainB."""
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB"):
        (folder / side).mkdir(parents=True)
        for number in range(count):
            image = photo_like(rng, size)
            image.save(folder / side / f"{number:05}.jpg", quality=90)


def photo_like(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return noise whose amplitude falls with its frequency, as in photographs."""
    levels = np.full((size[1], size[0], 3), 128, np.float32)
    for cells, strength in ((4, 55), (16, 30), (64, 15), (256, 8)):
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        levels += (np.asarray(layer, dtype=np.float32) - 128) * (strength / 74)
    levels += rng.normal(0, 3, levels.shape[:2])[..., None]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


class PlainPairs(torch.utils.data.Dataset[dict[str, Any]]):
    """Opens, decodes, resizes to 286, crops to 256, flips and converts, without optimizations."""

    def __init__(self, folder: Path) -> None:
        self.A, self.B = (sorted((folder / side).iterdir()) for side in ("trainA", "trainB"))

    def __len__(self) -> int:
        """Return the number of images of A."""
        return len(self.A)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A`, `B` (3, 256, 256) in [-1, 1] and their paths."""
        a, b = self.A[index], random.choice(self.B)
        return {"A": plain_tensor(a), "B": plain_tensor(b), "A_paths": str(a), "B_paths": str(b)}


def plain_tensor(path: Path) -> torch.Tensor:
    """Read an image (3, 256, 256) in [-1, 1] as most programs do."""
    image = open_image(path).convert("RGB").resize((286, 286), Image.Resampling.BICUBIC)
    x, y = random.randint(0, 30), random.randint(0, 30)
    image = image.crop((x, y, x + 256, y + 256))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    levels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return levels.to(torch.float32).div(255).sub(0.5).div(0.5)


def plain_loader(pairs: PlainPairs, workers: int, pinned: bool) -> Iterable[Any]:
    """Return PyTorch's loader with its defaults and persistent workers."""
    return torch.utils.data.DataLoader(
        pairs,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pinned,
    )


def _repeated(loader: Iterable[Any]) -> Callable[[], Iterable[Any]]:
    return lambda: iter(loader)


def _measure(
    readers: dict[str, Callable[[], Iterable[Any]]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each epoch, in turn, once workers run and caches are filled."""
    for name, epoch in readers.items():
        for _ in range(6 if "cache" in name else 1):  # B is chosen randomly
            _take(epoch())
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, epoch in readers.items():
            began = time.perf_counter()
            _take(epoch())
            seconds[name].append(time.perf_counter() - began)
    return seconds


def _take(batches: Iterable[Any]) -> None:
    for batch in batches:
        for side in ("A", "B"):
            batch[side].numpy().sum()  # reads the tensor, in this thread alone


def _rows(seconds: dict[str, list[float]], pairs: int) -> list[Row]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "way": name,
            "pairs/s": pairs / median,
            "ms/pair": 1000 * median / pairs,
            "speed": f"{medians[plain_of(name)] / median:.2f}x",
        }
        for name, median in medians.items()
    ]


def plain_of(name: str) -> str:
    """Return the name of the plain variant for images of the same size."""
    return "256 px plain" if name.startswith("256") else "plain"
