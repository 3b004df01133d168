"""Shows curves and images in the windows of a visdom server.

Runs in `Background`, as every request may wait for the server up to a time-out.
"""

import logging
import math
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...images import ImageArray
from ..curves import Curves, MetricCurves, Point, loss_groups
from ..image_grid import labelled_grid, sample_grid
from ..sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink
from .client import Trace, VisdomClient
from .server import is_local, is_taken, log_address, output_file, start_server, wait_until

log = logging.getLogger(__name__)

FAILURES_BEFORE_WARNING = 3
MAX_PAUSE = 30.0
"""Seconds between two attempts to reach the server."""
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#17becf", "#ff7f0e", "#8c564b", "#e377c2")
SPEED_PANELS = {
    "learning rate": {"learning rate": "learning_rate"},
    "images per second": {"images per second": "images_per_second"},
    "seconds per batch / image": {"waiting": "data", "computing": "time"},
}


@dataclass(frozen=True)
class DashboardSettings:
    """The values of the `--display_*` flags."""

    name: str
    server: str = "http://localhost"
    port: int = 8097
    env: str = "main"
    first_window: int = 1
    columns: int = 4
    width: int = 256

    @classmethod
    def from_options(cls, opt: Namespace) -> "DashboardSettings":
        """Return the settings of a training."""
        return cls(
            name=opt.name,
            server=opt.display_server,
            port=opt.display_port,
            env=opt.display_env,
            first_window=opt.display_id,
            columns=opt.display_ncols,
            width=opt.display_winsize,
        )


