"""The records that a training hands to its sinks, and the interface of a sink."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..evaluation.figures import Figure
from ..images import ImageArray, Visual, tensor2im


@dataclass(frozen=True)
class LossRecord:
    """The losses of one training step, with its speed."""

    epoch: int
    """Number of the epoch, from 1."""
    iters: int
    """Images seen in this epoch."""
    total_iters: int
    """Images seen in the whole run."""
    losses: Mapping[str, float]
    learning_rate: float
    time: float
    """Seconds of computing for an image, the mean since the last record."""
    data: float
    """Seconds that a step waited for its batch, likewise."""
    images_per_second: float
    """Likewise."""
    epochs: int = 0
    """Number of the last epoch of the run; 0 where it is not known."""
    epoch_images: int = 0
    """Images in an epoch; 0 where it is not known."""
    seconds_left: float = 0.0
    """An estimate for the rest of the run; 0 where it is not known."""


@dataclass(frozen=True)
class ImageRecord:
    """The images of one training step, by label."""

    epoch: int
    total_iters: int
    images: Mapping[str, ImageArray]
    store: bool
    """Whether the gallery stores them, rather than the dashboard alone showing them."""


@dataclass(frozen=True)
class SampleRecord:
    """The fixed images as the model translates them at this step."""

    epoch: int
    total_iters: int
    rows: Sequence[Mapping[str, ImageArray]]
    """For each fixed image its input and translations by label."""
    store: bool
    """Whether the epoch has ended, so that the gallery stores them."""


@dataclass(frozen=True)
class MetricsRecord:
    """The figures of the held-out images at the end of an epoch."""

    epoch: int
    total_iters: int
    figures: Mapping[str, Mapping[str, Figure]]
    """Network -> title -> figure."""
    best: Mapping[str, int]
    """Network -> its best epoch so far."""
    seconds: float
    """That the evaluation took."""
    share: float
    """Of the time of this process so far that went into evaluation, 0 to 1."""

    @property
    def values(self) -> dict[str, float]:
        """`<title> <network>` -> value, of all directions."""
        return {
            f"{title} {network}": figure.value
            for network, row in self.figures.items()
            for title, figure in row.items()
        }


def image_arrays_of(visuals: Mapping[str, Visual]) -> dict[str, ImageArray]:
    """Return the first image of each batch (N, C, H, W) in [-1, 1] as a record takes it."""
    return {label: tensor2im(images) for label, images in visuals.items()}


class Sink:
    """Receives the records of a training; a sink overrides the methods whose records it uses."""

    def open(self) -> None:
        """Import the package and connect. `Background` calls it once, before the first record."""

    def losses(self, record: LossRecord) -> None:
        """Receive the losses of a step."""

    def images(self, record: ImageRecord) -> None:
        """Receive the images of a step."""

    def samples(self, record: SampleRecord) -> None:
        """Receive the translated fixed images."""

    def metrics(self, record: MetricsRecord) -> None:
        """The figures at the end of an epoch."""

    def saved(self) -> None:
        """Receive the notice of a save, whose files may not be written yet."""

    def flush(self) -> None:
        """Send buffered records. `Background` calls it after each delivery, and when idle."""

    def close(self) -> None:
        """Finish, as the run has ended."""
