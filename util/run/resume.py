"""Resuming a run exactly where it stopped."""

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from .. import ranks, sharing
from ..checkpoints.run_folder import run_folder
from ..checkpoints.training_state import (
    read_state,
    restore_random_states,
    start_from_weights,
    state_path,
)
from ..errors import UserError
from .evaluator import FINISHED
from .launch import BY_HAND, start_alike
from .out_of_memory import is_out_of_memory
from .progress import Progress

log = logging.getLogger(__name__)


class Resumable(Protocol):
    """What a model provides."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first optimizer."""

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore networks, optimizers, schedules and image pools."""


class Evaluation(Protocol):
    """What an evaluator provides."""

    @property
    def out_of_patience(self) -> bool:
        """Whether the last --patience evaluations have improved no direction."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the best epochs."""

    def why_stopped(self) -> str:
        """Return the reason of a stop by --patience."""


def resume_command(opt: Namespace) -> str:
    """Return in words which command resumes a run exactly, as a change of the command of `opt`."""
    without = " or ".join(f"--{name}" for name in BY_HAND if name in opt.given)
    command = "the same command with --continue_train"
    return f"{command} and without {without}" if without else command


def resume(opt: Namespace, model: Resumable, progress: Progress, evaluator: Evaluation) -> bool:
    """Restore model, random streams, position and best epochs from the training state, if any.

    Several processes make sure first that they start alike.

    An --epoch_count given by hand takes precedence over the stored position. Returns whether the
    run can stay in its folder: a start from weights alone, or from an earlier --epoch_count, would
    write over the snapshots in it. Raises UserError, with the remedy, where the state is damaged.
    """
    start_alike(opt, progress.dataset, model)
    if opt.resume != "state":
        return False
    path = state_path(run_folder(opt))
    state = sharing.on_main(lambda: read_state(path))
    with _reporting_damage(path):
        model.load_training_state(state["model"])
        restore_random_states(state["random"])
        if "epoch_count" not in opt.given:
            progress.resume(state["progress"])
        # else the best weights stay with the old run
        if progress.epoch >= state["progress"]["epoch"]:
            evaluator.load_state(state.get("evaluation", {}))
    if _is_finished(progress, evaluator):
        return True
    log.info(
        "resuming at epoch %d/%d, step %d, lr %.6f",
        progress.epoch,
        progress.last_epoch,
        progress.total_steps,
        model.learning_rate,
    )
    return progress.epoch >= state["progress"]["epoch"]


@contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    """Raise UserError, with the remedy, where values of a state are missing, wrong or do not fit.

    All processes of a training have the same state, and raise it together.
    """
    try:
        yield
    except UserError as error:
        raise ranks.everywhere(UserError(f"{error}; {start_from_weights(path.parent)}")) from error
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        damage = f"{path} is damaged ({reason}): {start_from_weights(path.parent)}"
        raise ranks.everywhere(UserError(damage)) from error


def _is_finished(progress: Progress, evaluator: Evaluation) -> bool:
    """Say so where nothing is left to train, and what extends the run."""
    if evaluator.out_of_patience and progress.epoch_iters == 0:
        progress.last_epoch = min(progress.last_epoch, progress.epoch - 1)
        log.info("%s; %s", evaluator.why_stopped(), FINISHED)
        return True
    if progress.epoch > progress.last_epoch:
        log.info(
            "this run is finished (%d of %d epochs); a larger --n_epochs or --n_epochs_decay "
            "extends it",
            min(progress.epoch - 1, progress.last_epoch),  # fewer may be asked for than it has
            progress.last_epoch,
        )
        return True
    return False
