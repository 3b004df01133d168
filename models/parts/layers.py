"""Normalisation layers, by the name that `--norm` takes."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

NormFactory = Callable[[int], nn.Module]
"""Number of channels -> a norm layer on (N, C, H, W) of the same shape."""


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm (arXiv 1607.08022), (N, C, H, W) -> (N, C, H, W).

    On the CPU it is computed as a group norm with one channel in a group: the same numbers, and
    several times faster with PyTorch's kernels.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if input.device.type != "cpu" or self.track_running_stats:
            return super().forward(input)
        return F.group_norm(input, self.num_features, self.weight, self.bias, self.eps)


def _identity(_channels: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[str, NormFactory] = {
    "instance": partial(InstanceNorm2d, affine=False, track_running_stats=False),
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
