"""When and what a training run saves."""

import logging
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..checkpoints.run_folder import run_folder
from ..checkpoints.training_state import state_path, write_state
from ..errors import DataError, UserError
from .health import Health
from .progress import Progress

log = logging.getLogger(__name__)


class Saveable(Protocol):
    """What a model offers."""

    save_dir: Path

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network."""

    def current_loss_tensors(self) -> dict[str, Tensor]:
        """Name -> scalar, of the losses of the last step."""

    def weights(self) -> list[Tensor]:
        """The weights of all networks."""

    def training_state(self) -> dict[str, Any]:
        """Everything that going on exactly needs."""


class Stateful(Protocol):
    """A part of a run that resumes with it, beside the model."""

    def state(self) -> dict[str, Any]:
        """Return what resuming needs, as tensors and plain containers."""


class Saver:
    """Writes weights and the training state. A write that fails is said; the training goes on.

    Raises UserError, before anything is written, where `health` finds a value that is not finite.
    `on_save` is called after each save.
    """

    def __init__(
        self,
        opt: Namespace,
        model: Saveable,
        progress: Progress,
        health: Health,
        evaluator: Stateful,
        on_save: Callable[[], None] = lambda: None,
    ) -> None:
        self.opt, self.model, self.progress = opt, model, progress
        self.health, self.evaluator, self.on_save = health, evaluator, on_save
        self.failed = False
        """Whether the last save failed."""

    def save_latest(self) -> None:
        """The state and `latest_net_*.pth`; with --save_by_iter also `iter_<N>_net_*.pth`."""
        names = ["latest"]
        if self.opt.save_by_iter and self.progress.due(self.opt.save_latest_freq):
            names.append(f"iter_{self.progress.total_iters}")
        self._save(names)

    @contextmanager
    def saving_before_data_errors(self) -> Iterator[None]:
        """A DataError inside leaves what was trained whole: it is saved before the error passes."""
        try:
            yield
        except DataError:
            if self.progress.trained:
                self.save_latest()
                if not self.failed:
                    log.info("saved; the same command with --continue_train resumes from here")
            raise

    def save_epoch(self, epoch: int) -> None:
        """At the end of an epoch: the state and latest, every --save_epoch_freq its snapshot."""
        snapshot = epoch % self.opt.save_epoch_freq == 0 or epoch == self.progress.last_epoch
        self._save(["latest", str(epoch)] if snapshot else ["latest"])
        if snapshot and self.opt.keep_last > 0 and not self.failed:
            self._drop_old_snapshots()

    def _save(self, names: list[str]) -> None:
        self.health.check_before_save(self.model.current_loss_tensors(), self.model.weights())
        state = {
            "progress": self.progress.state(),
            "model": self.model.training_state(),
            "evaluation": self.evaluator.state(),
        }
        try:
            for name in names:
                self.model.save_networks(name)
            # last: a run that is killed before goes on from the older state and writes them again
            write_state(state_path(run_folder(self.opt)), state)
        except UserError as error:
            self.failed = True
            log.warning("%s. The training goes on; the next save tries again", error)
        else:
            self.failed = False
        self.on_save()

    def _drop_old_snapshots(self) -> None:
        snapshots: dict[int, list[Path]] = {}
        for path in self.model.save_dir.glob("*_net_*.pth"):
            match = re.match(r"(\d+)_net_", path.name)
            if match:
                snapshots.setdefault(int(match[1]), []).append(path)
        for epoch in sorted(snapshots)[: -self.opt.keep_last]:
            for path in snapshots[epoch]:
                path.unlink(missing_ok=True)
