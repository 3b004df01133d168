"""PatchGAN and pixel discriminators (arXiv 1611.07004, section 6.1.2).

Legend: N batch, H W height and width of the image, H' W' of the map of patch scores.
"""

from torch import Tensor, nn

from .convolutions import Conv2d
from .layers import LeakyReLU, NormFactory, conv_needs_bias, fast_norm


class NLayerDiscriminator(nn.Module):
    """A PatchGAN: each score is for one patch of the image, 70x70 pixels at n_layers = 3.

    (N, input_nc, H, W) -> (N, 1, H', W'), scores without a sigmoid.
    """

    def __init__(
        self,
        input_nc: int,
        ndf: int = 64,
        n_layers: int = 3,
        norm_layer: NormFactory = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        norm = fast_norm(norm_layer)
        self.smallest = smallest_image(n_layers)
        layers: list[nn.Module] = [_conv4(input_nc, ndf, stride=2), nn.LeakyReLU(0.2)]
        # channels of each layer, at most 8 ndf
        widths = [ndf * min(2**layer, 8) for layer in range(n_layers + 1)]
        for layer in range(1, n_layers + 1):
            stride = 2 if layer < n_layers else 1
            layers += [
                Conv2d(
                    widths[layer - 1], widths[layer], norm, kernel_size=4, stride=stride, padding=1
                ),
                norm(widths[layer]),
                LeakyReLU(0.2),
            ]
        self.model = nn.Sequential(*layers, _conv4(widths[-1], 1, stride=1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) -> (N, 1, H', W')."""
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """1x1 convolutions only: each pixel has a score, which depends on its colour alone.

    (N, input_nc, H, W) -> (N, 1, H, W), scores without a sigmoid.
    """

    def __init__(
        self, input_nc: int, ndf: int = 64, norm_layer: NormFactory = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        norm = fast_norm(norm_layer)
        bias = conv_needs_bias(norm)
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, kernel_size=1),
            nn.LeakyReLU(0.2),
            Conv2d(ndf, 2 * ndf, norm, kernel_size=1),
            norm(2 * ndf),
            LeakyReLU(0.2),
            nn.Conv2d(2 * ndf, 1, kernel_size=1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) -> (N, 1, H, W)."""
        return self.net(x)


def patch_map_size(size: int, n_layers: int) -> int:
    """Return the side of the score map of a PatchGAN for an image of side `size`, in pixels.

    Below 1 the image is too small.
    """
    for _ in range(n_layers):
        size = size // 2
    return size - 2  # two convolutions of kernel 4, stride 1 and padding 1 take a pixel each


def smallest_image(n_layers: int) -> int:
    """Return the smallest side of an image, in pixels, for which `patch_map_size` is 1."""
    return 3 * 2**n_layers


def _conv4(inner: int, outer: int, stride: int) -> nn.Module:
    return nn.Conv2d(inner, outer, kernel_size=4, stride=stride, padding=1)
