"""What scripts in the reference's manner call of a visualizer, over the records of our own.

The arguments have the order of each generation: 2017, 2018 to 2024, and 2025.
"""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from .checkpoints.run_folder import run_folder
from .files import make_folder
from .html import HTML
from .images import save_image, tensor2im
from .options import script_of
from .sinks.sink import LossRecord

log = logging.getLogger(__name__)

Losses = Mapping[str, Any]


class ScriptCalls:
    """The methods of the reference's visualizer.

    Where the script trains on a data set of `create_dataset`, positions are those of the run, which
    count on where it resumes; else they are those that the script gives.
    """

    opt: Namespace

    def __init__(self, opt: Namespace) -> None:
        self.opt = opt
        self._shown_losses: object = None
        """The step and the losses of the last record."""
        self._epoch, self._iters, self._before = 0, 0, 0
        self._stored_in_epoch = True
        if script := script_of(opt):
            script.on_save = self.saved

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.opt.name)

    @property
    def log_name(self) -> str:
        """The path of the file of losses."""
        return str(run_folder(self.opt) / "loss_log.txt")

    def losses(self, record: LossRecord) -> None:
        """Show the losses of a step."""
        raise NotImplementedError

    def images(self, visuals: Mapping[str, Any], epoch: int, total_iters: int, store: bool) -> None:
        """Show the images of a step."""
        raise NotImplementedError

    def saved(self) -> None:
        """Tell the sinks that the weights were just saved."""
        raise NotImplementedError

    def reset(self) -> None:
        """Begin an epoch: its first images are stored even without `save_result`."""
        self._stored_in_epoch = False

    def display_current_results(
        self, visuals: Mapping[str, Any], epoch: int, *rest: Any, save_result: bool | None = None
    ) -> None:
        """Show images (N, C, H, W) in [-1, 1] or (H, W, 3) uint8: [total_iters,] [save_result].

        The gallery stores them with `save_result`, the default, and the first of each epoch.
        """
        *total, last = (rest or (True,)) if save_result is None else (*rest, save_result)
        store = bool(last) or not self._stored_in_epoch
        self._stored_in_epoch = True
        epoch, _, here = self._position(epoch, None, total[0] if total else None)
        self.images(visuals, epoch, here, store)

    def print_current_losses(
        self, epoch: int, iters: int, losses: Losses, t_comp: float = 0.0, t_data: float = 0.0
    ) -> None:
        """Show the losses of a step with its seconds of computing for an image and of waiting."""
        self._losses(epoch, iters, None, losses, time=float(t_comp), data=float(t_data))

    def plot_current_losses(self, *position: Any, **named: Any) -> None:
        """Show the losses of a step, where `print_current_losses` has not: once for both.

        The arguments are (epoch, ratio, losses), (epoch, ratio, opt, losses) or (total_iters,
        losses).
        """
        losses = named.pop("losses") if "losses" in named else position[-1]
        numbers = [value for value in position if isinstance(value, int | float)]
        total = named.get("total_iters", numbers[0] if len(numbers) == 1 and not named else None)
        epoch = named.get("epoch", numbers[0] if numbers and total is None else None)
        self._losses(epoch, None, total, losses)

    def print_current_errors(
        self, epoch: int, iters: int, errors: Losses, t: float = 0.0, t_data: float = 0.0
    ) -> None:
        """Call `print_current_losses`, by its name in 2017."""
        self.print_current_losses(epoch, iters, errors, t, t_data)

    def plot_current_errors(self, epoch: int, ratio: float, opt: object, errors: Losses) -> None:
        """Call `plot_current_losses`, by its name in 2017."""
        self.plot_current_losses(epoch, ratio, opt, errors)

    def save_images(self, *args: Any, **named: Any) -> None:
        """Save results, as the function `save_images` does."""
        save_images(*args, **named)

    def _losses(
        self,
        epoch: int | None,
        iters: int | None,
        total: int | None,
        losses: Losses,
        **times: float,
    ) -> None:
        """Show losses, unless they are those of the last record."""
        values = {name: float(value) for name, value in losses.items()}
        script = script_of(self.opt)
        progress = script.progress if script else None
        step = progress.total_steps if progress else None
        shown = (step, [(name, repr(value)) for name, value in values.items()])
        if shown == self._shown_losses:
            return
        self._shown_losses = shown
        rate = script.model.learning_rate if script and script.model else self.opt.lr
        if progress and progress.trained:
            record = vars(progress.loss_record(values, rate)) | times
        else:
            epoch, iters, total = self._position(epoch, iters, total)
            where = {"epoch": epoch, "iters": iters, "total_iters": total}
            speed = {"time": 0.0, "data": 0.0, "images_per_second": 0.0}
            record = {**where, "losses": values, "learning_rate": rate, **speed, **times}
        self.losses(LossRecord(**record))

    def _position(
        self, epoch: int | None, iters: int | None, total: int | None
    ) -> tuple[int, int, int]:
        """Return the epoch, and the images seen in it and in the run, as far as they are known."""
        script = script_of(self.opt)
        if script and script.progress:
            progress = script.progress
            return progress.epoch, progress.epoch_iters, progress.total_iters
        if epoch is not None and epoch != self._epoch:
            self._epoch, self._iters, self._before = epoch, 0, self._before + self._iters
        self._iters = iters if iters is not None else self._iters
        return self._epoch, self._iters, self._before + self._iters if total is None else int(total)


def save_images(
    webpage: HTML,
    visuals: Mapping[str, Any],
    image_path: Sequence[str] | str,
    aspect_ratio: float = 1.0,
    width: int = 256,
    use_wandb: bool = False,
) -> None:
    """Save the translated images of a batch as `images/<stem>_<label>.png`, and add rows of them.

    Visuals are (N, C, H, W) in [-1, 1] for the N paths, or one image (H, W, 3) uint8. An input of a
    name that the page has already, from another folder, gets a number behind it.
    """
    if use_wandb and not webpage.inputs:  # once
        log.warning("--use_wandb: training alone logs to Weights & Biases")
    paths = [image_path] if isinstance(image_path, str) else list(image_path)
    for number, path in enumerate(paths):
        stem, files = _free_stem(webpage, path), []
        for label, images in visuals.items():
            single = images[number : number + 1] if isinstance(images, Tensor) else images
            files.append(f"{stem}_{label}.png")
            make_folder(webpage.img_dir)
            save_image(tensor2im(single), webpage.img_dir / files[-1], aspect_ratio)
        webpage.add_header(stem)
        webpage.add_images(files, list(visuals), files, width=width)


def _free_stem(webpage: HTML, path: str) -> str:
    """Return the stem of a file, numbered where another file has it on that page."""
    stem, number = Path(path).stem, 1
    while webpage.inputs.setdefault(stem, path) != path:
        number += 1
        stem = f"{Path(path).stem}_{number}"
    return stem
