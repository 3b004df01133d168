"""The one place that a run hands its losses and pictures to."""

import logging
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from .images import tensor2im
from .records import LossRecord, PictureRecord
from .sinks.gallery import Gallery
from .sinks.log_files import Console, LogFiles
from .sinks.sink import Sink

log = logging.getLogger(__name__)


class Visualizer:
    """Gives every record to every sink. A sink that fails is named once and left out from then on.

    None of them can stop the run.
    """

    def __init__(self, opt: Namespace, sinks: list[Sink] | None = None) -> None:
        self.sinks = make_sinks(opt) if sinks is None else sinks

    def losses(self, record: LossRecord) -> None:
        """Show the losses of a step."""
        self._each(lambda sink: sink.losses(record))

    def pictures(
        self, visuals: Mapping[str, Tensor], epoch: int, total_iters: int, keep: bool
    ) -> None:
        """Show the first image of each (N, C, H, W) in [-1, 1]; `keep` puts it in the gallery."""
        pictures = {label: tensor2im(images) for label, images in visuals.items()}
        record = PictureRecord(epoch, total_iters, pictures, keep)
        self._each(lambda sink: sink.pictures(record))

    def close(self) -> None:
        """Let every sink finish."""
        self._each(lambda sink: sink.close())

    def _each(self, act: Callable[[Sink], None]) -> None:
        for sink in list(self.sinks):
            try:
                act(sink)
            except Exception as error:  # whatever it is: watching must never harm the run
                self.sinks.remove(sink)
                log.warning("%s stopped (%s); the training goes on", type(sink).__name__, error)


def make_sinks(opt: Namespace) -> list[Sink]:
    """The sinks that the flags ask for."""
    folder = Path(opt.checkpoints_dir) / opt.name
    sinks: list[Sink] = [Console(), LogFiles(folder)]
    if not opt.no_html:
        sinks.append(Gallery(folder, opt.name, opt.display_winsize))
    return sinks
