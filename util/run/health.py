"""Noticing early that a training run fails or collapses."""

import json
import logging
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from .. import ranks
from ..checkpoints.run_folder import run_folder
from ..checkpoints.training_state import state_path
from ..errors import UserError, new_run_from
from ..files import write_text_atomically
from ..images import Visual
from .progress import Progress
from .resume import resume_command

log = logging.getLogger(__name__)

STUCK_LOSS = 0.003
"""Of a discriminator; with lsgan balanced ones are near 0.25."""
STUCK_REPORTS = 20
"""Reports in a row, so that one lucky batch is no warning."""
CONSTANT_STD = 0.5 / 255
"""A standard deviation of a quarter of an 8-bit level, of images in [-1, 1]."""
CONSTANT_REPORTS = 10
"""Images in a row, as a fresh generator begins with almost one colour."""
REMEMBERED_BATCHES = 500
"""More than there are steps between two log lines by default; of older ones files are unknown."""


class Health:
    """Ends a run whose losses are not finite; warns once of a stuck or collapsed one.

    Processes that train together end at the same step, whichever of them has the bad loss.

    The CPU synchronises with a GPU only where losses are logged and before every save; until then
    the number of the first step with a bad loss is stored on the GPU.
    """

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self.report = run_folder(opt) / "not_finite.json"
        self._first_bad: Tensor | None = None
        self._batches: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_BATCHES)
        self._near_zero: dict[str, int] = {}
        self._constant: dict[str, int] = {}
        self._warned: set[str] = set()
        self.before_error: Callable[[], None] = lambda: None
        """Called before a UserError says from what the run can resume."""

    def watch(
        self, losses: Mapping[str, Tensor], batch: Mapping[str, Any], progress: Progress
    ) -> None:
        """Record the losses and files of a step. On the CPU, raises UserError as `check` does."""
        values = [value.detach() for value in losses.values() if isinstance(value, Tensor)]
        if not values:
            return
        finite = torch.stack([value.float() for value in values]).isfinite().all()
        step = finite.new_full((), progress.total_steps, dtype=torch.int64)
        bad = torch.where(finite, torch.full_like(step, -1), step)
        if self._first_bad is None:
            self._first_bad = bad
        else:
            self._first_bad = torch.where(self._first_bad < 0, bad, self._first_bad)
        files = {key: list(value) for key, value in batch.items() if key.endswith("_paths")}
        where = {"epoch": progress.epoch, "iters": progress.epoch_iters}
        self._batches.append({"step": progress.total_steps, **where, "files": files})
        if bad.device.type == "cpu":
            self.check(losses)

    def check_before_save(self, losses: Mapping[str, Any], weights: Iterable[Tensor]) -> None:
        """Raise UserError as `check` does, and where a weight is not finite, before it is saved."""
        self.check(losses)
        finite = all(torch.stack([w.detach().isfinite().all() for w in weights]).tolist())
        if not ranks.all_reduce(torch.tensor(int(finite)), "min"):
            self._end(self._batches[-1], losses, "a weight is not finite after")

    def check(self, losses: Mapping[str, Any]) -> None:
        """Raise UserError, after writing `not_finite.json`, where a loss was not finite."""
        if self._first_bad is None:
            return
        own = int(self._first_bad)
        never = 2**62
        step = int(ranks.all_reduce(torch.tensor(never if own < 0 else own), "min"))
        if step == never:
            return
        entries = [entry for entry in self._batches if entry["step"] == step]
        self._end(entries[0] if entries else {"step": step}, losses, "a loss is not finite at")

    def _end(self, where: dict[str, Any], losses: Mapping[str, Any], what: str) -> NoReturn:
        values = {name: str(float(value)) for name, value in losses.items()}
        others = [entry.get("files", {}) for entry in ranks.gather_objects(where)]
        files = {key: [path for entry in others for path in entry[key]] for key in others[0]}
        where = {**where, **({"files": files} if files else {})}
        if ranks.is_main():
            content = json.dumps({**where, "losses": values}, indent=1, default=str)
            write_text_atomically(self.report, content + "\n")
        raise ranks.everywhere(
            UserError(
                f"{what} step {where['step']}; {self.report} names the images of that step. "
                f"{self._remedy()}"
            )
        )

    def _remedy(self) -> str:
        self.before_error()
        if not state_path(run_folder(self.opt)).is_file():
            return "Nothing was saved yet: begin again with a lower --lr, or without those images"
        return (
            f"The last save is untouched: {resume_command(self.opt)} resumes from it, best with a "
            "lower --lr; without those images begin a new run with its weights, "
            f"{new_run_from(self.opt.name)}"
        )

    def watch_reported(self, losses: Mapping[str, float]) -> None:
        """Warn where a discriminator is stuck near zero; called with the losses that are logged.

        Raises UserError as `check` does.
        """
        self.check(losses)
        for name, value in losses.items():
            if not name.startswith("D"):
                continue
            stuck = self._near_zero[name] = (
                self._near_zero.get(name, 0) + 1 if abs(value) < STUCK_LOSS else 0
            )
            if stuck == STUCK_REPORTS:
                self._warn_once(
                    name,
                    f"the loss {name} has been near zero for {stuck} reports: the discriminator "
                    "tells real from generated without effort, so the generator learns nothing. "
                    "Check that the folders differ in style alone (not in borders, size or file "
                    "format), or begin a new run with a lower --ndf",
                )

    def watch_images(self, visuals: Mapping[str, Visual]) -> None:
        """Warn where a generated image has one colour; called with the images that are shown."""
        for label, images in visuals.items():
            if not label.startswith("fake"):
                continue
            if isinstance(images, Tensor):
                std = float(images.detach().float().std())
            else:  # levels from 0 to 255
                std = float(images.std()) / 127.5
            constant = std < CONSTANT_STD
            self._constant[label] = self._constant.get(label, 0) + 1 if constant else 0
            if self._constant[label] == CONSTANT_REPORTS:
                self._warn_once(
                    label,
                    f"{label} is one constant colour: the generator has collapsed. Resume with a "
                    "lower --lr, or start from the weights of an earlier epoch with "
                    "--continue_train --epoch N, which moves this run aside",
                )

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned and ranks.is_main():
            self._warned.add(key)
            log.warning("%s", text)
