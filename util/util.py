"""The helpers that scripts and plug-ins in the reference's manner import as `util.util`."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import images, ranks
from .devices import pick_device
from .errors import UserError
from .files import make_folder
from .run.script_run import ScriptRun

Array = npt.NDArray[Any]


def tensor2im(input_image: Any, imtype: Any = np.uint8) -> Any:
    """Return the first image of a batch (N, C, H, W) in [-1, 1] as (H, W, 3) of type `imtype`.

    Levels go from 0 to 255, rounded and clipped for integer types alone. An array gets the type;
    anything else is returned as it is.
    """
    if isinstance(input_image, np.ndarray):
        return input_image.astype(imtype, copy=False)
    if not isinstance(input_image, Tensor):
        return input_image
    if np.issubdtype(imtype, np.integer):
        return images.tensor2im(input_image).astype(imtype)
    levels = (input_image.detach()[0].float().cpu().numpy().transpose(1, 2, 0) + 1) / 2 * 255
    return levels.repeat(3 if levels.shape[2] == 1 else 1, axis=2).astype(imtype)


def save_image(image_numpy: Array, image_path: str | Path, aspect_ratio: float = 1.0) -> None:
    """Write an image (H, W, 3) uint8; above 1 `aspect_ratio` makes it wider, below 1 higher."""
    images.save_image(images.tensor2im(image_numpy), image_path, aspect_ratio)


def mkdirs(paths: str | Path | Iterable[str | Path]) -> None:
    """Make a folder or several, with the folders above, where they do not exist."""
    for path in [paths] if isinstance(paths, str | Path) else paths:
        mkdir(path)


def mkdir(path: str | Path) -> None:
    """Make a folder, with those above, where it does not exist."""
    make_folder(Path(path))


def diagnose_network(net: nn.Module, name: str = "network") -> None:
    """Show the mean size of the gradients of a network."""
    means = [weight.grad.abs().mean() for weight in net.parameters() if weight.grad is not None]
    mean = float(torch.stack(means).mean()) if means else 0.0
    sys.stdout.write(f"{name}\n{mean}\n")


def print_numpy(x: Array, val: bool = True, shp: bool = False) -> None:
    """Show the statistics of an array, and its shape with `shp`."""
    x = np.asarray(x, dtype=np.float64)
    if shp:
        sys.stdout.write(f"shape, {x.shape}\n")
    if val:
        sys.stdout.write(
            f"mean = {x.mean():3.3f}, min = {x.min():3.3f}, max = {x.max():3.3f}, "
            f"median = {np.median(x):3.3f}, std={x.std():3.3f}\n"
        )


def init_ddp() -> torch.device:
    """Return the device of this process: that of the options that the script has parsed.

    The processes that torchrun started have joined each other in `TrainOptions().parse()`. Raises
    UserError in a test script that several processes run.
    """
    run = ScriptRun.current
    if run and not run.opt.isTrain and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("a test script computes in one process: start it without torchrun")
    own = int(os.environ.get("LOCAL_RANK", "0"))
    return (run.opt.device if run else None) or pick_device([own], asked_by_hand=False)


def cleanup_ddp() -> None:
    """Leave the processes of this training, once all have come here; in one this is nothing."""
    ranks.leave(together=True)
