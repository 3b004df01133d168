"""Trees and houses of the demo scenes, drawn as polygons.

Scenes are float32 (side, side, 3) in 0..1 and are drawn on in place; positions are fractions of
the side (y down), colours are RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
WALLS = ((0.86, 0.83, 0.77), (0.78, 0.74, 0.68), (0.90, 0.89, 0.86), (0.70, 0.58, 0.46))
ROOFS = ((0.58, 0.26, 0.20), (0.48, 0.24, 0.20), (0.35, 0.30, 0.30), (0.64, 0.34, 0.24))


class Pencil:
    """Draws on an 8-bit image with positions as fractions of its side and colours in 0..1."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)
        self._side = image.width

    def polygon(self, points: list[tuple[float, float]], colour: Array) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([(x * self._side, y * self._side) for x, y in points], _bytes(colour))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Array) -> None:
        """Draw a filled ellipse around (x, y)."""
        box = [(x - rx) * self._side, (y - ry) * self._side]
        box += [(x + rx) * self._side, (y + ry) * self._side]
        self._draw.ellipse(box, _bytes(colour))


def _bytes(colour: Array) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in np.clip(np.rint(colour * 255), 0, 255))
    return red, green, blue


@contextmanager
def _drawing(scene: Array) -> Iterator[Pencil]:
    """Yield a pencil; what it drew is copied into ``scene`` afterwards."""
    image = Image.fromarray(np.rint(np.clip(scene, 0, 1) * 255).astype(np.uint8))
    yield Pencil(image)
    np.divide(np.asarray(image), 255, out=scene, dtype=np.float32)


def add_treeline(rng: Generator, scene: Array, forest: Array, foot: float) -> None:
    """Draw a far row of small trees with gaps; the trees stand on the height ``foot``."""
    start = rng.uniform(-0.2, 0.4)
    end = start + rng.uniform(0.4, 1.0)
    hazy = forest * np.float32(0.72) + np.float32(0.13) * np.array([0.9, 1.1, 1.3], np.float32)
    with _drawing(scene) as pencil:
        for x in np.arange(start, end, 0.013):
            tall = rng.uniform(0.018, 0.05)
            wide = rng.uniform(0.008, 0.015)
            tone = hazy * np.float32(rng.uniform(0.85, 1.15))
            pencil.polygon(
                [(x - wide, foot + 0.02), (x, foot - tall), (x + wide, foot + 0.02)], tone
            )


def add_shore_trees(rng: Generator, scene: Array, forest: Array, foot: float, light: float) -> None:
    """Draw one to three groups of middle-sized trees that stand on the height ``foot``."""
    with _drawing(scene) as pencil:
        for _ in range(int(rng.integers(1, 4))):
            middle = rng.uniform(0.05, 0.95)
            conifers = rng.random() < 0.5
            for _ in range(int(rng.integers(2, 6))):
                x = middle + rng.normal(0, 0.07)
                tall = rng.uniform(0.08, 0.17)
                (_conifer if conifers else _broadleaf)(rng, pencil, x, foot, tall, forest, light)


def add_foreground_trees(
    rng: Generator, scene: Array, forest: Array, light: float, sun_x: float
) -> None:
    """Draw up to three large trees at the side of the scene that is away from the sun."""
    if rng.random() < 0.35:
        return
    left = sun_x > 0.5
    conifers = rng.random() < 0.5
    with _drawing(scene) as pencil:
        for number in range(int(rng.integers(1, 4))):
            inward = rng.uniform(0.02, 0.10) + 0.09 * number
            x = inward if left else 1 - inward
            foot = rng.uniform(0.94, 1.02) - 0.03 * number
            tall = rng.uniform(0.42, 0.66) * (1 - 0.16 * number)
            kind = _conifer if conifers else _broadleaf
            kind(rng, pencil, x, foot, tall, forest * np.float32(0.9), light)


def _conifer(
    rng: Generator, pencil: Pencil, x: float, foot: float, tall: float, forest: Array, light: float
) -> None:
    """Draw a fir: tiers of branches, lighter on one side."""
    trunk = np.array([0.20, 0.15, 0.11], np.float32) * np.float32(light)
    pencil.polygon([(x - 0.02 * tall, foot), (x, foot - tall), (x + 0.02 * tall, foot)], trunk)
    wide = tall * rng.uniform(0.19, 0.26)
    dark = forest * np.float32(rng.uniform(0.80, 1.10))
    lit = dark * np.float32(1.35) + np.array([0.02, 0.04, 0.0], np.float32)
    tiers = int(np.clip(tall * 26, 4, 9))
    for tier in range(tiers):
        part = tier / tiers
        half = wide * (1 - 0.88 * part) * rng.uniform(0.88, 1.12)
        low = foot - tall * (0.07 + 0.80 * part)
        top = low - tall * (0.30 - 0.12 * part)
        sag = 0.03 * tall
        pencil.polygon([(x - half, low + sag), (x, top), (x + half, low + sag), (x, low)], dark)
        pencil.polygon([(x - half * 0.9, low + sag * 0.8), (x, top), (x - half * 0.2, low)], lit)


