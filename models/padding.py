"""Padding by reflection, computed in the precision of what comes in."""

from functools import lru_cache

import torch
from torch import Tensor, nn


class ReflectionPad2d(nn.ReflectionPad2d):
    """(N, C, H, W) -> (N, C, H + 2 p, W + 2 p).

    Autocast on the CPU would turn half-precision images into float32 ones and the padded ones back,
    which takes several times as long as the padding and changes no value.
    """

    def __init__(self, padding: int) -> None:
        super().__init__(padding)
        self.pads_float16 = pads_float16()

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + 2 p, W + 2 p)."""
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            if input.dtype == torch.float16 and not self.pads_float16:
                return super().forward(input.float()).half()
            return super().forward(input)


@lru_cache
def pads_float16() -> bool:
    """Whether this PyTorch pads float16 by reflection on the CPU, with gradients; 2.4 does not."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            x = torch.zeros(1, 1, 2, 2, dtype=torch.float16, requires_grad=True)
            nn.functional.pad(x, (1, 1, 1, 1), mode="reflect").sum().backward()
    except RuntimeError:
        return False
    return True
