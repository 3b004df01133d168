"""Layers that are faster on CPUs than PyTorch's, with the same numbers; norms by their names."""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
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


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection padding in the precision of its input, (N, C, H, W) -> (N, C, H + 2 p, W + 2 p).

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


class OutputConv2d(nn.Conv2d):
    """The last convolution of a generator, from many channels to the few of a picture.

    Without padding, stride or groups, (N, C, H, W) -> (N, K, H', W').

    On the CPU its rows are computed as channels of one convolution that is 1 high, and then added,
    each at its height: the same sums, three times faster than PyTorch's kernels, which fill their
    vectors with output channels and leave most of them empty where K is 3.
    """

    by_rows = True

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H', W')."""
        if not (self.by_rows and input.device.type == "cpu" and self._gains(input)):
            return super().forward(input)
        K, C, kh, kw = self.weight.shape
        height = input.shape[2] - kh + 1
        rows = self.weight.permute(2, 0, 1, 3).reshape(kh * K, C, 1, kw)
        of_rows = to_float32(nn.functional.conv2d(input, rows))  # (N, kh K, H, W')
        output = of_rows[:, :K, :height]
        for row in range(1, kh):
            output = output + of_rows[:, row * K : (row + 1) * K, row : row + height]
        return output if self.bias is None else output + self.bias.view(1, -1, 1, 1)

    def _gains(self, input: Tensor) -> bool:
        """Not in half precision with a backward pass in the contiguous layout, as was measured.

        What is compiled is in channels_last, though it does not look so while it is traced.
        """
        half = torch.is_autocast_enabled("cpu") or input.dtype in (torch.bfloat16, torch.float16)
        fast = torch.compiler.is_compiling() or input.is_contiguous(
            memory_format=torch.channels_last
        )
        return not half or not torch.is_grad_enabled() or fast


def to_float32(x: Tensor) -> Tensor:
    """A half-precision tensor in float32; any other as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
