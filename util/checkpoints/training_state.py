"""The training state of a run: everything that resuming exactly needs, in one file.

`<run>/training_state.pth` is written whole or not at all, and loads with `weights_only=True`.
"""

import logging
import platform
import random
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

    Raises UserError where the file is damaged or of a newer format.
    """
    state = load_plain(path, mmap)
    if not isinstance(state, dict) or "format" not in state:
        raise UserError(f"{path} is no training state: delete it to start from the weights alone")
    if state["format"] > FORMAT:
        raise UserError(
            f"{path} has format {state['format']}, this version reads up to {FORMAT}: "
            "resume with the newer version, or delete the file to start from the weights alone"
        )
    return state


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
