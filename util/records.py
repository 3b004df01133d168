"""What a run hands to the sinks that show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .images import Picture


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
class PictureRecord:
    """The pictures of one step, by label."""

    epoch: int
    total_iters: int
    pictures: Mapping[str, Picture]
    keep: bool
    """Whether they go into the gallery, not only on the dashboard."""


@dataclass(frozen=True)
class SampleRecord:
    """The fixed pictures as the model translates them now: a mapping by label for each."""

    epoch: int
    total_iters: int
    rows: Sequence[Mapping[str, Picture]]
    keep: bool
    """Whether the epoch has ended, so that they go into the gallery."""
