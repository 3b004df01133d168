"""Padding by reflection, computed in the precision of what comes in."""

import torch
from torch import Tensor, nn


class ReflectionPad2d(nn.ReflectionPad2d):
    """(N, C, H, W) -> (N, C, H + 2 p, W + 2 p).

    Autocast on the CPU would turn half-precision images into float32 ones and the padded ones back,
    which takes several times as long as the padding and changes no value.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + 2 p, W + 2 p)."""
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input)
