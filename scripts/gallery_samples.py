"""The fixed images that a training stored for each epoch, cut out of the sheets of its gallery."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from util.checkpoints.run_folder import read_training_options
from util.errors import UserError
from util.image_files import open_image
from util.images import ImageArray
from util.sinks.image_grid import GAP, TEXT_HEIGHT

Cell = tuple[str, str, int, ImageArray]
"""Network, `input`, `output` or `answer`, row, and the image (H, W, 3)."""

COLUMNS = {
    "cycle_gan": [("G_A", "input"), ("G_A", "output"), ("G_B", "input"), ("G_B", "output")],
    "pix2pix": [("G", "input"), ("G", "output"), ("G", "answer")],
}
"""What the columns of a sheet are, by model: real_A, fake_B, real_B, fake_A of CycleGAN."""


class StoredSamples:
    """Iterates over (epoch, cells) of `web/images/epoch<NNN>_samples.png`, a sheet at a time.

    Sheets of other models, and of images that are not square, are taken whole, without inputs.
    Raises UserError where none are stored for the epochs.
    """

    def __init__(self, folder: Path, words: str) -> None:
        self.images = folder / "web" / "images"
        numbers = (
            re.fullmatch(r"epoch(\d+)_samples", path.stem)
            for path in self.images.glob("epoch*_samples.png")
        )
        stored = sorted(int(match[1]) for match in numbers if match)
        if words == "all":
            self.epochs = [str(epoch) for epoch in stored]
        else:
            self.epochs = [word.strip() for word in words.split(",") if word.strip()]
        missing = [epoch for epoch in self.epochs if epoch not in map(str, stored)]
        if missing or not self.epochs:
            what = f"epoch {missing[0]} has" if missing else "there are"
            raise UserError(
                f"--epochs {words}: {what} neither weights in {folder} nor fixed images in "
                f"{self.images} (which has: {', '.join(map(str, stored)) or 'none'})"
            )
        self.model = read_training_options(folder).get("model", "cycle_gan")

    def title(self, key: str) -> str:
        """What is shown, for the page."""
        return f"{key}: the fixed images of the training"

    def __iter__(self) -> Iterator[tuple[str, Iterator[Cell]]]:
        for epoch in self.epochs:
            with open_image(self.images / f"epoch{int(epoch):03d}_samples.png") as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
            yield epoch, self._cells(pixels)

    def _cells(self, sheet: ImageArray) -> Iterator[Cell]:
        columns = COLUMNS.get(self.model, [])
        width = (sheet.shape[1] + GAP) // max(1, len(columns)) - GAP
        rows, rest = divmod(sheet.shape[0] - TEXT_HEIGHT + GAP, width + GAP)
        if not columns or rest or (sheet.shape[1] + GAP) % len(columns) or rows < 1:
            yield "samples", "output", 0, sheet
            return
        for place in range(rows):
            top = TEXT_HEIGHT + place * (width + GAP)
            for number, (key, column) in enumerate(columns):
                left = number * (width + GAP)
                yield key, column, place, sheet[top : top + width, left : left + width]
