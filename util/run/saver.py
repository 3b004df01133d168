"""What a training run saves, and when."""

import logging
import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from .. import ranks
from ..checkpoints.host_copy import host_copy
from ..checkpoints.run_folder import run_folder
from ..checkpoints.training_state import random_states, state_path, write_state
from ..errors import DataError, UserError
from ..threads import Threads
from .health import Health
from .progress import Progress
from .resume import resume_command

log = logging.getLogger(__name__)


class Saveable(Protocol):
    """What a model provides."""

    save_dir: Path

    def save_networks(self, epoch: int | str) -> None:
        """Write `<epoch>_net_<name>.pth` for every network."""

    def weights_in(self, state: Mapping[str, Any]) -> dict[str, Mapping[str, Tensor]] | None:
        """Return what `save_networks` writes, by name, out of a `training_state`, or None."""

    def write_weights(self, epoch: int | str, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Write them as `save_networks` does."""

    def current_loss_tensors(self) -> dict[str, Tensor]:
        """Return the losses of the last step: name -> scalar."""

    def weights(self) -> list[Tensor]:
        """Return the weights of all networks."""

    def training_state(self) -> dict[str, Any]:
        """Return everything that resuming exactly needs."""


class Stateful(Protocol):
    """A part of a run that resumes with it, beside the model."""

    def state(self) -> dict[str, Any]:
        """Return what resuming needs, as tensors and plain containers."""


class Saver:
    """Writes weights and the training state of a run; of several processes rank 0 does.

    A thread writes a copy of them while the training goes on; the next save waits for it, and the
    last one of a process for itself. Models that write files of their own are waited for.

    A write that fails is a warning, since the next save may succeed. Raises UserError, before
    anything is written, where `health` finds a value that is not finite. `on_save` is called after
    each copy.
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
        self.state_path = state_path(run_folder(opt))
        self.failed = False
        """Whether the last save that was finished failed."""
        self._thread = Threads(threads=1, ahead=1)
        health.before_error = self._thread.finish  # its message says whether there is a save

    def save_latest(self, last: bool = False) -> None:
        """Save the state and `latest_net_*.pth`; with --save_by_iter also `iter_<N>_net_*.pth`.

        `last`: the process ends after this save, without having reached the end of the run.
        """
        names = ["latest"]
        if self.opt.save_by_iter and self.progress.due(self.opt.save_latest_freq):
            names.append(f"iter_{self.progress.total_iters}")
        self._save(names, last)
        if last and not self.failed:
            log.info("saved; %s resumes from here", resume_command(self.opt))

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Wait for the thread at the end, whatever it is.

        Save before a DataError passes: it is raised between two steps, so the state is whole.
        """
        try:
            yield
        except DataError:
            if self.progress.trained:
                self.save_latest(last=True)
            raise
        finally:
            self.finish()

    def save_before_retry(self) -> None:
        """Save to the end, before a batch that could not be loaded is tried again.

        That starts processes, for which the memory may not suffice.
        """
        if self.progress.trained:
            self.save_latest()
            self.finish()

    def finish(self) -> None:
        """Wait until the save that a thread is writing is done."""
        self._thread.finish()

    def save_epoch(self, epoch: int) -> None:
        """Save the state and `latest`, every --save_epoch_freq epochs also a snapshot."""
        last = epoch == self.progress.last_epoch
        snapshot = epoch % self.opt.save_epoch_freq == 0 or last
        self._save(["latest", str(epoch)] if snapshot else ["latest"], last)

    def _save(self, names: Sequence[str], last: bool) -> None:
        self.finish()
        self.check()
        state = self._state()
        if ranks.is_main():
            self._begin_to_write(names, state, last)
            self.on_save()
        if last:  # a process that ends while rank 0 saves would have torchrun end that one too
            self.finish()
            ranks.from_main(None)

    def _begin_to_write(self, names: Sequence[str], state: dict[str, Any], last: bool) -> None:
        if self.model.weights_in(state["model"]) is None:  # of what it writes nothing is copied
            self._write(names, self.model.save_networks, state, last)
            return
        state = host_copy(state)
        weights = self.model.weights_in(state["model"]) or {}
        write_weights = partial(self.model.write_weights, weights=weights)
        self._thread.submit(self._write, names, write_weights, state, last)

    def _write(
        self,
        names: Sequence[str],
        write_weights: Callable[[str], None],
        state: dict[str, Any],
        last: bool,
    ) -> None:
        try:
            for name in names:
                write_weights(name)
            # last: a run that is killed before it resumes from the older state and rewrites them
            write_state(self.state_path, state)
        except (OSError, UserError) as error:
            self.failed = True
            log.warning("%s. %s", error, self._remedy() if last else "The next save tries again")
            return
        self.failed = False
        if any(map(str.isdecimal, names)) and self.opt.keep_last > 0:
            self._delete_old_snapshots()

    def check(self) -> None:
        """Raise UserError where a loss or a weight is not finite; called before a save."""
        self.health.check_before_save(self.model.current_loss_tensors(), self.model.weights())

    def store_state(self) -> None:
        """Write the training state. Raises UserError where the file cannot be written."""
        state = self._state()
        if ranks.is_main():
            write_state(self.state_path, state)

    def _state(self) -> dict[str, Any]:
        return {
            "random": random_states(),
            "progress": self.progress.state(),
            "model": self.model.training_state(),
            "evaluation": self.evaluator.state(),
            "job": ranks.job(),
        }

    def _remedy(self) -> str:
        """What a user can do where the last save of a process failed."""
        if not self.state_path.is_file():
            return "No training state was stored before, so this run cannot resume exactly"
        return (
            "What was trained since the save before is lost; make room, and "
            f"{resume_command(self.opt)} resumes from that save"
        )

    def _delete_old_snapshots(self) -> None:
        snapshots: dict[int, list[Path]] = {}
        for path in Path(self.model.save_dir).glob("*_net_*.pth"):
            match = re.match(r"(\d+)_net_", path.name)
            if match:
                snapshots.setdefault(int(match[1]), []).append(path)
        for epoch in sorted(snapshots)[: -self.opt.keep_last]:
            for path in snapshots[epoch]:
                with suppress(OSError):  # a read-only disk: the next snapshot deletes it
                    path.unlink(missing_ok=True)
