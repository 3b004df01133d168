"""The U-Net generator of pix2pix (arXiv 1611.07004, section 6.1.1; after arXiv 1505.04597).

Legend: N batch, C channels, H W height and width, d = number of halvings.
"""

import torch
from torch import Tensor, nn

from .layers import Conv2d, ConvTranspose2d, NormFactory, conv_needs_bias


class UnetBlock(nn.Module):
    """One level: halve, apply the next level, double, and concatenate with the input.

    (N, c, H, W) -> (N, 2c, H, W), outermost (N, input_nc, H, W) -> (N, output_nc, H, W).
    """

    def __init__(self, layers: list[nn.Module], outermost: bool = False) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.outermost = outermost

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) -> (N, 2c, H, W), outermost (N, output_nc, H, W)."""
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class UnetGenerator(nn.Module):
    """`num_downs` halvings and as many doublings, with a skip connection at every level.

    (N, input_nc, H, W) in [-1, 1] -> (N, output_nc, H, W) in (-1, 1); H and W multiples of
    2 ** num_downs.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        num_downs: int,
        ngf: int,
        norm: NormFactory,
        use_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.multiple = 2**num_downs
        # channels of each level, at most 8 ngf
        widths = [ngf * min(2**level, 8) for level in range(num_downs)]
        block = _innermost(widths[-2], widths[-1], norm)
        for level in reversed(range(1, num_downs - 1)):
            dropout = use_dropout and level >= 4  # in the levels of full width, 8 ngf
            block = _middle(widths[level - 1], widths[level], block, norm, dropout)
        self.model = _outermost(input_nc, output_nc, ngf, block, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) -> (N, output_nc, H, W)."""
        return self.model(x)


def _down(inner: int, outer: int, norm: NormFactory) -> nn.Module:
    return Conv2d(inner, outer, norm, kernel_size=4, stride=2, padding=1)


def _up(inner: int, outer: int, norm: NormFactory) -> nn.Module:
    return ConvTranspose2d(inner, outer, norm, kernel_size=4, stride=2, padding=1)


def _innermost(outer: int, inner: int, norm: NormFactory) -> UnetBlock:
    bias = conv_needs_bias(norm)  # without a norm after it
    return UnetBlock(
        [
            nn.LeakyReLU(0.2),
            nn.Conv2d(outer, inner, kernel_size=4, stride=2, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            _up(inner, outer, norm),
            norm(outer),
        ]
    )


def _middle(
    outer: int, inner: int, inside: nn.Module, norm: NormFactory, use_dropout: bool
) -> UnetBlock:
    down = [nn.LeakyReLU(0.2), _down(outer, inner, norm), norm(inner)]
    up = [nn.ReLU(inplace=True), _up(2 * inner, outer, norm), norm(outer)]
    dropout = [nn.Dropout(0.5)] if use_dropout else []
    return UnetBlock([*down, inside, *up, *dropout])


def _outermost(
    input_nc: int, output_nc: int, ngf: int, inside: nn.Module, norm: NormFactory
) -> UnetBlock:
    bias = conv_needs_bias(norm)  # without a norm after it
    down = nn.Conv2d(input_nc, ngf, kernel_size=4, stride=2, padding=1, bias=bias)
    last = nn.ConvTranspose2d(2 * ngf, output_nc, kernel_size=4, stride=2, padding=1)
    up = [nn.ReLU(inplace=True), last, nn.Tanh()]
    return UnetBlock([down, inside, *up], outermost=True)
