"""Shows curves and images in the windows of a visdom server.

Runs in `Background`, as every request may wait for the server up to a time-out.
"""

import logging
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...images import ImageArray
from ..curves import Curves, MetricCurves, Point
from ..image_grid import labelled_grid, sample_grid
from ..sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink
from .client import Trace, VisdomClient
from .panels import epoch_axis, headline, loss_panels, metric_panels, speed_panels
from .server import (
    is_local,
    is_taken,
    log_address,
    output_file,
    start_server,
    wait_until,
    warn_of_missing_assets,
)

log = logging.getLogger(__name__)

FAILURES_BEFORE_WARNING = 3
MAX_PAUSE = 30.0
"""Seconds between two attempts to reach the server."""
PLOT_WIDTH, PLOT_HEIGHT = 320, 240
HEADLINE, IMAGES, SAMPLES, SPEED, SINGLE_IMAGES, METRICS, LOSSES = 6, 1, 2, 3, 10, 30, 50
"""Numbers of windows, from that of the flag --display_id; the first plot of losses has number 0."""


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
    the newest are retained. Failed requests are repeated after 1, 2, 4, ... 30 seconds. A server
    that was stopped carries out late what it was sent before, so that everything is drawn once
    more. visdom shows windows in the order of their first drawing: images, then curves.
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
        self._frames: dict[int, Callable[[], None]] = {}
        self._plots: dict[int, Callable[[], None]] = {}  # of the metrics
        self._shown: set[int] = set()
        self._last: LossRecord | None = None
        self._headline = ""
        self._axis: dict[str, object] = {}
        self._closed = False
        self._retry_at = 0.0
        self._warned = False

    def open(self) -> None:
        """Start a server where none answers and this machine is its host."""
        client = self.client
        if client.answers():
            self._begin()
            log.info("dashboard: %s", client.link)
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
            self._begin()
            log_address(self.client.link, port, process.pid, self.folder)
        else:
            self._warn(f"the server did not start; see {output_file(self.folder, port)}")

    def _begin(self) -> None:
        """Send the headline, so that the address leads somewhere; look at the page's scripts."""
        try:
            self._send_headline()
        except OSError as error:
            self._failed(error)
        if is_local(self.client.host):
            warn_of_missing_assets()

    def losses(self, record: LossRecord) -> None:
        """Add a point to the curves."""
        self.curves.add(record)
        self._last = record

    def images(self, record: ImageRecord) -> None:
        """Show the current images in one window, or with --display_ncols 0 in one for each."""
        s, where = self.settings, f"epoch {record.epoch}, {record.total_iters} images seen"
        shown = list(record.images.items())
        if s.columns > 0:
            grid = partial(labelled_grid, shown, s.columns, s.width)
            self._frame(IMAGES, grid, f"images ({where})")
            return
        for number, (label, image) in enumerate(shown, SINGLE_IMAGES):
            grid = partial(labelled_grid, [("", image)], 1, s.width)
            self._frame(number, grid, f"{label} ({where})")

    def samples(self, record: SampleRecord) -> None:
        """Show the fixed images."""
        where = f"epoch {record.epoch}, {record.total_iters} images seen"
        width = max(32, self.settings.width // 2)
        self._frame(SAMPLES, lambda: sample_grid(record.rows, width), f"fixed images ({where})")

    def metrics(self, record: MetricsRecord) -> None:
        """Take the figures of an epoch: one window for each, with both directions."""
        self.metric_curves.add_metrics(record)
        panels = metric_panels(self.metric_curves.points, self.metric_curves.names)
        for number, (title, traces) in enumerate(panels.items(), METRICS):
            self._plots[number] = partial(self._draw, number, title, traces)
            self._shown.discard(number)

    def sample_sheet(self, sheet: ImageArray, where: str) -> None:
        """Show fixed images that are one image already."""
        self._frame(SAMPLES, lambda: sheet, f"fixed images ({where})")

    def flush(self) -> None:
        """Send new points and images."""
        if time.monotonic() < self._retry_at or not self._has_changed():
            return
        try:
            if self.failures or self._warned:
                self.client.ask()
            self._send_headline()
            self._send_windows(self._frames)
            self._send_curves()
            self._send_windows(self._plots)
        except OSError as error:
            self._failed(error)
            return
        if self._warned:
            log.info("the dashboard at %s is back", self.client.address)
        if self.failures:  # once more with the next call
            self._forget_drawings()
        self.failures, self._warned = 0, False

    def close(self) -> None:
        """Send the last points without a pause; let the server store the windows."""
        self.curves.finish()
        self._closed, self._retry_at = True, 0.0
        self.flush()
        if self.failures == 0:
            try:
                self.flush()  # again, where the server has just come back
                self.client.save()
            except OSError as error:
                self._failed(error)
        self.client.close()

    def _frame(self, number: int, image: Callable[[], ImageArray], title: str) -> None:
        window, title = self._window(number), self._title(title)
        self._frames[number] = lambda: self.client.show(window, image(), title)
        self._shown.discard(number)

    def _window(self, number: int) -> str:
        name = self.settings.name.replace("/", "_")
        return f"{name}_{self.settings.first_window + number}"

    def _title(self, title: str) -> str:
        """Return the title of a window, with the name of the run where it shares its environment.

        Else the titles of all runs are the same: visdom then compares their curves.
        """
        own = self.settings.env == self.settings.name
        return title if own else f"{self.settings.name}: {title}"

    def _has_changed(self) -> bool:
        state = (self.curves.generation, len(self.curves.points))
        new_points = self._drawn != state and bool(self.curves.points)
        return new_points or self._closed or not self._shown.issuperset(self._frames | self._plots)

    def _send_headline(self) -> None:
        text = headline(self.settings.name, self._last, self._closed)
        if text != self._headline:
            look = {"width": 4 * PLOT_WIDTH, "height": 40}
            self.client.say(self._window(HEADLINE), text, self._title("run"), **look)
            self._headline = text

    def _send_windows(self, windows: dict[int, Callable[[], None]]) -> None:
        for number in sorted(windows.keys() - self._shown):
            windows[number]()
            self._shown.add(number)

    def _send_curves(self) -> None:
        curves = self.curves
        state = (curves.generation, len(curves.points))
        waits = self._drawn is None and not self._frames and len(curves.points) == 1
        if state == self._drawn or not curves.points or (waits and not self._closed):
            return  # the images of the first step are yet to come, and belong above the curves
        if self._drawn is None or self._drawn[0] != curves.generation:
            self._send_panels(curves.points, whole=True)
        else:
            self._send_panels(curves.points[self._drawn[1] :], whole=False)
        self._drawn = state

    def _send_panels(self, points: list[Point], whole: bool) -> None:
        axis = epoch_axis(points[-1].x, self._last.epoch_images if self._last else 0)
        changed, self._axis = ({} if axis == self._axis else {"xaxis": axis}), axis
        losses = loss_panels(points, self.curves.names)
        numbers = [0, *range(LOSSES + 1, LOSSES + len(losses))]
        panels = [*zip(numbers, losses.items(), strict=True)]
        panels += enumerate(speed_panels(points).items(), SPEED)
        for number, (title, traces) in panels:
            if whole:
                self._draw(number, title, traces)
            else:
                self.client.append(self._window(number), traces, **changed)

    def _draw(self, number: int, title: str, traces: list[Trace]) -> None:
        look = {"width": PLOT_WIDTH, "height": PLOT_HEIGHT}
        self.client.draw(self._window(number), traces, self._title(title), self._axis, **look)

    def _failed(self, error: OSError) -> None:
        """Draw all windows again next time, as the server may have lost or received a part."""
        self.failures += 1
        self._forget_drawings()
        self._retry_at = time.monotonic() + min(MAX_PAUSE, 2.0 ** (self.failures - 1))
        if self.failures == FAILURES_BEFORE_WARNING:
            self._warn(str(error))

    def _forget_drawings(self) -> None:
        self._drawn, self._headline = None, ""
        self._shown.clear()

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
