"""The U-Net generator of pix2pix (arXiv 1611.07004, section 6.1.1; after arXiv 1505.04597).

Legend: N batch, C channels, H W height and width, d = number of halvings.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .convolutions import Conv2d, ConvTranspose2d
from .layers import NormFactory, conv_needs_bias, fast_norm
from .upsampling import RepeatPixels, check_upsampling, resize_convolution

HALVES: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}
"""Of a convolution that halves the size; transposed, it doubles it."""


class UnetSkipConnectionBlock(nn.Module):
    """One level: halve, apply the next level `submodule`, double, and concatenate with the input.

    (N, outer_nc, H, W) -> (N, 2 outer_nc, H, W); `outermost`: (N, input_nc, H, W) ->
    (N, outer_nc, H, W) in (-1, 1). `innermost` has no `submodule`. Inside there are inner_nc
    channels at half the size. `input_nc` is outer_nc unless it is given.
    """

    def __init__(
        self,
        outer_nc: int,
        inner_nc: int,
        input_nc: int | None = None,
        submodule: nn.Module | None = None,
        outermost: bool = False,
        innermost: bool = False,
        norm_layer: NormFactory = nn.BatchNorm2d,
        use_dropout: bool = False,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        self.outermost = outermost
        norm = fast_norm(norm_layer)
        inside = [] if submodule is None else [submodule]
        first = input_nc or outer_nc
        last = inner_nc if innermost else 2 * inner_nc  # the next level returns its input too
        if outermost or innermost:  # no norm follows
            bias = conv_needs_bias(norm)
            down: list[nn.Module] = [nn.Conv2d(first, inner_nc, **HALVES, bias=bias)]
        else:
            down = [Conv2d(first, inner_nc, norm, **HALVES)]
        up = _double(last, outer_nc, None if outermost else norm, upsample)
        after: list[nn.Module] = [nn.Tanh()] if outermost else [norm(outer_nc)]
        if not outermost:
            down.insert(0, nn.LeakyReLU(0.2))
            if not innermost:
                down.append(norm(inner_nc))
                after += [nn.Dropout(0.5)] if use_dropout else []
        self.model = nn.Sequential(*down, *inside, nn.ReLU(inplace=True), *up, *after)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) -> (N, 2c, H, W), outermost (N, output_nc, H, W)."""
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class UnetGenerator(nn.Module):
    """`num_downs` halvings and as many doublings, with a skip connection at every level.

    (N, input_nc, H, W) in [-1, 1] -> (N, output_nc, H, W) in (-1, 1); H and W multiples of
    2 ** num_downs. `upsample` is transposed or resize, see `resize_convolution`.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        num_downs: int,
        ngf: int = 64,
        norm_layer: NormFactory = nn.BatchNorm2d,
        use_dropout: bool = False,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        check_upsampling(upsample)
        self.multiple = 2**num_downs
        # channels of each level, at most 8 ngf
        widths = [ngf * min(2**level, 8) for level in range(num_downs)]
        level_block = partial(UnetSkipConnectionBlock, norm_layer=norm_layer, upsample=upsample)
        block = level_block(widths[-2], widths[-1], innermost=True)
        for level in reversed(range(1, num_downs - 1)):
            dropout = use_dropout and level >= 4  # in the levels of full width, 8 ngf
            outer, inner = widths[level - 1], widths[level]
            block = level_block(outer, inner, submodule=block, use_dropout=dropout)
        self.model = level_block(output_nc, ngf, input_nc, submodule=block, outermost=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) -> (N, output_nc, H, W)."""
        return self.model(x)


def _double(inner: int, outer: int, norm: NormFactory | None, upsample: str) -> list[nn.Module]:
    """Return layers that double the sides; `norm` is what follows them."""
    if upsample == "resize":
        if norm is None:
            return [RepeatPixels(), nn.Conv2d(inner, outer, kernel_size=3, padding=1)]
        return resize_convolution(inner, outer, norm)
    if norm is None:
        return [nn.ConvTranspose2d(inner, outer, **HALVES)]
    return [ConvTranspose2d(inner, outer, norm, **HALVES)]
