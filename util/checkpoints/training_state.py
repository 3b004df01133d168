"""The training state of a run: everything that resuming exactly needs, in one file.

`<run>/training_state.pth` is written whole or not at all, and loads with `weights_only=True`.
"""

import logging
import platform
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from ..files import write_atomically
from .weights import load_plain

log = logging.getLogger(__name__)

FORMAT = 1
FILE_NAME = "training_state.pth"


def state_path(folder: Path) -> Path:
    """Return the path of the training state in the folder of a run."""
    return folder / FILE_NAME


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (tensors and plain containers) with all random streams and versions.

    The streams are those of now, unless `content` has what `random_states` returned before. Raises
    UserError where the file cannot be written.
    """
    state = {
        "format": FORMAT,
        "versions": {"torch": torch.__version__.split("+")[0], "python": platform.python_version()},
        "random": content.get("random") or random_states(),
        **content,
    }
    write_atomically(path, lambda file: torch.save(state, file), durable=True)


def read_state(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Return the content of a state file; with `mmap` tensors stay on disk until they are used.

    Every part of the file is compared with its checksum, with `mmap` all but the tensors. Raises
    UserError, which names the weights to start from instead, where the file is damaged or of a
    newer format.
    """
    remedy = start_from_weights(path.parent)
    _check_sums(path, remedy, but_tensors=mmap)
    state = load_plain(path, mmap, remedy)
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise UserError(f"{path} is no training state: {remedy}")
    if state["format"] > FORMAT:
        raise UserError(
            f"{path} has format {state['format']}, this version reads up to {FORMAT}: "
            f"resume with the newer version; {remedy}"
        )
    progress = state.get("progress")
    if not isinstance(progress, dict) or not isinstance(progress.get("epoch"), int):
        raise UserError(f"{path} is damaged (it has no position): {remedy}")
    return state


def start_from_weights(folder: Path) -> str:
    """Say how to start from the weights beside a state that cannot be used."""
    epochs = {path.name.split("_net_")[0] for path in folder.glob("*_net_*.pth")}
    numbers = sorted(int(epoch) for epoch in epochs if epoch.isdecimal())
    epoch = "latest" if "latest" in epochs else str(numbers[-1]) if numbers else ""
    if not epoch:
        return (
            "no weights are beside it to start from, so begin a new run, without --continue_train"
        )
    return (
        f"--continue_train --epoch {epoch} starts from the weights beside it, with new optimizers "
        "(--epoch_count N: at epoch N)"
    )


def _check_sums(path: Path, remedy: str, but_tensors: bool) -> None:
    """Raise UserError where a part of a file differs from its CRC-32, which torch.load ignores."""
    if not path.is_file() or path.stat().st_size == 0:
        return  # which loading it says
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if but_tensors and "/data/" in part.filename:
                    continue
                with archive.open(part) as file:
                    while file.read(2**20):
                        pass
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read, it is damaged ({error}): {remedy}") from error


def random_states() -> dict[str, Any]:
    """Return the random states of Python, NumPy and PyTorch, as tensors and plain containers."""
    version, numbers, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=True)
    kind, keys, position, has_gauss, cached = numpy_state
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(kind), torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Restore what `random_states` returned.

    Those of GPUs are restored where as many are available; else a run on a GPU logs that they
    are not.
    """
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if states.get("mps") is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
    stored, here = len(states["cuda"]), torch.cuda.device_count()
    if stored and stored == here:
        torch.cuda.set_rng_state_all(states["cuda"])
    elif torch.cuda.is_initialized():  # this run computes on a GPU
        log.warning(
            "this machine has %d GPUs and the run was saved with %d: the random streams of the "
            "GPU, which dropout draws from, start anew",
            here,
            stored,
        )
