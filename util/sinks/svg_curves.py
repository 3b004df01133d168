"""Loss curves as SVG, drawn without a package, to stand inside a page."""

import math
from collections.abc import Sequence

from .curves import Curves, Point, loss_groups

WIDTH, HEIGHT = 360, 200
LEFT, BOTTOM, TOP = 42, 22, 24
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


def curve_charts(curves: Curves, most: int = 200) -> list[str]:
    """A chart for each group of losses: the smoothed curves, and faint the raw ones."""
    step = max(1, math.ceil(len(curves.points) / most))
    points = curves.points[::-1][::step][::-1]  # the newest is always among them
    if not points:
        return []
    return [_chart(points, group, names) for group, names in loss_groups(curves.names).items()]


def _chart(points: Sequence[Point], group: str, names: Sequence[str]) -> str:
    raw = {name: [point.losses.get(name, math.nan) for point in points] for name in names}
    smooth = {name: [point.smooth.get(name, math.nan) for point in points] for name in names}
    values = [y for ys in (*raw.values(), *smooth.values()) for y in ys if math.isfinite(y)]
    values = values or [0.0]
    low, high = min(0.0, *values), max(0.0, *values)
    high = high if high > low else low + 1
    first, last = points[0].x, max(points[-1].x, points[0].x + 1)
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{group}">',
        *_frame(first, last, low, high),
    ]
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        for kind, ys in (("raw", raw[name]), ("smooth", smooth[name])):
            path = _path([point.x for point in points], ys, (first, last), (low, high))
            label = f' data-name="{name}"' if kind == "smooth" else ""
            lines.append(f'<path class="{kind}"{label} stroke="{colour}" d="{path}"/>')
        at = LEFT + 6 + number * 110
        lines.append(f'<text x="{at}" y="15" fill="{colour}" font-weight="600">{name}</text>')
    return "\n".join([*lines, "</svg>"])


def _path(
    xs: Sequence[float],
    ys: Sequence[float],
    across: tuple[float, float],
    upward: tuple[float, float],
) -> str:
    """What is not finite interrupts the line."""
    words, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            pen = "M"
            continue
        right = LEFT + (WIDTH - LEFT - 4) * (x - across[0]) / (across[1] - across[0])
        down = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (y - upward[0]) / (upward[1] - upward[0])
        words.append(f"{pen}{right:.1f} {down:.1f}")
        pen = "L"
    return "".join(words)


def _frame(first: float, last: float, low: float, high: float) -> list[str]:
    base = HEIGHT - BOTTOM
    return [
        f'<path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH - 4}"/>',
        f'<text class="tick" x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{high:.3g}</text>',
        f'<text class="tick" x="{LEFT - 4}" y="{base}" text-anchor="end">{low:.3g}</text>',
        f'<text class="tick" x="{LEFT}" y="{HEIGHT - 6}">{first:,}</text>',
        f'<text class="tick" x="{WIDTH - 4}" y="{HEIGHT - 6}" text-anchor="end">'
        f"{last:,} pictures</text>",
    ]