class Dashboard(Sink):
    """Sends new points and images; after a failure everything, as the server may have lost it.

    Points that could not be sent stay in the curves and are sent with the next drawing; of images
    the newest are retained. Failed requests are repeated after 1, 2, 4, ... 30 seconds.
    """

    def __init__(
        self,
        settings: DashboardSettings,
        folder: Path,
        curves: Curves,
        timeout: float = 3.0,
        metric_curves: MetricCurves | None = None,
    ) -> None:
        self.settings, self.folder, self.curves = settings, folder, curves
        self.client = VisdomClient(settings.server, settings.port, settings.env, timeout)
        self.metric_curves = metric_curves or MetricCurves()
        self.failures = 0
        self._drawn: tuple[int, int] | None = None
        self._frames: dict[str, Callable[[], None]] = {}
        self._shown: set[str] = set()
        self._retry_at = 0.0
        self._warned = False

    def open(self) -> None:
        """Start a server where none answers and this machine is its host."""
        client = self.client
        if client.answers():
            log.info("dashboard: %s/env/%s", client.address, client.env)
        elif not is_local(client.host):
            self._warn("no answer; --display_id 0 turns it off")
        elif is_taken(client.host, client.port):
            self._warn("the program on this port does not answer; --display_port N takes another")
        else:
            self._start_server()

    def _start_server(self) -> None:
        port = self.client.port
        process = start_server(port, self.folder)
        if process is None:
            self._warned = True
        elif wait_until(self.client.answers, process):
            log_address(port, self.client.env, process.pid, self.folder)
        else:
            self._warn(f"the server did not start; see {output_file(self.folder, port)}")

    def losses(self, record: LossRecord) -> None:
        """Add a point to the curves."""
        self.curves.add(record)

    def images(self, record: ImageRecord) -> None:
        """Show the current images in one window, or with --display_ncols 0 in one for each."""
        s, where = self.settings, f"epoch {record.epoch}, {record.total_iters} images seen"
        shown = list(record.images.items())
        if s.columns > 0:
            self._frame(1, lambda: labelled_grid(shown, s.columns, s.width), f"images ({where})")
            return
        for number, (label, image) in enumerate(shown):
            self._image_window(number, label, image, where)

    def samples(self, record: SampleRecord) -> None:
        """Show the fixed images."""
        where = f"epoch {record.epoch}, {record.total_iters} images seen"
        width = max(32, self.settings.width // 2)
        self._frame(2, lambda: sample_grid(record.rows, width), f"fixed images ({where})")

    def metrics(self, record: MetricsRecord) -> None:
        """Take the figures of an epoch: one window for each, with both directions."""
        self.metric_curves.add_metrics(record)
        points = self.metric_curves.points
        for number, (title, names) in enumerate(loss_groups(self.metric_curves.names).items()):
            traces = [
                _trace(name, points, (_value(p.losses, name) for p in points), COLOURS[k])
                for k, name in enumerate(names)
            ]
            window = self._window(30 + number)  # behind those of the images
            self._frames[window] = partial(self._draw, window, title, traces)
            self._shown.discard(window)

    def sample_sheet(self, sheet: ImageArray, where: str) -> None:
        """Show fixed images that are one image already."""
        self._frame(2, lambda: sheet, f"fixed images ({where})")

    def flush(self) -> None:
        """Send new points and images."""
        if time.monotonic() < self._retry_at or not self._has_changed():
            return
        try:
            self._send_curves()
            for window in list(self._frames):
                if window not in self._shown:
                    self._frames[window]()
                    self._shown.add(window)
        except OSError as error:
            self._failed(error)
        else:
            if self._warned:
                log.info("the dashboard at %s is back", self.client.address)
            self.failures, self._warned = 0, False

    def close(self) -> None:
        """Send the last points without a pause; let the server store the windows."""
        self.curves.finish()
        self._retry_at = 0.0
        self.flush()
        if self.failures == 0:
            try:
                self.client.save()
            except OSError as error:
                self._failed(error)
        self.client.close()

    def _image_window(self, number: int, label: str, image: ImageArray, where: str) -> None:
        width = self.settings.width
        self._frame(
            10 + number, lambda: labelled_grid([("", image)], 1, width), f"{label} ({where})"
        )

    def _frame(self, number: int, image: Callable[[], ImageArray], title: str) -> None:
        window, title = self._window(number), f"{self.settings.name}: {title}"
        self._frames[window] = lambda: self.client.show(window, image(), title)
        self._shown.discard(window)

    def _window(self, number: int) -> str:
        name = self.settings.name.replace("/", "_")
        return f"{name}_{self.settings.first_window + number}"

    def _has_changed(self) -> bool:
        state = (self.curves.generation, len(self.curves.points))
        new_points = self._drawn != state and bool(self.curves.points)
        return new_points or not self._shown.issuperset(self._frames)

    def _send_curves(self) -> None:
        curves = self.curves
        state = (curves.generation, len(curves.points))
        if state == self._drawn or not curves.points:
            return
        if self._drawn is None or self._drawn[0] != curves.generation:
            self._send_panels(curves.points, whole=True)
        else:
            self._send_panels(curves.points[self._drawn[1] :], whole=False)
        self._drawn = state

    def _send_panels(self, points: list[Point], whole: bool) -> None:
        panels = {"losses": loss_traces(points, self.curves.names)}
        for title, names in SPEED_PANELS.items():
            panels[title] = [
                _trace(label, points, (point.speeds[name] for point in points), COLOURS[k])
                for k, (label, name) in enumerate(names.items())
            ]
        for number, (title, traces) in enumerate(panels.items()):
            window = self._window(0 if number == 0 else number + 2)
            if whole:
                self._draw(window, title, traces)
            else:
                self.client.append(window, traces)

    def _draw(self, window: str, title: str, traces: list[Trace]) -> None:
        wide = max(2.5 * self.settings.width, 480) if title == "losses" else 360
        high = 400 if title == "losses" else 260
        look: dict[str, Any] = {"xlabel": "images seen", "width": wide, "height": high}
        self.client.draw(window, traces, f"{self.settings.name}: {title}", **look)

    def _failed(self, error: OSError) -> None:
        """Draw all windows again next time, as the server may have lost or received a part."""
        self.failures += 1
        self._drawn = None
        self._shown.clear()
        self._retry_at = time.monotonic() + min(MAX_PAUSE, 2.0 ** (self.failures - 1))
        if self.failures == FAILURES_BEFORE_WARNING:
            self._warn(str(error))

    def _warn(self, problem: str) -> None:
        """Warn once until the dashboard is back."""
        if not self._warned:
            self._warned = True
            log.warning(
                "the dashboard at %s does not respond (%s); the training is not affected, and the "
                "curves are sent when it is back",
                self.client.address,
                problem,
            )


def loss_traces(points: list[Point], names: list[str]) -> list[Trace]:
    """Return a bold smoothed curve for each loss, and a faint one of its raw values."""
    traces = []
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        smooth = (_value(point.smooth, name) for point in points)
        raw = (_value(point.losses, name) for point in points)
        traces.append(_trace(name, points, smooth, colour))
        traces.append(_trace(f"{name} raw", points, raw, colour, faint=True))
    return traces


def _value(values: Mapping[str, float], name: str) -> float:
    return values.get(name, math.nan)


def _trace(
    name: str, points: list[Point], values: Iterable[float], colour: str, faint: bool = False
) -> Trace:
    """Return a curve for plotly; NaN and infinity, which JSON lacks, become gaps."""
    y = [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [point.x for point in points],
        "y": y,
        "showlegend": not faint,
        "line": {"color": f"{colour}40" if faint else colour, "width": 1 if faint else 2},
    }
