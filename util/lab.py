"""Conversion between sRGB and CIE 1976 L*a*b* under D65 (IEC 61966-2-1, ISO/CIE 11664-4).

Shapes: lightness (N, 1, H, W), L / 50 - 1; colour (N, 2, H, W), ab / 110; RGB (N, 3, H, W); all
float, nominally in [-1, 1].
"""

import torch
from torch import Tensor

RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""From linear sRGB (IEC 61966-2-1)."""
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of the illuminant D65."""
DELTA = 6 / 29
"""Below it the cube root of L*a*b* is replaced by a line (ISO/CIE 11664-4)."""


def rgb_to_lab(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Convert RGB (N, 3, H, W) in [-1, 1] to lightness (N, 1, H, W) and colour (N, 2, H, W)."""
    srgb = (rgb + 1) / 2
    linear = torch.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    xyz = torch.einsum("ij,njhw->nihw", rgb.new_tensor(RGB_TO_XYZ), linear)
    t = xyz / rgb.new_tensor(WHITE).view(3, 1, 1)
    x, y, z = torch.where(
        t > DELTA**3, t.clamp_min(0) ** (1 / 3), t / (3 * DELTA**2) + 4 / 29
    ).unbind(1)
    lightness = (116 * y - 16) / 50 - 1
    colour = torch.stack([500 * (x - y), 200 * (y - z)], dim=1) / 110
    return lightness.unsqueeze(1), colour


def lab_to_rgb(lightness: Tensor, colour: Tensor) -> Tensor:
    """Convert lightness (N, 1, H, W) and colour (N, 2, H, W) to RGB (N, 3, H, W) in [-1, 1]."""
    y = ((lightness[:, 0] + 1) * 50 + 16) / 116
    x, z = y + colour[:, 0] * 110 / 500, y - colour[:, 1] * 110 / 200
    t = torch.stack([x, y, z], dim=1)
    xyz = torch.where(t > DELTA, t**3, 3 * DELTA**2 * (t - 4 / 29))
    xyz = xyz * lightness.new_tensor(WHITE).view(3, 1, 1)
    inverse = torch.linalg.inv(torch.tensor(RGB_TO_XYZ, dtype=torch.float64)).to(xyz)
    linear = torch.einsum("ij,njhw->nihw", inverse, xyz).clamp(0, 1)
    srgb = torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return srgb.clamp(0, 1) * 2 - 1
