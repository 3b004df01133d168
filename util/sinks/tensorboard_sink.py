"""Writes losses and images to event files for TensorBoard, in `<folder>/tensorboard`.

Tags with the word "picture" are those of earlier runs, whose curves a resumed run extends.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_text_atomically
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink

PROBE_BYTES = 2**20
"""What a disk must take before writing is tried again."""


class TensorBoard(Sink):
    """Writes losses, learning rate, speed and images over the number of images seen.

    A resumed run purges the points of its lost steps. A record is on disk once its method returns;
    after an OSError or UserError the same record may be sent again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self._writer: Any = None
        self._has_written = self._failed = False

    def open(self) -> None:
        """Import TensorBoard. Raises UserError where it is not installed."""
        try:
            with warnings.catch_warnings():  # of packages that TensorBoard imports
                warnings.simplefilter("ignore")
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--use_tensorboard: pip install tensorboard") from error
        self._make = SummaryWriter

    def losses(self, record: LossRecord) -> None:
        """Write a scalar for each value."""
        step = record.total_iters
        with self._at(step) as writer:
            for name, value in record.losses.items():
                writer.add_scalar(f"loss/{name}", value, step)
            writer.add_scalar("learning_rate", record.learning_rate, step)
            writer.add_scalar("speed/images_per_second", record.images_per_second, step)
            writer.add_scalar("speed/seconds_waiting_for_data", record.data, step)
            writer.add_scalar("speed/seconds_computing_per_picture", record.time, step)

    def images(self, record: ImageRecord) -> None:
        """Write an image for each label."""
        with self._at(record.total_iters) as writer:
            for label, image in record.images.items():
                writer.add_image(f"pictures/{label}", image, record.total_iters, dataformats="HWC")

    def samples(self, record: SampleRecord) -> None:
        """Write all fixed images as one."""
        grid = np.array(sample_grid(record.rows))
        with self._at(record.total_iters) as writer:
            writer.add_image("fixed pictures", grid, record.total_iters, dataformats="HWC")

    def metrics(self, record: MetricsRecord) -> None:
        """Add a scalar for each figure of each direction."""
        with self._at(record.total_iters) as writer:
            for name, value in record.values.items():
                writer.add_scalar(f"metrics/{name}", value, record.total_iters)

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @contextmanager
    def _at(self, step: int) -> Iterator[Any]:
        """Yield the writer for a record of that step.

        The first one purges the lost steps of a resumed run. One that has failed fails for ever, so
        that a new one takes its place; a part of a record may then be written twice.
        """
        try:
            if self._failed:  # else each attempt would show the traceback of the writer's thread
                self.folder.mkdir(parents=True, exist_ok=True)
                probe = self.folder / "probe"
                write_text_atomically(probe, " " * PROBE_BYTES)
                probe.unlink()
            if self._writer is None:
                self._writer = self._make(
                    str(self.folder), purge_step=None if self._has_written else step
                )
            yield self._writer
            self._writer.flush()
            self._has_written, self._failed = True, False
        except (OSError, UserError):
            self._writer, self._failed = None, True
            raise
