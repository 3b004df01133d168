"""TensorBoard: event files in `<folder>/tensorboard`."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink


class TensorBoard(Sink):
    """Losses, learning rate, speed and pictures, over the number of pictures seen.

    A run that is continued takes back the points of its lost part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self._writer: Any = None

    def open(self) -> None:
        """Import TensorBoard."""
        try:
            with warnings.catch_warnings():  # of packages that it brings along
                warnings.simplefilter("ignore")
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--use_tensorboard: pip install tensorboard") from error
        self._make = SummaryWriter

    def losses(self, record: LossRecord) -> None:
        """A scalar each."""
        step, writer = record.total_iters, self._at(record.total_iters)
        for name, value in record.losses.items():
            writer.add_scalar(f"loss/{name}", value, step)
        writer.add_scalar("learning_rate", record.learning_rate, step)
        writer.add_scalar("speed/images_per_second", record.images_per_second, step)
        writer.add_scalar("speed/seconds_waiting_for_data", record.data, step)
        writer.add_scalar("speed/seconds_computing_per_picture", record.time, step)

    def pictures(self, record: ImageRecord) -> None:
        """An image each."""
        writer = self._at(record.total_iters)
        for label, picture in record.pictures.items():
            writer.add_image(f"pictures/{label}", picture, record.total_iters, dataformats="HWC")

    def samples(self, record: SampleRecord) -> None:
        """One image of all."""
        writer = self._at(record.total_iters)
        grid = np.array(sample_grid(record.rows))
        writer.add_image("fixed pictures", grid, record.total_iters, dataformats="HWC")

    def metrics(self, record: MetricsRecord) -> None:
        """Add a scalar for each figure of each direction."""
        writer = self._at(record.total_iters)
        for name, value in record.values.items():
            writer.add_scalar(f"metrics/{name}", value, record.total_iters)

    def flush(self) -> None:
        """Write to disk."""
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
