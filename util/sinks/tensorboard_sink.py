"""Writes losses and images to event files for TensorBoard, in `<folder>/tensorboard`.

Tags with the word "picture" are those of earlier runs, whose curves a resumed run extends.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink


class TensorBoard(Sink):
    """Writes losses, learning rate, speed and images over the number of images seen.

    A resumed run purges the points of its lost steps.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self._writer: Any = None

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
        step, writer = record.total_iters, self._at(record.total_iters)
        for name, value in record.losses.items():
            writer.add_scalar(f"loss/{name}", value, step)
        writer.add_scalar("learning_rate", record.learning_rate, step)
        writer.add_scalar("speed/images_per_second", record.images_per_second, step)
        writer.add_scalar("speed/seconds_waiting_for_data", record.data, step)
        writer.add_scalar("speed/seconds_computing_per_picture", record.time, step)

    def images(self, record: ImageRecord) -> None:
        """Write an image for each label."""
        writer = self._at(record.total_iters)
        for label, image in record.images.items():
            writer.add_image(f"pictures/{label}", image, record.total_iters, dataformats="HWC")

    def samples(self, record: SampleRecord) -> None:
        """Write all fixed images as one."""
        writer = self._at(record.total_iters)
        grid = np.array(sample_grid(record.rows))
        writer.add_image("fixed pictures", grid, record.total_iters, dataformats="HWC")

    def metrics(self, record: MetricsRecord) -> None:
        """Add a scalar for each figure of each direction."""
        writer = self._at(record.total_iters)
        for name, value in record.values.items():
            writer.add_scalar(f"metrics/{name}", value, record.total_iters)

    def flush(self) -> None:
        """Write buffered events to disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _at(self, step: int) -> Any:
        if self._writer is None:
            self._writer = self._make(str(self.folder), purge_step=step)
        return self._writer
