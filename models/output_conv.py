"""The last convolution of a generator, from many channels to the few of a picture."""

import torch
from torch import Tensor, nn

from .precision import full


class OutputConv2d(nn.Conv2d):
    """A convolution without padding, stride or groups, (N, C, H, W) -> (N, K, H', W').

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
        of_rows = full(nn.functional.conv2d(input, rows))  # (N, kh K, H, W')
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
