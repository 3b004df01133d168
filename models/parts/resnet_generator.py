"""The ResNet generator of CycleGAN (arXiv 1703.10593, appendix 7.2; after arXiv 1603.08155).

Legend: N batch, C channels, H W height and width, f = ngf.
"""

from torch import Tensor, nn

from .layers import Conv2d, ConvTranspose2d, NormFactory, OutputConv2d, ReflectionPad2d, ReLU


class ResnetBlock(nn.Module):
    """x + F(x), where F is pad, conv3, norm, ReLU, [dropout 0.5], pad, conv3, norm."""

    def __init__(self, channels: int, norm: NormFactory, use_dropout: bool) -> None:
        super().__init__()
        dropout = [nn.Dropout(0.5)] if use_dropout else []
        self.conv_block = nn.Sequential(
            ReflectionPad2d(1),
            Conv2d(channels, channels, norm, kernel_size=3),
            norm(channels),
            ReLU(),
            *dropout,
            ReflectionPad2d(1),
            Conv2d(channels, channels, norm, kernel_size=3),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """An encoder, n residual blocks at a quarter of the size, and a decoder.

    (N, input_nc, H, W) in [-1, 1] -> (N, output_nc, H, W) in (-1, 1); H and W multiples of 4,
    at least 8.
    """

    multiple = 4  # two layers of stride 2, undone by two transposed ones
    smallest = 8  # residual blocks see a quarter: reflection padding of 1 needs 2 pixels there

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int,
        norm: NormFactory,
        use_dropout: bool = False,
        n_blocks: int = 9,
    ) -> None:
        super().__init__()
        f = ngf
        self.model = nn.Sequential(
            # (N, input_nc, H, W) -> (N, f, H, W) -> (N, 2f, H/2, W/2) -> (N, 4f, H/4, W/4)
            ReflectionPad2d(3),
            Conv2d(input_nc, f, norm, kernel_size=7),
            norm(f),
            ReLU(),
            *_halve(f, 2 * f, norm),
            *_halve(2 * f, 4 * f, norm),
            *(ResnetBlock(4 * f, norm, use_dropout) for _ in range(n_blocks)),
            # (N, 4f, H/4, W/4) -> (N, 2f, H/2, W/2) -> (N, f, H, W) -> (N, output_nc, H, W)
            *_double(4 * f, 2 * f, norm),
            *_double(2 * f, f, norm),
            ReflectionPad2d(3),
            OutputConv2d(f, output_nc, kernel_size=7),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) -> (N, output_nc, H, W)."""
        return self.model(x)


def _halve(inner: int, outer: int, norm: NormFactory) -> list[nn.Module]:
    conv = Conv2d(inner, outer, norm, kernel_size=3, stride=2, padding=1)
    return [conv, norm(outer), ReLU()]


def _double(inner: int, outer: int, norm: NormFactory) -> list[nn.Module]:
    conv = ConvTranspose2d(inner, outer, norm, kernel_size=3, stride=2, padding=1, output_padding=1)
    return [conv, norm(outer), ReLU()]
