"""Draws loss curves as SVG without a package: charts for a page, and the file `loss_curves.svg`."""

import math
from collections.abc import Sequence
from html import escape as escape_markup
from pathlib import Path

from ..errors import printable
from ..files import write_text_atomically
from .curves import Curves, MetricCurves, Point, loss_groups
from .sink import LossRecord, MetricsRecord, Sink

WIDTH, HEIGHT = 360, 214
"""Size of a chart in pixels."""
LEFT, BOTTOM, TOP, RIGHT = 42, 36, 24, 10
"""Margins between a chart's edge and its axes, which hold the tick labels and the legend."""
LETTER = 7
"""Pixels of a bold letter of the legend, at most on average."""
COLUMNS, GAP, TITLE_HEIGHT = 2, 10, 30
"""Of the file: charts beside each other, pixels between them, and the line above them."""
TICKS = 4
"""Intervals between labelled ticks of an axis, about so many."""
COLOURS = ("#1f77b4", "#d62728", "#1e7d1e", "#8250b4")
"""Dark enough for text on white; a page replaces them in dark mode."""
FONT = 'font-family="system-ui, sans-serif"'


class CurvesFile(Sink):
    """Writes `<folder>/loss_curves.svg` at each save of the weights and at the end of the run."""

    def __init__(
        self, folder: Path, name: str, curves: Curves, metric_curves: MetricCurves | None = None
    ) -> None:
        self.path, self.name, self.curves = folder / "loss_curves.svg", name, curves
        self.metric_curves = metric_curves or MetricCurves()

    def losses(self, record: LossRecord) -> None:
        """Add a point to the curves."""
        self.curves.add(record)

    def metrics(self, record: MetricsRecord) -> None:
        """Add the metrics of an epoch to the curves."""
        self.metric_curves.add_metrics(record)

    def saved(self) -> None:
        """Draw the curves as far as the run has come."""
        self._write()

    def close(self) -> None:
        """Draw the whole run."""
        self.curves.finish()
        self._write()

    def _write(self) -> None:
        charts = curve_charts(self.curves) + curve_charts(self.metric_curves)
        if charts:
            write_text_atomically(self.path, _sheet(charts, self.name))


def curve_charts(curves: Curves, max_points: int = 200) -> list[str]:
    """Return an SVG chart for each group of losses: smoothed curves, and faint the raw ones.

    Each is a whole `<svg>` element that needs no style sheet; of a curve it holds `max_points` at
    most.
    """
    step = max(1, math.ceil(len(curves.points) / max_points))
    points = curves.points[::-1][::step][::-1]  # the newest is always among them
    if not points:
        return []
    return [_chart(points, group, names) for group, names in loss_groups(curves.names).items()]


def _sheet(charts: Sequence[str], name: str) -> str:
    """Return one SVG document with the charts in rows of two, below the name of the run."""
    columns = min(COLUMNS, len(charts))
    width = columns * (WIDTH + GAP) + GAP
    height = TITLE_HEIGHT + math.ceil(len(charts) / columns) * (HEIGHT + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{GAP}" y="20" {FONT} font-size="14" fill="#222">{escape(name)}</text>',
    ]
    for number, chart in enumerate(charts):
        x = GAP + number % columns * (WIDTH + GAP)
        y = TITLE_HEIGHT + number // columns * (HEIGHT + GAP)
        lines.append(f'<g transform="translate({x} {y})">{chart}</g>')
    return "\n".join([*lines, "</svg>\n"])


def escape(text: str) -> str:
    """Return a text for SVG, without control characters, which XML cannot hold."""
    return escape_markup(printable(text))


