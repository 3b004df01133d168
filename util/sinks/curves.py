"""The curves of a run, thinned to a bounded number of points however long it lasts."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .sink import LossRecord, MetricsRecord

MAX_POINTS = 600
SMOOTHING = 0.95
"""Share of the past in the exponential mean: about the last 20 records."""
SPEEDS = ("learning_rate", "images_per_second", "data", "time")
"""Fields of `LossRecord` that the dashboard draws beside the losses."""


@dataclass(frozen=True)
class Point:
    """The means over one or more records of losses."""

    x: int
    """Images seen in the whole run."""
    losses: dict[str, float]
    smooth: dict[str, float]
    speeds: dict[str, float]


class Curves:
    """Up to `max_points` points; beyond that, neighbours are merged, and later records likewise.

    `generation` changes whenever points change other than by new ones at the end: earlier drawings
    are then out of date. `records` are those of a run so far, each `every`-th of them (a power of
    two).
    """

    def __init__(
        self,
        records: Iterable[LossRecord] = (),
        max_points: int = MAX_POINTS,
        smoothing: float = SMOOTHING,
        every: int = 1,
    ) -> None:
        self.points: list[Point] = []
        self.generation = 0
        self._max_points, self._stride, self._smoothing = max_points, every, smoothing
        self._bucket: list[Point] = []
        self._sums: dict[str, tuple[float, float]] = {}
        self.names: list[str] = []
        for record in records:
            self.add(record, every)

    def add(self, record: LossRecord, stands_for: int = 1) -> None:
        """Add a record; drop those at or after its step, which a resumed run has lost.

        `stands_for`: how many records of the run it represents.
        """
        self._cut(record.total_iters)
        if new := [name for name in record.losses if name not in self.names]:
            self.names += new
            self.generation += 1
        smooth = {name: self._smoothed(name, value) for name, value in record.losses.items()}
        speeds = {name: getattr(record, name) for name in SPEEDS}
        self._bucket.append(Point(record.total_iters, dict(record.losses), smooth, speeds))
        if len(self._bucket) * stands_for >= self._stride:
            self._close_bucket()
        if len(self.points) >= self._max_points:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [_merged([first, second]) for first, second in pairs]
            self._stride *= 2
            self.generation += 1

    def finish(self) -> None:
        """Make a point of the records that do not fill one."""
        if self._bucket:
            self._close_bucket()

    def _close_bucket(self) -> None:
        self.points.append(_merged(self._bucket))
        self._bucket = []

    def _cut(self, x: int) -> None:
        while self._bucket and self._bucket[-1].x >= x:
            self._bucket.pop()
        while self.points and self.points[-1].x >= x:
            self.points.pop()
            self.generation += 1

    def _smoothed(self, name: str, value: float) -> float:
        """Return the exponential mean up to `value`, without the bias of its start at zero."""
        total, weight = self._sums.get(name, (0.0, 0.0))
        if math.isfinite(value):
            total = self._smoothing * total + (1 - self._smoothing) * value
            weight = self._smoothing * weight + (1 - self._smoothing)
            self._sums[name] = total, weight
        return total / weight if weight else value


class MetricCurves(Curves):
    """The figures of held-out images, epoch by epoch, without smoothing."""

    def __init__(self, records: Iterable[MetricsRecord] = ()) -> None:
        super().__init__(smoothing=0.0)
        for record in records:
            self.add_metrics(record)

    def add_metrics(self, record: MetricsRecord) -> None:
        """Add the figures of all directions, as one point."""
        self.add(LossRecord(record.epoch, 0, record.total_iters, record.values, 0.0, 0.0, 0.0, 0.0))


def loss_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of losses that are drawn together: D_A with D_B, cycle_A with cycle_B.

    The key is what stands before the last underscore; the order is that of `names`.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("_")[0] or name, []).append(name)
    return groups


def _merged(points: list[Point]) -> Point:
    """Return the mean of neighbours, at the step of the last."""
    last = points[-1]
    return (
        last
        if len(points) == 1
        else Point(
            last.x,
            {name: _mean([point.losses.get(name) for point in points]) for name in last.losses},
            last.smooth,
            {name: _mean([point.speeds[name] for point in points]) for name in last.speeds},
        )
    )


def _mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present)
