"""The loss curves as a picture, `<folder>/loss_curves.png`: drawn at each save and at the end."""

import logging
from pathlib import Path
from typing import Any

from ..files import write_atomically
from .curves import Curves, MetricCurves, loss_groups
from .sink import LossRecord, MetricsRecord, Sink

log = logging.getLogger(__name__)


class CurvesPicture(Sink):
    """Needs matplotlib; without it there is one line, and no picture."""

    def __init__(
        self, folder: Path, name: str, curves: Curves, metric_curves: MetricCurves | None = None
    ) -> None:
        self.metric_curves = metric_curves or MetricCurves()
        self.path, self.name, self.curves = folder / "loss_curves.png", name, curves
        self._figure: Any = None
        self._due = False

    def open(self) -> None:
        """Import matplotlib."""
        try:
            from matplotlib.figure import Figure  # without pyplot, which is not for threads
        except ImportError:
            log.info("no loss_curves.png is drawn: pip install matplotlib")
        else:
            logging.getLogger("matplotlib").setLevel(logging.WARNING)
            self._figure = Figure

    def losses(self, record: LossRecord) -> None:
        """Take a point."""
        self.curves.add(record)

    def metrics(self, record: MetricsRecord) -> None:
        """Take the figures of an epoch."""
        self.metric_curves.add_metrics(record)

    def saved(self) -> None:
        """Draw with the next flush."""
        self._due = True

    def flush(self) -> None:
        """Draw if a save has asked for it."""
        if self._due:
            self._due = False
            self._draw()

    def close(self) -> None:
        """Draw the whole run."""
        self.curves.finish()
        self._draw()

    def _draw(self) -> None:
        drawn = [curves for curves in (self.curves, self.metric_curves) if curves.points]
        panels = [(c.points, group) for c in drawn for group in loss_groups(c.names).items()]
        if not panels or self._figure is None:
            return
        figure = self._figure(figsize=(10, 2.6 * ((len(panels) + 1) // 2)), layout="constrained")
        for number, (points, (group, names)) in enumerate(panels):
            x = [point.x for point in points]
            axes = figure.add_subplot((len(panels) + 1) // 2, 2, number + 1)
            for colour, name in enumerate(names):
                raw = [point.losses.get(name, float("nan")) for point in points]
                smooth = [point.smooth.get(name, float("nan")) for point in points]
                axes.plot(x, raw, color=f"C{colour}", alpha=0.3, linewidth=0.7)
                axes.plot(x, smooth, color=f"C{colour}", linewidth=1.5, label=name)
            axes.set_title(group, fontsize=10)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
        figure.supxlabel(f"{self.name}: pictures seen", fontsize=9)
        write_atomically(self.path, lambda file: figure.savefig(file, format="png", dpi=100))
