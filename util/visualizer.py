"""Distributes the losses and images of a training to its sinks.

Visualizer and `save_images` are also what scripts in the reference's manner call, see
util/script_calls.py.
"""

import atexit
import copy
import logging
import math
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import ranks
from .checkpoints.run_folder import run_folder
from .images import Visual
from .options import script_of
from .script_calls import ScriptCalls, save_images
from .sinks.background import Background
from .sinks.curves import Curves, MetricCurves
from .sinks.dashboard.sink import Dashboard, DashboardSettings
from .sinks.deliveries import Deliveries
from .sinks.gallery import Gallery
from .sinks.loading_hint import LoadingHint
from .sinks.loss_log import Console, LogFiles, read_curves
from .sinks.metrics_log import MetricsLog, read_metrics
from .sinks.retrying import Retrying
from .sinks.samples import translate_samples
from .sinks.sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink, image_arrays_of
from .sinks.svg_curves import CurvesFile
from .sinks.tensorboard_sink import TensorBoard
from .sinks.wandb_sink import WeightsAndBiases

__all__ = ["Visualizer", "save_images"]

log = logging.getLogger(__name__)

Start = tuple[int, int, int] | None
"""The position at which a run resumes, a util.run.progress.Position."""


class Visualizer(ScriptCalls):
    """Gives every record to every sink; a sink that fails is named once and then left out.

    Those that write files are tried again instead where it is the disk that fails. No sink can end
    the training. `samples` are the batches of fixed images.
    """

    def __init__(
        self,
        opt: Namespace,
        sinks: list[Sink] | None = None,
        samples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(opt)
        self.sinks = sinks or []
        self._is_open = sinks is not None or not ranks.is_main()  # which alone shows a training
        self.fixed = list(samples)
        atexit.register(self.close)  # a run that crashes still shows its last points

    def open(self, start: Start = None) -> None:
        """Construct the sinks, and rewind the logs to `start`, a util.run.progress.Position.

        Nothing is written before. Where nobody calls it, the first record does. Logs where the
        files of the run are.
        """
        if self._is_open:
            return
        self._is_open = True
        if script := script_of(self.opt):
            start = script.claim()
        log_places(self.opt)
        self.sinks = make_sinks(self.opt, start)
        self._call_sinks(lambda sink: sink.open())  # the dashboard says its address

    def losses(self, record: LossRecord) -> None:
        """Show the losses of a step."""
        self._call_sinks(lambda sink: sink.losses(record))

    def images(
        self, visuals: Mapping[str, Visual], epoch: int, total_iters: int, store: bool
    ) -> None:
        """Show the first image of each batch (N, C, H, W) in [-1, 1].

        `store` adds them to the gallery too.
        """
        record = ImageRecord(epoch, total_iters, image_arrays_of(visuals), store)
        self._call_sinks(lambda sink: sink.images(record))

    def show(self, model: Any, epoch: int, total_iters: int, store: bool) -> None:
        """Show the fixed images and the images of the current step; `store`: on disk too."""
        model.compute_visuals()
        images = image_arrays_of(model.get_current_visuals())
        self.samples(model, epoch, total_iters, store)  # first: the dashboard draws with the others
        self._call_sinks(lambda sink: sink.images(ImageRecord(epoch, total_iters, images, store)))

    def samples(self, model: Any, epoch: int, total_iters: int, store: bool = False) -> None:
        """Translate the fixed images and show them; `store`: on disk too, as the first always are.

        The state of the model is restored.
        """
        self.open()
        users = [sink for sink in self.sinks if _uses_samples(sink, store)]
        if not self.fixed or not users:
            return
        try:
            rows = [image_arrays_of(visuals) for visuals in translate_samples(model, self.fixed)]
        except Exception as error:  # of any kind: showing a run must never end it
            self.fixed = []
            log.warning("the fixed images are no longer shown (%s)", error)
            return
        record = SampleRecord(epoch, total_iters, rows, store)
        self._call_sinks(lambda sink: sink.samples(record))

    def metrics(self, record: MetricsRecord) -> None:
        """Show the figures of an epoch."""
        self._call_sinks(lambda sink: sink.metrics(record))

    def saved(self) -> None:
        """Tell the sinks that the weights were just saved."""
        self._call_sinks(lambda sink: sink.saved())

    def close(self) -> None:
        """Let every sink finish; a second call does nothing."""
        atexit.unregister(self.close)
        if self._is_open:
            self._call_sinks(lambda sink: sink.close())
        self.sinks, self._is_open = [], True

    def _call_sinks(self, method: Callable[[Sink], None]) -> None:
        self.open()
        for sink in list(self.sinks):
            try:
                method(sink)
            except Exception as error:  # of any kind: showing a run must never end it
                self.sinks.remove(sink)
                name = _kind(sink).__name__
                log.warning("%s stopped (%s); the training is not affected", name, error)


def log_places(opt: Namespace) -> None:
    """Log where the files of a training are, and the pages that show it."""
    folder = run_folder(opt)
    log.info("this run is in %s", folder)
    if not opt.no_html:
        log.info("  gallery: %s (opens without a server)", folder / "web" / "index.html")
    if opt.use_tensorboard:
        log.info("  TensorBoard: %s", f"tensorboard --logdir {opt.checkpoints_dir}")


def make_sinks(opt: Namespace, start: Start = None) -> list[Sink]:
    """Return the sinks that the flags ask for, without those whose construction fails.

    Sinks that write files wait for the disk where it fails; those that wait for a server or a slow
    package run in a thread of their own.
    """
    sinks = []
    for name, make in _constructors(opt, start).items():
        try:
            sinks.append(make())
        except Exception as error:  # of any kind: showing a run must never end it
            log.warning("%s is left out (%s); the training is not affected", name, error)
    return sinks


def _constructors(opt: Namespace, start: Start = None) -> dict[str, Callable[[], Sink]]:
    """Return the constructor of each sink that the flags ask for, by the name of its class."""
    folder = run_folder(opt)
    past, metrics = _past_curves(opt, start), _past_metrics(opt, start)
    constructors: dict[str, Callable[[], Sink]] = {
        "Console": Console,
        "LogFiles": lambda: Retrying(LogFiles, folder, start),
        "MetricsLog": lambda: Retrying(MetricsLog, folder, start and start[0]),
        "LoadingHint": lambda: LoadingHint(opt),
    }
    if not opt.no_html:
        width = opt.display_winsize
        constructors["Gallery"] = lambda: Retrying(
            Gallery, folder, opt.name, width, copy.deepcopy(past), MetricCurves(metrics)
        )
    constructors["CurvesFile"] = lambda: Retrying(
        CurvesFile, folder, opt.name, copy.deepcopy(past), MetricCurves(metrics)
    )
    if opt.display_id > 0:
        constructors["Dashboard"] = lambda: Background(
            Dashboard(
                DashboardSettings.from_options(opt),
                folder,
                copy.deepcopy(past),
                metric_curves=MetricCurves(metrics),
            )
        )
    if opt.use_tensorboard:
        constructors["TensorBoard"] = lambda: Background(Retrying(TensorBoard, folder), rests=False)
    if opt.use_wandb:
        constructors["WeightsAndBiases"] = lambda: Background(
            WeightsAndBiases(opt, folder), patience=60
        )
    return constructors


def _past_curves(opt: Namespace, start: Start) -> Curves:
    """Return the curves of a resumed run up to `start`, as far as its log can be read."""
    if not opt.continue_train:
        return Curves()
    try:
        return read_curves(run_folder(opt), math.inf if start is None else start[2])
    except Exception as error:  # of any kind: showing a run must never end it
        log.warning("the curves start anew (%s)", error)
        return Curves()


def _past_metrics(opt: Namespace, start: Start) -> list[MetricsRecord]:
    """Return the metrics of a resumed run before `start`, as far as their log can be read."""
    if not opt.continue_train:
        return []
    try:
        end = math.inf if start is None else start[0]
        return [record for record in read_metrics(run_folder(opt)) if record.epoch < end]
    except Exception as error:  # of any kind: showing a run must never end it
        log.warning("the curves of the metrics start anew (%s)", error)
        return []


def _uses_samples(sink: Sink, store: bool) -> bool:
    user = sink.inner if isinstance(sink, Deliveries) else sink
    if _kind(sink).samples is Sink.samples:
        return False
    return store or not issubclass(_kind(sink), Gallery) or _is_empty(user)


def _is_empty(gallery: Sink | None) -> bool:
    return isinstance(gallery, Gallery) and gallery.is_empty


def _kind(sink: Sink) -> type[Sink]:
    """Return the class of a sink, or of the one that it hands its records on to."""
    return sink.kind if isinstance(sink, Deliveries) else type(sink)
