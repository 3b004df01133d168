"""Distances between a translation and its true answer.

Legend: levels are (3, H, W) uint8, 0 to 255, of equal size; a map is (C, H', W').
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from util.images import Uint8Image, to_uint8

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
"""Of SSIM as published (IEEE Transactions on Image Processing 13(4), 2004)."""


def l1(fake: Uint8Image, true: Uint8Image) -> float:
    """Mean absolute difference, in levels."""
    return float(np.abs(fake.astype(np.float64) - true).mean())


def psnr(fake: Uint8Image, true: Uint8Image) -> float:
    """10 log10(255^2 / MSE), in dB; infinite for equal images."""
    error = float(np.square(fake.astype(np.float64) - true).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(fake: Uint8Image, true: Uint8Image) -> float:
    """Structural similarity: the mean over channels and over windows that lie in the image.

    Gaussian window of 11x11 (smaller in smaller images), sigma 1.5, data range 255.
    """
    x, y = (torch.from_numpy(levels.astype(np.float64)).unsqueeze(1) for levels in (fake, true))
    window = _window(min(WINDOW, *fake.shape[-2:]))
    mean_x, mean_y = F.conv2d(x, window), F.conv2d(y, window)
    var_x = F.conv2d(x * x, window) - mean_x**2
    var_y = F.conv2d(y * y, window) - mean_y**2
    covariance = F.conv2d(x * y, window) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (var_x + var_y + c2)).mean())


def _window(side: int) -> Tensor:
    """(1, 1, side, side) float64 with sum 1; `side` is made odd."""
    radius = (side - 1) // 2
    weights = torch.exp(-(torch.arange(-radius, radius + 1.0).double() ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    return torch.outer(weights, weights)[None, None]


def lpips_like(fake: Sequence[Tensor], true: Sequence[Tensor]) -> float:
    """Squared distance of unit feature vectors, mean over places, sum over maps.

    LPIPS (arXiv 1801.03924, equation 1) with all weights one.
    """
    total = 0.0
    for x, y in zip(fake, true, strict=True):
        difference = F.normalize(x.cpu().double(), dim=0) - F.normalize(y.cpu().double(), dim=0)
        total += float(difference.square().sum(dim=0).mean())
    return total


def of_size(levels: Uint8Image, size: tuple[int, int]) -> Uint8Image:
    """The image in another (height, width), bicubic; itself where it has that size."""
    if levels.shape[-2:] == size:
        return levels
    image = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    return to_uint8(image.resize(size[::-1], Image.Resampling.BICUBIC))


PROTOCOLS = {
    "l1": "mean absolute difference, levels of 0 to 255",
    "psnr": "data range 255",
    "ssim": f"Gaussian window {WINDOW}x{WINDOW}, sigma {SIGMA}, data range 255, RGB",
    "lpips_like": "maps of five resolutions, all weights one",
}
OF_LEVELS = {"l1": l1, "psnr": psnr, "ssim": ssim}
