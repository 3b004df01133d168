"""How far two results may lie apart that are the same but for their roundings.

Which instructions a CPU has, how many images go through a network together and the release of
PyTorch decide in which order sums are taken. So tolerances are multiples of the machine epsilon of
the precision in use, times the size of the result.
"""

import torch
from torch import Tensor

LAYERS = 32
"""At least the layers of the networks in these tests; each rounds its output, and errors add up."""
SUM = 32
"""Epsilons that the float32 sum of a convolution over some hundred products is off by, at most."""


def tolerance(dtype: torch.dtype = torch.float32) -> float:
    """Of the output of a network, relative to its largest value.

    In half precision the sums are float32: only the output of a layer is rounded.
    """
    sums = SUM if dtype in (torch.float32, torch.float64) else 1
    return LAYERS * sums * torch.finfo(dtype).eps


def assert_near(a: Tensor, b: Tensor, dtype: torch.dtype = torch.float32) -> None:
    """Equal up to the roundings of networks computed in `dtype`."""
    assert a.shape == b.shape
    difference = float((a - b).detach().abs().max())
    assert difference <= tolerance(dtype) * float(b.detach().abs().max())
