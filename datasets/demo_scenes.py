"""Procedural daylight landscapes: the smooth, photo-like side of the demo data set.

A scene is a pure function of its random generator. Positions are fractions of the side (x to
the right, y down, both 0..1), colours are RGB in 0..1, images are float32 (H, W, 3). They are
drawn two or three times larger and shrunk at the end, which smooths every edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from demo_noise import shift, skyline, smooth_noise
from demo_objects import add_foreground_trees, add_house, add_shore_trees, add_treeline
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: (sky at the top, sky at the horizon, sun or moon, strength of the light, how often)
SKIES = (
    ((0.17, 0.43, 0.82), (0.74, 0.87, 0.95), (1.00, 0.98, 0.88), 1.00, 0.34),  # clear noon
    ((0.14, 0.33, 0.70), (0.80, 0.88, 0.94), (1.00, 0.97, 0.90), 0.95, 0.24),  # mountain air
    ((0.40, 0.60, 0.84), (0.93, 0.94, 0.91), (1.00, 0.97, 0.86), 0.98, 0.22),  # hazy morning
    ((0.32, 0.52, 0.74), (0.83, 0.89, 0.91), (0.98, 0.97, 0.92), 0.86, 0.12),  # thin overcast
    ((0.07, 0.14, 0.38), (0.44, 0.58, 0.80), (0.93, 0.95, 1.00), 0.58, 0.08),  # blue hour, moon
)
MEADOWS = ((0.40, 0.55, 0.22), (0.50, 0.59, 0.27), (0.45, 0.51, 0.24), (0.34, 0.50, 0.24))
FORESTS = ((0.10, 0.24, 0.13), (0.15, 0.29, 0.12), (0.09, 0.21, 0.16), (0.19, 0.30, 0.11))
ROCKS = ((0.34, 0.40, 0.48), (0.30, 0.38, 0.40), (0.40, 0.42, 0.44))


@dataclass(frozen=True)
class Mood:
    """The properties of a scene that all of its parts share."""

    sky_top: Array
    sky_low: Array
    sun: Array
    light: float
    meadow: Array
    forest: Array
    rock: Array
    sun_x: float
    sun_y: float
    horizon: float


def draw_scene(rng: Generator, size: int) -> Array:
    """Draw one landscape of ``size`` x ``size`` pixels: float32 (size, size, 3) in 0..1."""
    scale = 3 if size <= 160 else 2
    side = size * scale
    mood = _choose_mood(rng)
    scene = _sky(rng, mood, side)
    _mountains(rng, mood, scene)
    if rng.random() < 0.58:
        _lake(rng, mood, scene)
    else:
        _fields(rng, mood, scene)
    add_foreground_trees(rng, scene, mood.forest, mood.light, mood.sun_x)
    small = scene.reshape(size, scale, size, scale, 3).mean(axis=(1, 3))
    small += rng.normal(0.0, 0.008, small.shape).astype(np.float32)
    return np.clip(small, 0.0, 1.0).astype(np.float32)


def _choose_mood(rng: Generator) -> Mood:
    """Choose the light, the colours and the horizon of a scene randomly."""
    chances = np.array([sky[4] for sky in SKIES])
    top, low, sun, light, _ = SKIES[rng.choice(len(SKIES), p=chances / chances.sum())]

    def near(colour: tuple[float, float, float], spread: float) -> Array:
        return np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 1).astype(np.float32)

    horizon = float(rng.uniform(0.50, 0.66))
    return Mood(
        sky_top=near(top, 0.025),
        sky_low=near(low, 0.015),
        sun=near(sun, 0.01),
        light=light,
        meadow=near(MEADOWS[rng.integers(len(MEADOWS))], 0.025) * np.float32(light),
        forest=near(FORESTS[rng.integers(len(FORESTS))], 0.015) * np.float32(0.3 + 0.7 * light),
        rock=near(ROCKS[rng.integers(len(ROCKS))], 0.02) * np.float32(light),
        sun_x=float(rng.uniform(0.12, 0.88)),
        sun_y=float(rng.uniform(0.10, horizon - 0.22)),
        horizon=horizon,
    )


def _axes(side: int) -> tuple[Array, Array]:
    """Return pixel centres as fractions: y of shape (side, 1), x of shape (1, side)."""
    line = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return line[:, None], line[None, :]


def _blend(below: Array, above: Array, cover: Array) -> Array:
    """Blend ``above`` over ``below`` with the opacity ``cover`` (H, W) in 0..1."""
    return below + (above - below) * cover[..., None]


def _sky(rng: Generator, mood: Mood, side: int) -> Array:
    """Draw gradient, sun or moon with its glow, and clouds at half size -> (side, side, 3)."""
    half = (side + 1) // 2
    y, x = _axes(half)
    height = np.clip(y / mood.horizon, 0, 1) ** 1.15 * np.ones_like(x)
    scene = mood.sky_top + (mood.sky_low - mood.sky_top) * height[..., None]
    distance = np.hypot(x - mood.sun_x, y - mood.sun_y)
    scene = _blend(scene, mood.sun, 0.55 * np.exp(-((distance / 0.20) ** 1.3)))
    radius = rng.uniform(0.030, 0.050)
    scene = _blend(scene, mood.sun, np.clip((radius - distance) * 90, 0, 1))

    amount = rng.uniform(-0.35, 0.35)
    clouds = smooth_noise(rng, (half, half), rng.uniform(5, 8), rng.uniform(2, 3.5), 5)
    cover = np.clip((clouds + amount - 0.15) * 1.7, 0, 1) * np.clip(1.5 - 1.3 * height, 0.2, 1)
    shade = np.clip(0.5 + 0.5 * (clouds - shift(clouds, half // 24, 0)), 0, 1)
    white = mood.sky_low * 0.25 + np.float32(0.75 * (0.25 + 0.75 * mood.light))
    grey = white * np.array([0.76, 0.81, 0.88], np.float32)
    body = grey + (white - grey) * shade[..., None]
    scene = _blend(scene, body, 0.88 * cover).astype(np.float32)
    return scene.repeat(2, axis=0).repeat(2, axis=1)[:side, :side]


def _relief(rng: Generator, shape: tuple[int, int], side: int, mood: Mood) -> Array:
    """Return sunlight and shadow on uneven ground, float32 of ``shape``, about -1..1."""
    waves = 7 * shape[0] / side
    bumps = smooth_noise(rng, shape, waves, 6, 4)
    step = max(1, side // 50)
    slope = bumps - shift(bumps, step // 2, step if mood.sun_x < 0.5 else -step)
    return 0.35 * bumps + 1.3 * slope


def _land(
    rng: Generator,
    scene: Array,
    mood: Mood,
    line: Array,
    colour: Array,
    grain: float,
    until: float = 1.0,
    snow: bool = False,
    haze: float = 0.0,
    furrows: float = 0.0,
) -> None:
    """Paint uneven ground into ``scene``, from the skyline ``line`` (side,) to ``until``.

    ``grain`` is the strength of its relief, ``haze`` the share of the sky's colour in it and
    ``furrows`` the strength of plough lines, all in 0..1.
    """
    side = scene.shape[1]
    first, last = max(0, int(line.min() * side) - 1), min(side, int(until * side) + 1)
    if last - first < 2:
        return
    y, x = _axes(side)
    y = y[first:last]
    below = y - line[None, :]
    relief = _relief(rng, below.shape, side, mood)
    tone = 1.04 + grain * relief - 0.5 * np.clip(below, 0, 0.5)
    if furrows:
        wave = (x * rng.uniform(-1, 1) + y * 1.6) * rng.uniform(60, 110)
        tone = tone * (1 + furrows * np.sin(wave))
    ground = colour * tone[..., None]
    if snow:
        ground = _snow(ground, mood, relief, below)
    air = mood.sky_low * np.float32(0.55) + mood.sky_top * np.float32(0.45)
    ground = ground + (air - ground) * np.float32(haze)
    strip = scene[first:last]
    strip[...] = np.where((below > 0)[..., None], ground, strip)


def _snow(ground: Array, mood: Mood, relief: Array, below: Array) -> Array:
    """Return ``ground`` with snow on its heights, deeper where the relief is lit."""
    white = np.array([0.95, 0.97, 1.0], np.float32) * np.float32(0.25 + 0.75 * mood.light)
    lit = white * (0.93 + 0.22 * relief)[..., None]
    return _blend(ground, lit, np.clip((0.095 + 0.05 * relief - below) * 50, 0, 1))


def _mountains(rng: Generator, mood: Mood, scene: Array) -> None:
    """Draw two to four ranges, the far ones pale with haze, and a line of forest below."""
    side = scene.shape[0]
    count = int(rng.integers(2, 5))
    alpine = rng.random() < 0.6
    snow = alpine and rng.random() < 0.65
    for layer in range(count):
        near = (layer + 0.6) / count
        rough = (0.95 - 0.7 * near) if alpine else 0.12
        rise = (0.26 - 0.21 * near) if alpine else (0.15 - 0.10 * near)
        tall = (0.13 - 0.09 * near) if alpine else (0.06 - 0.025 * near)
        line = mood.horizon - rise + tall * skyline(rng, side, 2.5 + layer, rough)
        base = mood.rock + (mood.meadow * 0.72 - mood.rock) * np.float32(near if alpine else 0.75)
        grain = 0.20 + 0.40 * (1 - near) * alpine
        haze = 0.60 * (1 - near) ** 0.9
        foot = mood.horizon + 0.08
        _land(rng, scene, mood, line, base, grain, foot, snow and layer == 0, haze)
    if rng.random() < 0.75:
        add_treeline(rng, scene, mood.forest, mood.horizon - 0.01)


def _field_colour(rng: Generator, mood: Mood) -> Array:
    """Choose the colour of one field: grass, or sometimes ripe grain."""
    grain = np.array([0.70, 0.64, 0.32], np.float32) * np.float32(mood.light)
    share = rng.uniform(0.45, 0.8) if rng.random() < 0.25 else rng.uniform(0.0, 0.15)
    return ((mood.meadow + (grain - mood.meadow) * share) * rng.uniform(0.88, 1.12)).astype(
        np.float32
    )


def _fields(rng: Generator, mood: Mood, scene: Array) -> None:
    """Draw rolling fields down to the lower edge, with a house, trees and sometimes a path."""
    side = scene.shape[0]
    tops = np.linspace(mood.horizon - 0.01, 0.88, int(rng.integers(3, 5)))
    for layer, top in enumerate(tops):
        line = top + (0.012 + 0.03 * layer / len(tops)) * skyline(rng, side, 1.5, 0.0)
        until = 1.0 if layer + 1 == len(tops) else tops[layer + 1] + 0.1
        colour = _field_colour(rng, mood)
        furrows = rng.uniform(0.0, 0.05)
        _land(rng, scene, mood, line, colour, 0.16, until=until, furrows=furrows)
        if layer == 0:
            if rng.random() < 0.75:
                add_house(rng, scene, mood.horizon + 0.035, mood.light, mood.sun_x)
            add_shore_trees(rng, scene, mood.forest, mood.horizon + 0.03, mood.light)
    if rng.random() < 0.6:
        _path(rng, mood, scene)


def _path(rng: Generator, mood: Mood, scene: Array) -> None:
    """Draw a winding path that narrows towards the horizon."""
    y, x = _axes(scene.shape[0])
    first = int(mood.horizon * scene.shape[0])
    y = y[first:]
    near = np.clip((y - mood.horizon - 0.03) / (0.97 - mood.horizon), 0, 1)
    bend = rng.uniform(0.06, 0.16) * np.sin(near * rng.uniform(3, 5) + rng.uniform(0, 6))
    middle = rng.uniform(0.3, 0.7) + bend * (0.4 + near) + rng.uniform(-0.25, 0.25) * near
    width = 0.006 + 0.075 * near**1.5
    cover = np.clip((width - np.abs(x - middle)) * 70, 0, 1) * (near > 0)
    earth = np.array([0.74, 0.66, 0.52], np.float32) * np.float32(mood.light)
    scene[first:] = _blend(scene[first:], earth, 0.85 * cover)


def _lake(rng: Generator, mood: Mood, scene: Array) -> None:
    """Draw a shore with trees or a house, its reflection in the water, and a near bank."""
    side = scene.shape[0]
    shore = mood.horizon + rng.uniform(0.01, 0.05)
    line = mood.horizon - 0.005 + 0.008 * skyline(rng, side, 2, 0.0)
    _land(rng, scene, mood, line, mood.meadow * np.float32(0.8), 0.16, until=shore + 0.01)
    if rng.random() < 0.6:
        add_house(rng, scene, shore - 0.005, mood.light, mood.sun_x)
    add_shore_trees(rng, scene, mood.forest, shore, mood.light)
    _water(rng, mood, scene, int(shore * side))
    slope = rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.22)
    bank = np.linspace(-0.5, 0.5, side) * slope + rng.uniform(0.90, 0.97)
    bank = (bank + 0.015 * skyline(rng, side, 3, 0.3)).astype(np.float32)
    _land(rng, scene, mood, bank, mood.meadow * np.float32(0.78), 0.25)


def _water(rng: Generator, mood: Mood, scene: Array, first: int) -> None:
    """Fill the rows from ``first`` on with the mirror image of those above, ripples and glitter."""
    side = scene.shape[0]
    y, x = _axes(side)
    depth = (y[first:] - y[first]) / (1 - y[first])
    ripple = smooth_noise(rng, (side - first, side), 16, 3, 3)
    sway = ripple * (0.002 + 0.016 * depth) * side
    rows = first - 1 - np.arange(side - first)[:, None] * 1.15 + sway * 0.8
    columns = np.arange(side)[None, :] + sway
    mirror = scene[
        np.clip(rows, 0, side - 1).astype(int), np.clip(columns, 0, side - 1).astype(int)
    ]
    deep = mood.sky_top * np.float32(0.62) + mood.forest * np.float32(0.2)
    water = mirror * np.float32(0.90)
    water = water + (deep - water) * (0.20 + 0.38 * depth)[..., None]
    water = water * (1 + 0.07 * ripple)[..., None]
    glitter = np.exp(-(((x - mood.sun_x) / (0.03 + 0.07 * depth)) ** 2)) * (ripple > 0.25)
    scene[first:] = _blend(water, mood.sun, 0.55 * glitter * (1 - 0.5 * depth))
