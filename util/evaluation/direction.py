"""One direction of a run: which images a generator translates, and what they should look like."""

from collections.abc import Sequence
from dataclasses import dataclass

from .image_set import ImageSet


@dataclass(frozen=True)
class Direction:
    """The images that the generator G<forward> translates, and the real images of its target."""

    inputs: ImageSet
    real: ImageSet
    forward: str
    """The suffix of the generator: `_A`, `_B` or none."""
    backward: str | None
    """The suffix of the generator of the other direction, where there is one."""
    ending: str = ""
    """What the names of both generators end with: `_ema` where their weights are averages."""

    @property
    def title(self) -> str:
        """The generator, the number of images, and their folders, for tables and pages."""
        source, target = (f"{len(s)} images of {place(s)}" for s in (self.inputs, self.real))
        return f"G{self.forward}{self.ending}: {source} translated, against {target}"

    def applicable(self, metrics: Sequence[str]) -> list[str]:
        """Return `metrics` without `identity` where input and target differ in channels."""
        alike = self.inputs.how.gray == self.real.how.gray
        return [metric for metric in metrics if alike or metric != "identity"]


def place(images: ImageSet) -> str:
    """Return the folder of a set, and the half of its images that is meant."""
    half = images.how.half
    return f"{images.folder}{f' ({half})' if half else ''}"
