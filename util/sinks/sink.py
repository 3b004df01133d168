"""What a run hands to the sinks that show it, and their interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..evaluation.figures import Figure
from ..images import ImageArray, tensor2im


@dataclass(frozen=True)
class LossRecord:
    """The losses of one step."""

    epoch: int
    """From 1."""
    iters: int
    """Pictures seen in this epoch."""
    total_iters: int
    """Pictures seen in the whole run."""
    losses: Mapping[str, float]
    learning_rate: float
    time: float
    """Seconds of computing per picture."""
    data: float
    """Seconds of waiting for the batch."""
    images_per_second: float


@dataclass(frozen=True)
class ImageRecord:
    """The pictures of one step, by label."""

    epoch: int
    total_iters: int
    pictures: Mapping[str, ImageArray]
    keep: bool
    """Whether they go into the gallery, not only on the dashboard."""


@dataclass(frozen=True)
class SampleRecord:
    """The fixed pictures as the model translates them now: a mapping by label for each."""

    epoch: int
    total_iters: int
    rows: Sequence[Mapping[str, ImageArray]]
    keep: bool
    """Whether the epoch has ended, so that they go into the gallery."""


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


def image_arrays_of(visuals: Mapping[str, Tensor]) -> dict[str, ImageArray]:
    """Label -> the first image of each, (N, C, H, W) in [-1, 1], as a record takes it."""
    return {label: tensor2im(images) for label, images in visuals.items()}


class Sink:
    """Takes records; what a sink has no use for it leaves alone."""

    def open(self) -> None:
        """Get ready: import the package, connect. Called once, before the first record."""

    def losses(self, record: LossRecord) -> None:
        """The losses of a step."""

    def pictures(self, record: ImageRecord) -> None:
        """The pictures of a step."""

    def samples(self, record: SampleRecord) -> None:
        """The fixed pictures, translated."""

    def metrics(self, record: MetricsRecord) -> None:
        """The figures at the end of an epoch."""

    def saved(self) -> None:
        """The weights were just saved."""

    def flush(self) -> None:
        """Pass on what was taken; `Background` calls it after its records, and when idle."""

    def close(self) -> None:
        """The run has ended."""
