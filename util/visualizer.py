"""Distributes the losses and images of a training to its sinks.

Visualizer and `save_images` are also what scripts in the reference's manner call, see
util/script_calls.py.
"""

import atexit
import copy
import logging
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
from .sinks.gallery import Gallery
from .sinks.loading_hint import LoadingHint
from .sinks.loss_log import Console, LogFiles, read_history, rewind_logs
from .sinks.metrics_log import MetricsLog, read_metrics, rewind_metrics
from .sinks.samples import translate_samples
from .sinks.sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink, image_arrays_of
from .sinks.svg_curves import CurvesFile
from .sinks.tensorboard_sink import TensorBoard
from .sinks.wandb_sink import WeightsAndBiases

__all__ = ["Visualizer", "save_images"]

log = logging.getLogger(__name__)


class Visualizer(ScriptCalls):
    """Gives every record to every sink; a sink that fails is named once and then left out.

    No sink can end the training. `samples` are the batches of fixed images.
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

    def open(self, start: tuple[int, int, int] | None = None) -> None:
        """Construct the sinks, and rewind the logs to `start`, a util.run.progress.Position.

        Nothing is written before. Where nobody calls it, the first record does. Logs where the
        files of the run are.
        """
        if self._is_open:
            return
        self._is_open = True
        if script := script_of(self.opt):
            start = script.claim()
        if start is not None:
            try:
                rewind_logs(run_folder(self.opt), *start)
                rewind_metrics(run_folder(self.opt), start[0])
            except Exception as error:  # of any kind: showing a run must never end it
                log.warning("the logs still hold lines of lost steps (%s)", error)
        log_places(self.opt)
        self.sinks = make_sinks(self.opt)
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
                log.warning(
                    "%s stopped (%s); the training is not affected", type(sink).__name__, error
                )


def log_places(opt: Namespace) -> None:
    """Log where the files of a training are, and the pages that show it."""
    folder = run_folder(opt)
    log.info("this run is in %s", folder)
    if not opt.no_html:
        log.info("  gallery: %s (opens without a server)", folder / "web" / "index.html")
    if opt.use_tensorboard:
        log.info("  TensorBoard: %s", f"tensorboard --logdir {opt.checkpoints_dir}")


def make_sinks(opt: Namespace) -> list[Sink]:
    """Return the sinks that the flags ask for, without those whose construction fails.

    Sinks that wait for a server or a slow package run in a thread of their own.
    """
    sinks = []
    for name, make in _constructors(opt).items():
        try:
            sinks.append(make())
        except Exception as error:  # of any kind: showing a run must never end it
            log.warning("%s is left out (%s); the training is not affected", name, error)
    return sinks


def _constructors(opt: Namespace) -> dict[str, Callable[[], Sink]]:
    """Return the constructor of each sink that the flags ask for, by the name of its class."""
    folder = run_folder(opt)
    past, metrics = _past_curves(opt), _past_metrics(opt)
    constructors: dict[str, Callable[[], Sink]] = {
        "Console": Console,
        "LogFiles": lambda: LogFiles(folder),
        "MetricsLog": lambda: MetricsLog(folder),
        "LoadingHint": lambda: LoadingHint(opt),
    }
    if not opt.no_html:
        constructors["Gallery"] = lambda: Gallery(
            folder, opt.name, opt.display_winsize, copy.deepcopy(past), MetricCurves(metrics)
        )
    constructors["CurvesFile"] = lambda: CurvesFile(
        folder, opt.name, copy.deepcopy(past), MetricCurves(metrics)
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
        constructors["TensorBoard"] = lambda: Background(TensorBoard(folder))
    if opt.use_wandb:
        constructors["WeightsAndBiases"] = lambda: Background(
            WeightsAndBiases(opt, folder), patience=60
        )
    return constructors


def _past_curves(opt: Namespace) -> Curves:
    """Return the curves of a resumed run, as far as its log can be read."""
    if not opt.continue_train:
        return Curves()
    try:
        return Curves(read_history(run_folder(opt)))
    except Exception as error:  # of any kind: showing a run must never end it
        log.warning("the curves start anew (%s)", error)
        return Curves()


def _past_metrics(opt: Namespace) -> list[MetricsRecord]:
    """Return the metrics of a resumed run, as far as their log can be read."""
    if not opt.continue_train:
        return []
    try:
        return list(read_metrics(run_folder(opt)))
    except Exception as error:  # of any kind: showing a run must never end it
        log.warning("the curves of the metrics start anew (%s)", error)
        return []


def _uses_samples(sink: Sink, store: bool) -> bool:
    user = sink.inner if isinstance(sink, Background) else sink
    if type(user).samples is Sink.samples:
        return False
    return store or not isinstance(user, Gallery) or user.is_empty
