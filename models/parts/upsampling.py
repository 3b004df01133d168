"""How the decoder of a generator doubles the sides, by the names that `--upsample` takes."""

from torch import nn

from .convolutions import Conv2d
from .layers import NormFactory

UPSAMPLINGS = ("transposed", "resize")


class RepeatPixels(nn.Upsample):
    """Doubles the sides by repeating each pixel, (N, C, H, W) -> (N, C, 2 H, 2 W)."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="nearest")


def resize_convolution(inner: int, outer: int, norm: NormFactory) -> list[nn.Module]:
    """Return layers (N, inner, H, W) -> (N, outer, 2 H, 2 W) that precede `norm`.

    Every output sees as many inputs as its neighbours. A transposed convolution whose kernel is no
    multiple of its stride lacks that, which shows as a checkerboard (Odena et al., Distill 2016).
    """
    return [RepeatPixels(), Conv2d(inner, outer, norm, kernel_size=3, padding=1)]


def check_upsampling(name: str) -> None:
    """Raise ValueError for an unknown name."""
    if name not in UPSAMPLINGS:
        raise ValueError(f"--upsample {name}: choose from {', '.join(UPSAMPLINGS)}")
