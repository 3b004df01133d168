"""Runs with tiny untrained networks, and optional packages, shared by the tests of inference."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from torch import nn

from models.networks import define_G
from util.checkpoints.weights import save_weights
from util.run.session import run_program


def optional_package(name: str) -> ModuleType:
    """Import a package that users may lack, else skip the test; in CI it must be installed."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


def tiny_generator(netG: str = "resnet_6blocks", norm: str = "instance", **more: Any) -> nn.Module:
    """Return a generator with ngf 4, outputs that fill [-1, 1] and random running statistics."""
    torch.manual_seed(0)
    net = define_G(3, 3, 4, netG, norm, init_gain=0.15, **more)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1)
    return net


class WritesOver(nn.Module):
    """Returns its input in memory that the next call overwrites, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.output = torch.zeros(1, 3, 8, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output.copy_(images)


def make_run(where: Path, *suffixes: str, **kind: Any) -> Path:
    """Write a generator for each suffix to `where/checkpoints/run`; return that folder."""
    folder = where / "checkpoints" / "run"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes or ("",):
        save_weights(tiny_generator(**kind), folder / f"latest_net_G{suffix}.pth")
    return folder


def train_epoch(images: Path, *words: str) -> int:
    """Run 01_train.py on the CPU, for an epoch, into the runs beside `images`; return its code."""
    argv = ["--checkpoints_dir", str(images.parent / "checkpoints"), *TINY, "--no_html"]
    argv += ["--n_epochs", "1", "--n_epochs_decay", "0", "--num_threads", "0"]
    argv += ["--dataroot", str(images), *words]
    return run_program(lambda: importlib.import_module("01_train").main(argv))


def infer(where: Path, *words: object) -> int:
    """Run 02_inference.py with the run in `where` on the CPU; return its exit code."""
    argv = ["--checkpoints_dir", where / "checkpoints", "--name", "run", "--gpu_ids", "-1"]
    argv += ["--results_dir", where / "results", *words]
    inference = importlib.import_module("02_inference")
    return run_program(lambda: inference.main([str(word) for word in argv]))


def pixels(path: Path) -> np.ndarray:
    """Return the pixels (H, W, 3) as int, so that differences may be negative."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def names(where: Path) -> list[str]:
    """Return the relative paths of the files below a folder, sorted, but that of `.translated`."""
    files = (path for path in where.rglob("*.*") if path.name != ".translated")
    return sorted(path.relative_to(where).as_posix() for path in files)
