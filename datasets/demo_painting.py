"""The painterly side of the demo data set: a sunset palette and oriented brush strokes.

Images are float32 (H, W, 3) in 0..1. The palette is one linear map of the colours, the same for
every image: blue skies turn to apricot and gold, greens to violet; light stays light and dark
stays dark.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]

#: painted RGB = PALETTE @ RGB + PALETTE_FLOOR
PALETTE = np.array([[-0.02, 0.30, 0.80], [0.07, 0.45, 0.50], [0.38, 0.48, -0.30]], np.float32)
PALETTE_FLOOR = np.array([0.07, -0.05, 0.19], np.float32)

#: (distance of strokes, their length, their width) as fractions of the image, coarse ones first
BRUSHES = ((0.036, 0.100, 0.038), (0.022, 0.060, 0.019))


def paint(rng: Generator, scene: Array) -> Array:
    """Return ``scene`` as a painting of the same size: float32 (H, W, 3) in 0..1."""
    size = scene.shape[0]
    scale = 3 if size <= 160 else 2
    colours = recolour(scene)
    angles, detail = stroke_angles(colours)
    canvas = _canvas(colours, size * scale)
    pen = ImageDraw.Draw(canvas)
    for spacing, length, width in BRUSHES:
        _strokes(rng, pen, colours, angles, detail, scale, (spacing, length, width))
    layers = np.asarray(canvas).astype(np.float32) / np.float32(255)
    return _shrink_and_light(layers, scale)


def recolour(scene: Array) -> Array:
    """Apply the palette map alone, (H, W, 3) -> (H, W, 3)."""
    return np.clip(scene @ PALETTE.T + PALETTE_FLOOR, 0, 1)


def stroke_angles(image: Array) -> tuple[Array, Array]:
    """Return the direction of strokes in radians and the detail in 0..1, both (H, W).

    Strokes follow the edges and lie level where the image is flat.
    """
    size = image.shape[0]
    grey = Image.fromarray(np.rint(image.mean(axis=2) * 255).astype(np.uint8))
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(size / 80))).astype(np.float32)
    dy, dx = np.gradient(blurred * (size / 96))
    even, odd = (_blur(part, size / 30) for part in (dx * dx - dy * dy, 2 * dx * dy))
    # The doubled angle of the gradient, pulled towards a vertical gradient (a level stroke).
    angles = 0.5 * np.arctan2(-odd, 3.0 - even)
    detail = np.clip(_blur(np.hypot(dx, dy), size / 40) / 12, 0, 1)
    return angles.astype(np.float32), detail.astype(np.float32)


def _blur(values: Array, radius: float) -> Array:
    """Blur values (H, W) by shrinking and enlarging them."""
    small = max(2, round(values.shape[0] / radius))
    image = Image.fromarray(values.astype(np.float32))
    reduced = image.resize((small, small), Image.Resampling.BOX)
    return np.asarray(reduced.resize(image.size, Image.Resampling.BICUBIC))


def _canvas(colours: Array, side: int) -> Image.Image:
    """Return the ground between the strokes: the blurred image, with even paint in alpha."""
    image = Image.fromarray(np.rint(colours * 255).astype(np.uint8))
    ground = image.resize((side, side), Image.Resampling.BILINEAR)
    ground = ground.filter(ImageFilter.BoxBlur(side / 60))
    ground.putalpha(128)
    return ground


def _strokes(
    rng: Generator,
    pen: ImageDraw.ImageDraw,
    colours: Array,
    angles: Array,
    detail: Array,
    scale: int,
    brush: tuple[float, float, float],
) -> None:
    """Draw strokes on a jittered grid in random order; alpha holds the thickness of the paint."""
    size = colours.shape[0]
    spacing, length, width = (part * size for part in brush)
    line = np.arange(spacing / 2, size, spacing)
    centres = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    centres = rng.permutation(centres + rng.uniform(-0.5, 0.5, centres.shape) * spacing)
    count = len(centres)
    x, y = np.clip(centres.T.astype(int), 0, size - 1)
    angle = angles[y, x] + rng.normal(0, 0.20, count)
    long = length / 2 * rng.uniform(0.7, 1.2, count) * (1 - 0.5 * detail[y, x])
    wide = width / 2 * rng.uniform(0.75, 1.2, count) * (1 - 0.3 * detail[y, x])
    along = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    corners = [(-1, 0), (-0.75, 0.9), (0.7, 1), (1, 0), (0.7, -1), (-0.75, -0.9)]
    outline = np.stack(
        [along * (long * u)[:, None] + across * (wide * v)[:, None] for u, v in corners], axis=1
    )
    points = ((centres[:, None, :] + 0.5 + outline) * scale).reshape(count, -1).tolist()
    tone = colours[y, x] * (1 + rng.normal(0, 0.055, (count, 1))) + rng.normal(0, 0.022, (count, 3))
    thickness = rng.uniform(0.25, 0.75, (count, 1))
    inks = np.rint(np.clip(np.concatenate([tone, thickness], axis=1), 0, 1) * 255).astype(int)
    for shape, ink in zip(points, inks.tolist(), strict=True):
        pen.polygon(shape, fill=tuple(ink))


def _shrink_and_light(layers: Array, scale: int) -> Array:
    """Shrink (H*scale, W*scale, RGB and thickness) to (H, W, 3) with lit edges of the paint."""
    side = layers.shape[0] // scale
    small = layers.reshape(side, scale, side, scale, 4).mean(axis=(1, 3))
    thickness = np.pad(small[..., 3], 1, mode="edge")
    edge = thickness[2:, 2:] - thickness[:-2, :-2]
    return np.clip(small[..., :3] * (1 + 0.22 * edge[..., None]), 0, 1).astype(np.float32)
