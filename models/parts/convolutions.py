"""PyTorch's convolutions, without biases that a norm cancels, and faster on the CPU.

Legend: (N, C, H, W) images, (K, C, kh, kw) weights, (N, K, H', W') outputs.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import NormFactory, conv_needs_bias, removes_bias, to_float32

WEIGHTS_PER_POSITION = 4000
"""From so many on the product was faster (measured up to 43,000): oneDNN copies the weights into
another order before each convolution, which takes longer than computing a few positions does."""


class Conv2d(nn.Conv2d):
    """A convolution before `norm`, which leaves out the bias that the norm cancels.

    The bias is a parameter all the same, as weight files contain it; without a gradient, which only
    `with_bias` gives it, it keeps the value that it was initialised or loaded with.
    (N, C, H, W) -> (N, K, H', W').
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        norm: NormFactory,
        kernel_size: int,
        bias: bool | None = None,
        **shape: Any,
    ) -> None:
        bias = conv_needs_bias(norm) if bias is None else bias
        super().__init__(inner, outer, kernel_size, bias=bias, **shape)
        self.applies_bias = not removes_bias(norm)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H', W')."""
        bias = self.bias if self.applies_bias else None
        if not self._is_product(input):
            return self._conv_forward(input, self.weight, bias)
        padding: Any = self.padding  # no string where it is a product
        return convolve_as_product(input, self.weight, bias, self.stride, padding)

    def _is_product(self, input: Tensor) -> bool:
        """Return True in compiled training on the CPU where a product is faster."""
        if not torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return False
        plain = (self.groups, self.dilation, self.padding_mode) == (1, (1, 1), "zeros")
        if not plain or isinstance(self.padding, str) or input.device.type != "cpu":
            return False
        return has_few_positions(input, self.weight, self.stride, self.padding)


def with_bias(layer: nn.Module, output: Tensor) -> Tensor:
    """Return the output of a layer, with the bias that `Conv2d` leaves to the norm behind it.

    For what reads the output in front of the norm, (N, K, H', W') -> the same.
    """
    if not isinstance(layer, Conv2d) or layer.applies_bias or layer.bias is None:
        return output
    return output + layer.bias.to(output.dtype).view(1, -1, 1, 1)


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution before `norm`; its bias is that of `Conv2d`."""

    def __init__(
        self, inner: int, outer: int, norm: NormFactory, kernel_size: int, **shape: Any
    ) -> None:
        super().__init__(inner, outer, kernel_size, bias=conv_needs_bias(norm), **shape)
        self.applies_bias = not removes_bias(norm)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) -> (N, K, H', W')."""
        if self.applies_bias or output_size is not None:
            return super().forward(input, output_size)
        how: Any = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(input, self.weight, None, *how)


class OutputConv2d(nn.Conv2d):
    """The last convolution of a generator, from many channels to the few of an image.

    Without padding, stride or groups, (N, C, H, W) -> (N, K, H', W').

    On the CPU the rows of the kernel become output channels of one convolution of height 1, whose
    outputs are added, each shifted by its row. The sums are the same, computed three times faster:
    PyTorch's kernels fill vector registers with output channels, and 3 leave most lanes empty.
    """

    by_rows = True

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H', W')."""
        if not (self.by_rows and input.device.type == "cpu" and self._is_faster(input)):
            return super().forward(input)
        K, C, kh, kw = self.weight.shape
        height = input.shape[2] - kh + 1  # H'
        rows = self.weight.permute(2, 0, 1, 3).reshape(kh * K, C, 1, kw)
        of_rows = to_float32(F.conv2d(input, rows))  # (N, kh K, H, W')
        output = of_rows[:, :K, :height]
        for row in range(1, kh):
            output = output + of_rows[:, row * K : (row + 1) * K, row : row + height]
        return output if self.bias is None else output + self.bias.view(1, -1, 1, 1)

    def _is_faster(self, input: Tensor) -> bool:
        """Return False for half precision with a backward pass in the contiguous layout (measured).

        Compiled networks are in channels_last, though tensors do not show it while being traced.
        """
        half = torch.is_autocast_enabled("cpu") or input.dtype in (torch.bfloat16, torch.float16)
        fast = torch.compiler.is_compiling() or input.is_contiguous(
            memory_format=torch.channels_last
        )
        return not half or not torch.is_grad_enabled() or fast


def has_few_positions(
    images: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> bool:
    """Return whether outputs have so few positions, N H' W', that a product is faster.

    So have the last layers of a discriminator of small images.
    """
    height, width = _output_sides(images, weight, stride, padding)
    return weight.numel() >= WEIGHTS_PER_POSITION * images.shape[0] * height * width


def convolve_as_product(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> Tensor:
    """Return what `F.conv2d` does, to rounding: (N, C, H, W) -> (N, K, H', W'), in channels_last.

    As `F.conv2d`, it computes in the type of autocast.
    """
    half = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if half else images.dtype
    sides = _output_sides(images, weight, stride, padding)
    product = _Product.apply(images.to(dtype), weight.to(dtype), stride, padding)
    output = product.view(images.shape[0], *sides, weight.shape[0]).permute(0, 3, 1, 2)
    return output if bias is None else output + bias.to(dtype).view(1, -1, 1, 1)


def _output_sides(
    images: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[int, int]:
    """Return H' and W'."""
    height, width = (
        (images.shape[axis] + 2 * padding[axis - 2] - weight.shape[axis]) // stride[axis - 2] + 1
        for axis in (2, 3)
    )
    return height, width


class _Product(torch.autograd.Function):
    """The product of the patches of images, (N H' W', kh kw C), with weights: (N H' W', K).

    Not a view of it: layers that follow may overwrite the output.
    """

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        """(N, C, H, W) and (K, C, kh, kw) -> (N H' W', K)."""
        (K, _, kh, kw), (ph, pw) = weight.shape, padding
        windows = F.pad(images, (pw, pw, ph, ph)).unfold(2, kh, stride[0]).unfold(3, kw, stride[1])
        N, _, H, W = windows.shape[:4]
        patches = windows.permute(0, 2, 3, 4, 5, 1).reshape(N * H * W, -1)
        context.save_for_backward(images, weight, patches)
        context.stride, context.padding = stride, padding
        return patches @ weight.permute(0, 2, 3, 1).reshape(K, -1).t()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        """(N H' W', K) -> gradients of the images, by a convolution, and of the weights."""
        images, weight, patches = context.saved_tensors
        stride, padding = context.stride, context.padding
        K, C, kh, kw = weight.shape
        of_images = of_weight = None
        if context.needs_input_grad[0]:
            sides = _output_sides(images, weight, stride, padding)
            of_output = gradient.view(images.shape[0], *sides, K).permute(0, 3, 1, 2)
            how = (stride, padding, (1, 1), False, (0, 0), 1, (True, False, False))
            backward = torch.ops.aten.convolution_backward
            of_images = backward(of_output, images, weight, None, *how)[0]
        if context.needs_input_grad[1]:
            of_weight = (gradient.t() @ patches).view(K, kh, kw, C).permute(0, 3, 1, 2)
        return of_images, of_weight, None, None
