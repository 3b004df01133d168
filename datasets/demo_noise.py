"""Smooth random noise and skylines for the demo scenes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]


def smooth_noise(
    rng: Generator, shape: tuple[int, int], rows: float, columns: float, octaves: int = 4
) -> Array:
    """Return fractal noise, float32 of ``shape``, about -1..1.

    The coarsest of its octaves has ``rows`` x ``columns`` waves.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        knots = (max(2, round(rows * 2**octave) + 1), max(2, round(columns * 2**octave) + 1))
        grid = Image.fromarray(rng.uniform(-1.0, 1.0, knots).astype(np.float32) * 0.5**octave)
        total += np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC))
    return total


def skyline(rng: Generator, side: int, waves: float, roughness: float) -> Array:
    """Return a skyline, float32 (side,), about -1..1: from hills (roughness 0) to peaks (1)."""
    line = np.zeros(side, np.float32)
    position = np.linspace(0, 1, side)
    for octave in range(6):
        knots = rng.uniform(-1, 1, round(waves * 2**octave) + 3)
        fine = np.interp(position, np.linspace(0, 1, len(knots)), knots)
        x = position * (len(knots) - 1)
        left = np.minimum(x.astype(int), len(knots) - 2)
        ease = (x - left) ** 2 * (3 - 2 * (x - left))
        soft = knots[left] + (knots[left + 1] - knots[left]) * ease
        line += (soft + (fine - soft) * roughness) * (0.30 + 0.17 * roughness) ** octave
    return line.astype(np.float32)


def shift(values: Array, down: int, right: int) -> Array:
    """Return ``values`` moved by whole pixels; the border is repeated."""
    rows = np.clip(np.arange(values.shape[0]) - down, 0, values.shape[0] - 1)
    columns = np.clip(np.arange(values.shape[1]) - right, 0, values.shape[1] - 1)
    return values[rows[:, None], columns[None, :]]
