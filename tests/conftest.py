"""Fixtures: tiny pictures, tiny options."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from options.train_options import TrainOptions
from util.frozen_options import Options

torch.set_num_threads(1)

TINY = ["--netG", "resnet_6blocks", "--ngf", "4", "--ndf", "4", "--load_size", "36"]
TINY += ["--crop_size", "32", "--gpu_ids", "-1", "--display_id", "-1", "--seed", "1"]


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Random smooth RGB noise."""
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A data folder: 5 pictures in trainA, 3 in trainB (one in a sub-folder), 2 for each test."""
    root = tmp_path / "pictures"
    sizes = {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2}
    for number, (side, count) in enumerate(sizes.items()):
        (root / side / "deeper").mkdir(parents=True)
        for i in range(count):
            folder = root / side / "deeper" if i == 1 else root / side
            picture(10 * number + i, 40 + i, 48).save(folder / f"{side}_{i}.png")
    return root


@pytest.fixture
def train_opt(pictures: Path, tmp_path: Path) -> Callable[..., Options]:
    """Tiny, checked training options; further words are added to the command line."""

    def make(*words: str) -> Options:
        where = ["--dataroot", str(pictures), "--checkpoints_dir", str(tmp_path / "runs")]
        return TrainOptions().parse([*where, *TINY, *words])

    return make
