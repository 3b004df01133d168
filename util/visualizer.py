"""The one place that a run hands its losses and pictures to."""

import atexit
import copy
import logging
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from .checkpoints.run_folder import run_folder
from .sinks.background import Background
from .sinks.curves import Curves, MetricCurves
from .sinks.curves_picture import CurvesPicture
from .sinks.dashboard.sink import Dashboard, DashboardSettings
from .sinks.gallery import Gallery
from .sinks.loading_hint import LoadingHint
from .sinks.loss_log import Console, LogFiles, read_history, rewind_logs
from .sinks.metrics_log import MetricsLog, read_metrics, rewind_metrics
from .sinks.samples import translate_samples
from .sinks.sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink, image_arrays_of
from .sinks.tensorboard_sink import TensorBoard
from .sinks.wandb_sink import WeightsAndBiases

log = logging.getLogger(__name__)


class Visualizer:
    """Gives every record to every sink. A sink that fails is named once and left out from then on.

    None of them can stop the run. `samples` are the batches that a run is watched on.
    """

    def __init__(
        self,
        opt: Namespace,
        sinks: list[Sink] | None = None,
        samples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.opt = opt
        self.sinks = sinks or []
        self._is_open = sinks is not None
        self.fixed = list(samples)
        atexit.register(self.close)  # a run that crashes shows its last points too

    def open(self, start: tuple[int, int, int] | None = None) -> None:
        """Make the sinks, with the logs taken back to `start`, a util.run.progress.Position.

        Nothing is written before. What is shown first calls it too.
        """
        if self._is_open:
            return
        self._is_open = True
        if start is not None:
            rewind_logs(run_folder(self.opt), *start)
            rewind_metrics(run_folder(self.opt), start[0])
        self.sinks = make_sinks(self.opt)

    def losses(self, record: LossRecord) -> None:
        """Show the losses of a step."""
        self._each(lambda sink: sink.losses(record))

    def pictures(
        self, visuals: Mapping[str, Tensor], epoch: int, total_iters: int, keep: bool
    ) -> None:
        """Show the first image of each (N, C, H, W) in [-1, 1]; `keep` puts it in the gallery."""
        record = ImageRecord(epoch, total_iters, image_arrays_of(visuals), keep)
        self._each(lambda sink: sink.pictures(record))

    def show(self, model: Any, epoch: int, total_iters: int, keep: bool) -> None:
        """Show the pictures of the step in hand, and the fixed ones on the dashboard."""
        model.compute_visuals()
        self.pictures(model.get_current_visuals(), epoch, total_iters, keep)
        self.samples(model, epoch, total_iters)

    def samples(self, model: Any, epoch: int, total_iters: int, keep: bool = False) -> None:
        """Translate the fixed pictures and show them; `keep`, at the end of an epoch: on disk too.

        The model is left as it was.
        """
        self.open()
        takers = [sink for sink in self.sinks if _takes_samples(sink, keep)]
        if not self.fixed or not takers:
            return
        try:
            rows = [image_arrays_of(visuals) for visuals in translate_samples(model, self.fixed)]
        except Exception as error:  # whatever it is: watching must never harm the run
            self.fixed = []
            log.warning("the fixed pictures are no longer shown (%s)", error)
            return
        record = SampleRecord(epoch, total_iters, rows, keep)
        self._each(lambda sink: sink.samples(record))

    def metrics(self, record: MetricsRecord) -> None:
        """Show the figures of an epoch."""
        self._each(lambda sink: sink.metrics(record))

    def saved(self) -> None:
        """The weights were just saved."""
        self._each(lambda sink: sink.saved())

    def close(self) -> None:
        """Let every sink finish; the second call does nothing."""
        atexit.unregister(self.close)
        if self._is_open:
            self._each(lambda sink: sink.close())
        self.sinks, self._is_open = [], True

    def _each(self, act: Callable[[Sink], None]) -> None:
        self.open()
        for sink in list(self.sinks):
            try:
                act(sink)
            except Exception as error:  # whatever it is: watching must never harm the run
                self.sinks.remove(sink)
                log.warning("%s stopped (%s); the training goes on", type(sink).__name__, error)


def make_sinks(opt: Namespace) -> list[Sink]:
    """The sinks that the flags ask for; those that may have to wait have a thread of their own."""
    folder = run_folder(opt)
    past = Curves(read_history(folder) if opt.continue_train else ())
    metrics = list(read_metrics(folder)) if opt.continue_train else []
    sinks: list[Sink] = [Console(), LogFiles(folder), MetricsLog(folder), LoadingHint(opt)]
    if not opt.no_html:
        sinks.append(
            Gallery(
                *(folder, opt.name, opt.display_winsize, copy.deepcopy(past)),
                metric_curves=MetricCurves(metrics),
            )
        )
    drawn = CurvesPicture(folder, opt.name, copy.deepcopy(past), MetricCurves(metrics))
    sinks.append(Background(drawn))
    if opt.display_id > 0:
        settings = DashboardSettings.from_options(opt)
        dashboard = Dashboard(
            settings, folder, copy.deepcopy(past), metric_curves=MetricCurves(metrics)
        )
        sinks.append(Background(dashboard))
    if opt.use_tensorboard:
        sinks.append(Background(TensorBoard(folder)))
    if opt.use_wandb:
        sinks.append(Background(WeightsAndBiases(opt, folder), patience=60))
    return sinks


def _takes_samples(sink: Sink, keep: bool) -> bool:
    taker = sink.inner if isinstance(sink, Background) else sink
    if type(taker).samples is Sink.samples:
        return False
    return keep or not isinstance(taker, Gallery)
