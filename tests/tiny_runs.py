"""Runs with tiny untrained networks, and optional packages, for the tests of inference."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models.networks import define_G
from util.checkpoints.weights import save_weights
from util.run.session import run_program


def optional_package(name: str) -> ModuleType:
    """A package that users may lack; in CI it must be there."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


def tiny_generator(netG: str = "resnet_6blocks", norm: str = "instance", **more: Any) -> nn.Module:
    """A generator with ngf 4 whose output uses the range, with running statistics of its own."""
    torch.manual_seed(0)
    net = define_G(3, 3, 4, netG, norm, init_gain=0.15, **more)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1)
    return net


class WritesOver(nn.Module):
    """Gives its input, in memory that the next call writes over, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.output = torch.zeros(1, 3, 8, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output.copy_(images)


def make_run(where: Path, *suffixes: str, **kind: Any) -> Path:
    """`where/checkpoints/run` with a generator of each suffix."""
    folder = where / "checkpoints" / "run"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes or ("",):
        save_weights(tiny_generator(**kind), folder / f"latest_net_G{suffix}.pth")
    return folder


def infer(where: Path, *words: object) -> int:
    """The exit code of 02_inference.py on the run in `where`, on the CPU."""
    argv = ["--checkpoints_dir", where / "checkpoints", "--name", "run", "--gpu_ids", "-1"]
    argv += ["--results_dir", where / "results", *words]
    inference = importlib.import_module("02_inference")
    return run_program(lambda: inference.main([str(word) for word in argv]))


def pixels(path: Path) -> np.ndarray:
    """(H, W, 3) int, so that differences may be negative."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def names(where: Path) -> list[str]:
    """The files below a folder."""
    return sorted(path.relative_to(where).as_posix() for path in where.rglob("*.*"))
