"""Normalisation layers, by the name that `--norm` takes."""

from collections.abc import Callable
from functools import partial

from torch import nn

NormFactory = Callable[[int], nn.Module]
"""Number of channels -> a norm layer on (N, C, H, W) of the same shape."""


def _identity(_channels: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[str, NormFactory] = {
    "instance": partial(nn.InstanceNorm2d, affine=False, track_running_stats=False),
    "batch": partial(nn.BatchNorm2d, affine=True, track_running_stats=True),
    "none": _identity,
    "syncbatch": partial(nn.SyncBatchNorm, affine=True, track_running_stats=True),
}


def get_norm_layer(norm_type: str = "instance") -> NormFactory:
    """The norm of that name. Instance norm has no weights and no running statistics."""
    try:
        return NORMS[norm_type]
    except KeyError:
        raise ValueError(f"--norm {norm_type}: there are {', '.join(NORMS)}") from None


def conv_needs_bias(norm: NormFactory) -> bool:
    """Whether a convolution that `norm` follows has a bias: with instance norm only.

    It is without effect there; the stored weights of ten years have it.
    """
    return isinstance(norm(1), nn.InstanceNorm2d)
