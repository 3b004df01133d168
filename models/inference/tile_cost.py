"""Estimates memory and work of a forward pass without computing it (on the meta device)."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..parts.resnet_generator import ResnetGenerator
from ..parts.unet_generator import UnetSkipConnectionBlock

BYTES = 4  # of a float32
COPIES = 2
"""Convolutions and norms hold about as much again, in other memory layouts, as they compute."""


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass in float32."""

    peak_bytes: int
    """Estimated memory for activations."""
    multiply_adds: int


def measure(net: nn.Module, shape: tuple[int, ...]) -> Cost:
    """Return the cost of images of that shape, (N, C, H, W)."""
    net = copy.deepcopy(net).to("meta", torch.float32)
    largest, total, work = 0, 0, 0

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal largest, total, work
        largest = max(largest, inputs[0].numel() + output.numel())
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            total += output.numel()
            work += multiply_adds(layer, output)

    for layer in net.modules():
        if not list(layer.children()):
            layer.register_forward_hook(note)
    with torch.no_grad():
        net(torch.empty(shape, device="meta"))
    # skip connections store the outputs of the encoder, about a quarter of all
    stored = total // 4 if _has_skips(net) else 0
    return Cost(BYTES * (COPIES * largest + stored), work)


def multiply_adds(layer: Any, output: Tensor) -> int:
    """Return the multiply-adds of a convolution that gave `output`, (N, C, H, W)."""
    taps = layer.kernel_size[0] * layer.kernel_size[1]
    if isinstance(layer, nn.ConvTranspose2d):
        taps //= layer.stride[0] * layer.stride[1]
    return output.numel() * taps * layer.in_channels // layer.groups


def _has_skips(net: nn.Module) -> bool:
    return any(
        isinstance(layer, UnetSkipConnectionBlock)
        or (isinstance(layer, ResnetGenerator) and bool(layer.skips))
        for layer in net.modules()
    )