def _broadleaf(
    rng: Generator, pencil: Pencil, x: float, foot: float, tall: float, forest: Array, light: float
) -> None:
    """Draw a round tree: a trunk and clumps of leaves, darker below and lighter above."""
    trunk = np.array([0.25, 0.19, 0.14], np.float32) * np.float32(light)
    lean = rng.normal(0, 0.03) * tall
    root = 0.035 * tall
    crown = [(x + lean - root / 2, foot - 0.6 * tall), (x + lean + root / 2, foot - 0.6 * tall)]
    pencil.polygon([(x - root, foot), *crown, (x + root, foot)], trunk)
    base = forest * np.float32(rng.uniform(1.0, 1.35)) + np.array([0.02, 0.03, 0.0], np.float32)
    clumps = int(np.clip(tall * 120, 9, 60))
    places = np.concatenate([np.sort(rng.uniform(-1, 1, clumps)), rng.uniform(-1, 1, clumps * 2)])
    for number, place in enumerate(places):
        leaf = number >= clumps
        across = rng.uniform(-1, 1) * np.sqrt(1.05 - 0.8 * place**2)
        size = tall * (rng.uniform(0.018, 0.045) if leaf else rng.uniform(0.07, 0.12))
        tone = 0.78 + 0.34 * (place + 1) / 2 + 0.12 * across
        tone += rng.uniform(-0.12, 0.24) if leaf else rng.uniform(-0.08, 0.08)
        spot = (x + lean + 0.33 * tall * across, foot - tall * (0.64 + 0.29 * place))
        pencil.ellipse(*spot, size, size * 0.8, base * np.float32(tone))


def add_house(rng: Generator, scene: Array, foot: float, light: float, sun_x: float) -> None:
    """Draw one or two small houses that stand on the height ``foot``."""
    middle = rng.uniform(0.18, 0.78)
    with _drawing(scene) as pencil:
        for number in range(int(rng.integers(1, 3))):
            wide = rng.uniform(0.09, 0.15) * (1 - 0.25 * number)
            _house(rng, pencil, middle + 0.16 * number, foot - 0.008 * number, wide, light, sun_x)


def _house(
    rng: Generator, pencil: Pencil, x: float, foot: float, wide: float, light: float, sun_x: float
) -> None:
    """Draw a house seen over a corner: gable wall, long wall, roof, windows, chimney."""
    wall = np.array(WALLS[rng.integers(len(WALLS))], np.float32) * np.float32(light)
    roof = np.array(ROOFS[rng.integers(len(ROOFS))], np.float32) * np.float32(light)
    dark = np.array([0.20, 0.22, 0.27], np.float32) * np.float32(0.4 + 0.6 * light)
    gable_tone, long_tone = (1.0, 0.80) if sun_x < x else (0.80, 1.0)
    eaves = foot - wide * rng.uniform(0.34, 0.46)
    top = eaves - wide * rng.uniform(0.26, 0.38)
    corner = x + wide * 0.40
    peak = x + wide * 0.20
    end = x + wide
    over = wide * 0.035

    def box(left: float, high: float, right: float, low: float, colour: Array) -> None:
        pencil.polygon([(left, high), (right, high), (right, low), (left, low)], colour)

    chimney = x + wide * 0.72
    box(chimney, top - wide * 0.10, chimney + wide * 0.09, eaves, roof * np.float32(0.7))
    gable = [(x, foot), (x, eaves), (peak, top), (corner, eaves), (corner, foot)]
    pencil.polygon(gable, wall * np.float32(gable_tone))
    box(corner, eaves, end, foot, wall * np.float32(long_tone))
    slope = [(peak, top - over), (end - wide * 0.16, top - over)]
    pencil.polygon([*slope, (end + over, eaves + over), (corner, eaves + over)], roof)
    verge = [(peak, top - over), (peak, top + over)]
    verge += [(x - over, eaves + 2 * over), (x - over, eaves + over)]
    pencil.polygon(verge, roof * np.float32(0.8))
    for part in (0.50, 0.68, 0.86):
        left, high = x + wide * part, foot - wide * 0.28
        box(left, high, left + wide * 0.08, high + wide * 0.13, dark)
    box(x + wide * 0.13, foot - wide * 0.24, x + wide * 0.26, foot, dark)
