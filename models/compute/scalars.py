"""Losses as scalars and as numbers."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor


def read_scalars(
    scalars: Mapping[str, Tensor | float], device: torch.device
) -> "OrderedDict[str, float]":
    """Return scalars as numbers by name; the CPU synchronises with the GPU once for all of them."""
    if not scalars:
        return OrderedDict()
    values = [as_scalar(value, device).float() for value in scalars.values()]
    return OrderedDict(zip(scalars, torch.stack(values).tolist(), strict=True))


def as_scalar(value: Tensor | float, device: torch.device) -> Tensor:
    """Return a number, or a tensor of one value, as a scalar on the device, detached."""
    if isinstance(value, Tensor):
        return value.detach().to(device).reshape(())
    return torch.full((), float(value), device=device)  # without waiting for a GPU
