"""Sends losses and images to Weights & Biases; WANDB_MODE=offline stores them on disk.

Keys with the word "picture" are those of earlier runs, which a resumed run extends.
"""

import os
import secrets
from argparse import Namespace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_text_atomically
from ..images import ImageArray
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink

INIT_TIMEOUT = 30
"""Seconds, about, for which the package waits for its server; a run waits longer for its end."""


class WeightsAndBiases(Sink):
    """Logs losses, learning rate, speed and images; a resumed run extends its curves.

    Files are in `<folder>/wandb`.
    """

    def __init__(self, opt: Namespace, folder: Path) -> None:
        self.opt, self.folder = opt, folder
        self._run: Any = None
        self._last_step = -1

    def open(self) -> None:
        """Import the package and start or resume the run.

        Raises UserError where the package is not installed or nobody is logged in.
        """
        try:
            import wandb
        except ImportError as error:
            raise UserError("--use_wandb: pip install wandb") from error
        self._wandb = wandb
        offline = os.environ.get("WANDB_MODE", "online") != "online"
        if not offline and not wandb.login(prompt=False, verify=False):
            raise UserError("--use_wandb: run `wandb login` first, or set WANDB_MODE=offline")
        config = {name: value for name, value in vars(self.opt).items() if name != "given"}
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.opt.wandb_project_name,
            name=self.opt.name,
            id=self._identity(),
            resume="allow" if self.opt.continue_train else None,
            dir=str(self.folder),
            config=config,
            settings=wandb.Settings(console="off", silent=True, init_timeout=INIT_TIMEOUT),
        )

    def losses(self, record: LossRecord) -> None:
        """Log all values of a step."""
        values = {f"loss/{name}": value for name, value in record.losses.items()}
        values["learning_rate"] = record.learning_rate
        values["images_per_second"] = record.images_per_second
        self._log(values, record.total_iters)

    def images(self, record: ImageRecord) -> None:
        """Log the current images."""
        images = {f"pictures/{label}": self._image(p) for label, p in record.images.items()}
        self._log(images, record.total_iters)

    def samples(self, record: SampleRecord) -> None:
        """Log the fixed images as one."""
        grid = sample_grid(record.rows)
        self._log({"fixed pictures": self._image(grid)}, record.total_iters)

    def metrics(self, record: MetricsRecord) -> None:
        """Log the figures of an epoch."""
        values = {f"metrics/{name}": value for name, value in record.values.items()}
        self._log(values, record.total_iters)

    def close(self) -> None:
        """Let the package finish its upload."""
        if self._run is not None:
            self._run.finish()

    def _log(self, values: dict[str, Any], step: int) -> None:
        # The package refuses steps that go back, as they do when a run resumes from an older save.
        self._last_step = max(self._last_step, step)
        self._run.log(values, step=self._last_step)

    def _image(self, image: ImageArray) -> Any:
        return self._wandb.Image(image)

    def _identity(self) -> str:
        """Return the identity of the run, stored in its folder for --continue_train."""
        file = self.folder / "wandb_id.txt"
        if self.opt.continue_train and file.is_file():
            return file.read_text(encoding="utf-8").strip()
        identity = secrets.token_hex(4)
        write_text_atomically(file, identity + "\n")
        return identity
