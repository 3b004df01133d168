"""What the windows of the dashboard hold: the traces of plotly, their axis, the line at the top."""

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...durations import duration
from ..curves import Point, loss_groups
from ..sink import LossRecord
from .client import Trace

SPEED_PANELS = {
    "learning rate": {"learning rate": "learning_rate"},
    "images per second": {"images per second": "images_per_second"},
    "seconds per batch / image": {"waiting": "data", "computing": "time"},
}
STEPS = (0.1, 0.2, 0.5)
"""Epochs between two ticks of the axis while the first epoch lasts; then 1, 2, 5, 10, ..."""
TICKS = 8
"""At most so many are seen."""
HOVER = "%{y}, %{x:,} images seen"
RAW = "rgba(128, 128, 128, 0.35)"
"""The colour of raw values: plotly chooses the others, so that those of several runs differ."""


def loss_panels(points: list[Point], names: list[str]) -> dict[str, list[Trace]]:
    """Return title -> traces: D_A with D_B, cycle_A with cycle_B; smoothed curves, then raw ones.

    The titles do not depend on the run, so that visdom can compare runs.
    """
    panels = {}
    for group, members in loss_groups(names).items():
        smooth = [trace(name, points, _values(points, name, True)) for name in members]
        raw = [trace(f"{name} raw", points, _values(points, name, False)) for name in members]
        for curve in raw:
            curve |= {"showlegend": False, "hoverinfo": "skip", "line": {"color": RAW, "width": 1}}
            del curve["hovertemplate"]
        panels[f"loss {group}"] = smooth + raw
    return panels


def speed_panels(points: list[Point]) -> dict[str, list[Trace]]:
    """Return title -> traces: the learning rate, the speed, and where the time goes."""
    return {
        title: [
            trace(label, points, (point.speeds[name] for point in points))
            for label, name in names.items()
        ]
        for title, names in SPEED_PANELS.items()
    }


def metric_panels(points: list[Point], names: list[str]) -> dict[str, list[Trace]]:
    """Return title -> traces: one panel for each metric, with both directions."""
    return {
        title: [trace(name, points, _values(points, name, False)) for name in members]
        for title, members in loss_groups(names).items()
    }


def trace(name: str, points: list[Point], values: Iterable[float]) -> Trace:
    """Return a curve for plotly; NaN and infinity, which JSON lacks, become gaps."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [point.x for point in points],
        "y": [float(f"{value:.5g}") if math.isfinite(value) else None for value in values],
        "hovertemplate": HOVER,
    }


def epoch_axis(images: int, epoch_images: int) -> dict[str, Any]:
    """Return the x axis up to a number of images, with the epochs as its ticks.

    x counts images, which the hover text says. It stays the same for a while as a run grows.
    """
    if not epoch_images:
        return {"title": "images seen"}
    step = next(step for step in _steps() if images <= TICKS * step * epoch_images)
    ticks = [round(number * step, 1) for number in range(TICKS + 1)]
    return {
        "title": "epoch",
        "tickvals": [tick * epoch_images for tick in ticks],
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _steps() -> Iterable[float]:
    yield from STEPS
    unit = 1
    while True:
        yield from (unit, 2 * unit, 5 * unit)
        unit *= 10


def headline(name: str, record: LossRecord | None, closed: bool) -> str:
    """Return as HTML how far a run is: epoch, time that is left, speed; or that it has ended."""
    if record is None:
        return f"<b>{html.escape(name)}</b>: starting"
    epoch = f"epoch {record.epoch}" + (f" / {record.epochs}" if record.epochs else "")
    facts = [epoch]
    if closed:
        last_step = record.epoch == record.epochs and record.iters >= record.epoch_images
        facts = ["finished", epoch] if last_step else ["stopped", epoch]
    elif record.seconds_left > 0:
        facts.append(f"{duration(record.seconds_left)} left")
    facts.append(f"{record.images_per_second:.3g} images/s")
    return f"<b>{html.escape(name)}</b>: {', '.join(facts)}"


def _values(points: list[Point], name: str, smooth: bool) -> Iterable[float]:
    values: Iterable[Mapping[str, float]] = (p.smooth if smooth else p.losses for p in points)
    return [row.get(name, math.nan) for row in values]
