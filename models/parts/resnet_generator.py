"""The ResNet generator of CycleGAN (arXiv 1703.10593, appendix 7.2; after arXiv 1603.08155).

Legend: N batch, C channels, H W height and width, f = ngf.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .convolutions import Conv2d, ConvTranspose2d, OutputConv2d, with_bias
from .layers import Identity, NormFactory, ReflectionPad2d, ReLU, conv_needs_bias, fast_norm
from .upsampling import check_upsampling, resize_convolution

PADDINGS = ("reflect", "replicate", "zero")
"""What `padding_type` takes."""
SKIP_MARK = "has_skip_connections"
"""A key in the weights of generators that have them, as no weight would tell."""


class ResnetBlock(nn.Module):
    """x + F(x), where F is pad, conv3, norm, ReLU, [dropout 0.5], pad, conv3, norm.

    `padding_type` is reflect, replicate or zero, which is done by the convolutions. Raises
    ValueError for another.
    """

    def __init__(
        self,
        dim: int,
        padding_type: str,
        norm_layer: NormFactory,
        use_dropout: bool,
        use_bias: bool,
    ) -> None:
        super().__init__()
        norm = fast_norm(norm_layer)
        dropout = [nn.Dropout(0.5)] if use_dropout else []
        self.conv_block = nn.Sequential(
            *_padded_conv3(dim, padding_type, norm, use_bias),
            norm(dim),
            ReLU(),
            *dropout,
            *_padded_conv3(dim, padding_type, norm, use_bias),
            norm(dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """An encoder, n residual blocks at a quarter of the size, and a decoder.

    (N, input_nc, H, W) in [-1, 1] -> (N, output_nc, H, W) in (-1, 1); H and W multiples of 4,
    at least 8. `padding_type` is that of the residual blocks, `upsample` transposed or resize, see
    `resize_convolution`. `skip_connections`: what the encoder makes of each size is added to what
    the decoder makes of it, so that details reach the output past the residual blocks, as in a
    U-Net (arXiv 1505.04597), which concatenates.
    """

    multiple = 4  # two layers of stride 2, undone by two transposed ones
    smallest = 8  # residual blocks see a quarter: reflection padding of 1 needs 2 pixels there

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm_layer: NormFactory = nn.BatchNorm2d,
        use_dropout: bool = False,
        n_blocks: int = 6,
        padding_type: str = "reflect",
        upsample: str = "transposed",
        skip_connections: bool = False,
    ) -> None:
        super().__init__()
        check_upsampling(upsample)
        norm = fast_norm(norm_layer)
        f, bias = ngf, conv_needs_bias(norm)
        self.model = nn.Sequential(
            # (N, input_nc, H, W) -> (N, f, H, W) -> (N, 2f, H/2, W/2) -> (N, 4f, H/4, W/4)
            ReflectionPad2d(3),
            Conv2d(input_nc, f, norm, kernel_size=7),
            norm(f),
            ReLU(),
            *_halve(f, 2 * f, norm),
            *_halve(2 * f, 4 * f, norm),
            *(ResnetBlock(4 * f, padding_type, norm, use_dropout, bias) for _ in range(n_blocks)),
            # (N, 4f, H/4, W/4) -> (N, 2f, H/2, W/2) -> (N, f, H, W) -> (N, output_nc, H, W)
            *_double(4 * f, 2 * f, norm, upsample),
            *_double(2 * f, f, norm, upsample),
            ReflectionPad2d(3),
            OutputConv2d(f, output_nc, kernel_size=7),
            nn.Tanh(),
        )
        self.skips: dict[int, int] = {}
        """Entry of `model` -> the earlier one whose output is added to its output."""
        if skip_connections:
            end = len(self.model) - 4  # of the second doubling
            self.skips = {(end + 9 + n_blocks) // 2: 6, end: 3}
            self.register_buffer(SKIP_MARK, torch.ones(1))

    def forward(self, x: Tensor, layers: Sequence[int] = ()) -> Tensor | list[Tensor]:
        """(N, input_nc, H, W) -> (N, output_nc, H, W).

        With `layers`, ascending entries of `model`, the outputs of these layers instead.
        """
        if not self.skips and not layers:
            return self.model(x)
        features, skipped = [], {}
        for number in range(layers[-1] + 1 if layers else len(self.model)):
            x = self.model[number](x)
            if number in self.skips.values():
                skipped[number] = x
            elif number in self.skips:
                x = x + skipped[self.skips[number]]
            if number in layers:
                features.append(with_bias(self.model[number], x))
                if isinstance(self.model[number + 1], ReLU | Identity):
                    x = x.clone()  # which ReLU, also behind no norm, may overwrite
        return features if layers else x


def _padded_conv3(
    channels: int, padding_type: str, norm: NormFactory, bias: bool
) -> list[nn.Module]:
    if padding_type not in PADDINGS:
        raise ValueError(f"padding_type {padding_type}: choose from {', '.join(PADDINGS)}")
    inside = 1 if padding_type == "zero" else 0
    conv = Conv2d(channels, channels, norm, kernel_size=3, padding=inside, bias=bias)
    pads = {"reflect": ReflectionPad2d, "replicate": nn.ReplicationPad2d}
    return [conv] if inside else [pads[padding_type](1), conv]


def _halve(inner: int, outer: int, norm: NormFactory) -> list[nn.Module]:
    conv = Conv2d(inner, outer, norm, kernel_size=3, stride=2, padding=1)
    return [conv, norm(outer), ReLU()]


def _double(inner: int, outer: int, norm: NormFactory, upsample: str) -> list[nn.Module]:
    if upsample == "resize":
        return [*resize_convolution(inner, outer, norm), norm(outer), ReLU()]
    conv = ConvTranspose2d(inner, outer, norm, kernel_size=3, stride=2, padding=1, output_padding=1)
    return [conv, norm(outer), ReLU()]