def _chart(points: Sequence[Point], group: str, names: Sequence[str]) -> str:
    raw = {name: [point.losses.get(name, math.nan) for point in points] for name in names}
    smooth = {name: [point.smooth.get(name, math.nan) for point in points] for name in names}
    values = [y for ys in (*raw.values(), *smooth.values()) for y in ys if math.isfinite(y)]
    values = values or [0.0]
    low, high = min(0.0, *values), max(0.0, *values)
    high = high if high > low else low + 1
    first, last = points[0].x, max(points[-1].x, points[0].x + 1)
    lines = [
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(group)}" fill="none" stroke-linejoin="round" {FONT} font-size="10">',
        *_axes(first, last, low, high),
    ]
    legend = _legend(names)
    for number, name in enumerate(names):
        colour, text = COLOURS[number % len(COLOURS)], escape(name)
        hue = f"c{number % len(COLOURS)}"  # by which a page changes the colour in dark mode
        for kind, ys in (("raw", raw[name]), ("smooth", smooth[name])):
            path = _path([point.x for point in points], ys, (first, last), (low, high))
            look = 'stroke-width=".7" opacity=".35"'
            if kind == "smooth":
                look = f'stroke-width="1.6" data-name="{text}"'
            lines.append(f'<path class="{kind} {hue}" stroke="{colour}" {look} d="{path}"/>')
        look = f'class="{hue}" fill="{colour}" font-weight="600"'
        x, shown = legend[number]
        lines.append(f'<text x="{x}" y="15" {look}>{escape(shown)}</text>')
    return "\n".join([*lines, "</svg>"])


def _legend(names: Sequence[str]) -> list[tuple[int, str]]:
    """Return where each name begins and its text; of `L1 G_A`, `L1 G_B` the second is `G_B`."""
    legend, x, before = [], LEFT + 6, ""
    for name in names:
        metric, _, generator = name.rpartition(" ")
        text = generator if metric and metric == before and generator[0] == "G" else name
        legend.append((x, text))
        x += max(110, LETTER * len(text) + 12)  # usual names of losses in columns
        before = metric
    return legend


def _path(
    xs: Sequence[float],
    ys: Sequence[float],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> str:
    """Return the `d` of a curve, interrupted where a value is not finite."""
    commands, command = [], "M"
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            command = "M"
            continue
        right = LEFT + plot_width * (x - x_range[0]) / (x_range[1] - x_range[0])
        down = HEIGHT - BOTTOM - plot_height * (y - y_range[0]) / (y_range[1] - y_range[0])
        commands.append(f"{command}{right:.1f} {down:.1f}")
        command = "L"
    return "".join(commands)


def _axes(first: float, last: float, low: float, high: float) -> list[str]:
    base, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    across, up = (end - LEFT) / (last - first), (base - TOP) / (high - low)
    tick, to_the_left = 'class="tick" fill="#666"', 'text-anchor="end"'
    look = 'class="axis" stroke="#999" stroke-width=".7"'
    lines = [f'<path {look} d="M{LEFT} {TOP}V{base}H{end}"/>']
    for value in ticks(low, high):
        y = base - up * (value - low)
        lines.append(f'<path {look} opacity=".35" d="M{LEFT} {y:.1f}H{end}"/>')
        text = tick_text(value)
        lines.append(f'<text x="{LEFT - 5}" y="{y + 3.5:.1f}" {tick} {to_the_left}>{text}</text>')
    for value in ticks(first, last, smallest_step=1):
        x = LEFT + across * (value - first)
        lines.append(f'<path {look} d="M{x:.1f} {base}v4"/>')
        text = tick_text(value)
        lines.append(f'<text x="{x:.1f}" y="{base + 15}" {tick} text-anchor="middle">{text}</text>')
    total = f"{last:,} images"
    return [*lines, f'<text x="{end}" y="{HEIGHT - 5}" {tick} {to_the_left}>{total}</text>']


def ticks(low: float, high: float, smallest_step: float = 0.0) -> list[float]:
    """Return round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    rough = max((high - low) / TICKS, smallest_step)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor * power / rough)))
    step = max(step, smallest_step)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_text(value: float) -> str:
    """Return a number in few characters: 0.2, 50k, 1.5M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if unit <= abs(value) < 1e9:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
