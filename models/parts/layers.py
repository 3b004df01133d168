"""Norms, by their names, activations and padding; some faster than PyTorch's, of equal results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util import global_batch, ranks

NormFactory = Callable[[int], nn.Module]
"""A function: number of channels -> norm layer, (N, C, H, W) -> (N, C, H, W)."""


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm (arXiv 1607.08022), (N, C, H, W) -> (N, C, H, W).

    On the CPU it is computed as a group norm with one channel per group, which has the same result
    and is several times faster with PyTorch's kernels.
    """

    by_groups = True

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.by_groups or input.device.type != "cpu" or self.track_running_stats:
            return super().forward(input)
        if not input.is_contiguous() and not torch.compiler.is_compiling():
            # PyTorch's group norm of channels_last computes the variance as E[x^2] - E[x]^2, which
            # loses its digits where an image is nearly constant
            input = input - input.mean((2, 3), keepdim=True)
            if input.dtype == torch.float32 and self.weight is None:
                scale = (input.square().mean((2, 3), keepdim=True) + self.eps).rsqrt()
                return input * scale if torch.is_grad_enabled() else input.mul_(scale)
        return F.group_norm(input, self.num_features, self.weight, self.bias, self.eps)


class Identity(nn.Identity):
    """A layer that returns its input."""


class SyncBatchNorm(nn.SyncBatchNorm):
    """Batch norm over the images of all processes, (N, C, H, W) -> (N, C, H, W), on CPUs too.

    On GPUs it is PyTorch's. On CPUs, where PyTorch has none, sums are exchanged; an image that only
    fills the last batch of an epoch does not count. Inference has the statistics of its own images.
    """

    by_sums = False
    """Whether sums are exchanged on GPUs too."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if self.training and torch.is_inference_mode_enabled():  # where each has its own images
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        has_own = input.device.type != "cpu" and not self.by_sums
        if has_own or not self.training or ranks.world() == 1:
            return super().forward(input)
        counts, images = float(global_batch.has_images()), to_float32(input)
        ones = images.new_full((1,), counts * images.numel() / self.num_features)
        sums = _SumOverRanks.apply(torch.cat([ones, counts * images.sum((0, 2, 3))]))
        number, mean = sums[0].detach(), sums[1:] / sums[0].detach()
        centred = images - mean.view(1, -1, 1, 1)
        variance = _SumOverRanks.apply(counts * centred.square().sum((0, 2, 3))) / number
        with torch.no_grad():
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
            unbiased = variance * number / (number - 1)
            for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
                if running is not None and self.momentum is not None:
                    running.lerp_(now, self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised = centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normalised.to(input.dtype)


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return ranks.all_reduce(values.clone(), "sum")

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Any:
        return _SumOverRanks.apply(gradient)  # which has a derivative itself


@contextmanager
def twice_differentiable(net: nn.Module) -> Iterator[None]:
    """Let synchronised batch norm have second derivatives, which PyTorch's on GPUs has not."""
    layers = [layer for layer in net.modules() if isinstance(layer, SyncBatchNorm)]
    for layer in layers:
        layer.by_sums = True
    try:
        yield
    finally:
        for layer in layers:
            layer.by_sums = False


def _identity(_channels: int) -> nn.Module:
    return Identity()


NORMS: dict[str, NormFactory] = {
    # PyTorch's class, which plug-ins compare with; networks make the faster one, see `fast_norm`
    "instance": partial(nn.InstanceNorm2d, affine=False, track_running_stats=False),
    "batch": partial(nn.BatchNorm2d, affine=True, track_running_stats=True),
    "none": _identity,
    "syncbatch": partial(SyncBatchNorm, affine=True, track_running_stats=True),
}


def get_norm_layer(norm_type: str = "instance") -> NormFactory:
    """Return the norm of that name. Raises ValueError for an unknown one.

    Instance norm has no weights and no running statistics.
    """
    try:
        return NORMS[norm_type]
    except KeyError:
        raise ValueError(f"--norm {norm_type}: choose from {', '.join(NORMS)}") from None


def fast_norm(norm_layer: NormFactory) -> NormFactory:
    """Return a norm of the same results and keys; instance norm is that of this file.

    `norm_layer` is a class, as nn.InstanceNorm2d, or a function that makes the layer.
    """
    if norm_layer is nn.InstanceNorm2d:
        return InstanceNorm2d
    if isinstance(norm_layer, partial) and norm_layer.func is nn.InstanceNorm2d:
        return partial(InstanceNorm2d, *norm_layer.args, **norm_layer.keywords)
    return norm_layer


def conv_needs_bias(norm_layer: NormFactory) -> bool:
    """Return whether convolutions before a norm have a bias: only before instance norm.

    Instance norm removes its effect, but existing weight files contain it.
    """
    made_by = norm_layer.func if isinstance(norm_layer, partial) else norm_layer
    return made_by in (nn.InstanceNorm2d, InstanceNorm2d)


def removes_bias(norm: NormFactory) -> bool:
    """Return whether `norm` cancels the bias of a convolution before it, in evaluation mode too.

    Instance norm subtracts the mean of each channel. With running statistics it subtracts another
    mean in evaluation mode.
    """
    if not conv_needs_bias(norm):  # other layers need not exist for one channel
        return False
    layer = norm(1)
    return isinstance(layer, nn.InstanceNorm2d) and not layer.track_running_stats


class ReLU(nn.ReLU):
    """ReLU after a norm, in place where that is fastest, (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return F.relu(input, inplace=in_place(input))


class LeakyReLU(nn.LeakyReLU):
    """Leaky ReLU after a norm, in place where that is fastest, (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return F.leaky_relu(input, self.negative_slope, inplace=in_place(input))


def in_place(input: Tensor) -> bool:
    """Return whether to overwrite the output of a norm.

    Off the CPU instance norm returns a view, and a view that is overwritten costs three copies in
    the backward pass (CopySlices); a new tensor needs no more memory, as nothing stores the view.
    """
    return input.device.type == "cpu" or not torch.is_grad_enabled()


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection padding in the precision of its input, (N, C, H, W) -> (N, C, H + 2 p, W + 2 p).

    Autocast on the CPU would convert half-precision images to float32 and the padded ones back,
    which takes several times as long as padding and changes no value.
    """

    def __init__(self, padding: int) -> None:
        super().__init__(padding)
        self.pads_float16 = pads_well()
        self.by_flips = torch.are_deterministic_algorithms_enabled() and not pads_well()

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + 2 p, W + 2 p)."""
        if input.device.type != "cpu":
            if self.by_flips and torch.is_grad_enabled():
                return reflect(input, self.padding[0])
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            if input.dtype == torch.float16 and not self.pads_float16:
                return super().forward(input.float()).half()
            return super().forward(input)


def reflect(input: Tensor, p: int) -> Tensor:
    """Pad by reflection, (N, C, H, W) -> (N, C, H + 2 p, W + 2 p), from flipped parts of the input.

    The backward pass adds the parts in a fixed order.
    """
    for axis, side in ((2, input.shape[2]), (3, input.shape[3])):
        before = input.narrow(axis, 1, p).flip(axis)
        after = input.narrow(axis, side - 1 - p, p).flip(axis)
        input = torch.cat([before, input, after], axis)
    return input


def pads_well() -> bool:
    """Return whether PyTorch pads by reflection in float16 on CPUs and with gradients that repeat.

    It does from 2.6 on: earlier versions add these gradients on GPUs in random order.
    """
    major, minor = torch.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 6)


def to_float32(x: Tensor) -> Tensor:
    """Convert a half-precision tensor to float32; return any other unchanged."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
