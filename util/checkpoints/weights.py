"""Weight files `<epoch>_net_<name>.pth`: one state dict each, also of older or wrapped networks.

Reading never runs code (`weights_only=True`).
"""

import pickle
import warnings
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..files import write_atomically

AVERAGED = "_ema"
"""What the name of a network with averaged weights ends with, see `--ema`."""
PREFIXES = ("module.", "_orig_mod.")
NORM_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def epoch_label(opt: Namespace) -> str:
    """Return what names of weight files begin with: `iter_<N>` with --load_iter N, else --epoch."""
    return f"iter_{opt.load_iter}" if opt.load_iter > 0 else str(opt.epoch)


def weights_path(folder: Path, epoch: str, name: str) -> Path:
    """Return `<folder>/<epoch>_net_<name>.pth`."""
    return folder / f"{epoch}_net_{name}.pth"


def unwrap(net: nn.Module) -> nn.Module:
    """Return the network inside DataParallel, DistributedDataParallel or torch.compile."""
    while True:
        inner = getattr(net, "module", None) or getattr(net, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return net
        net = inner


def bare_state_dict(net: nn.Module) -> "OrderedDict[str, Tensor]":
    """Return the state dict as it is stored: without prefixes, contiguous tensors on the CPU."""
    state = unwrap(net).state_dict()
    return OrderedDict((key, value.detach().cpu().contiguous()) for key, value in state.items())


def save_weights(net: nn.Module, path: Path) -> None:
    """Write the state dict, whole or not at all. Raises UserError where it cannot be written."""
    write_weights(bare_state_dict(net), path)


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write what `bare_state_dict` returned, as `save_weights` does."""
    write_atomically(path, lambda file: torch.save(state, file), durable=True)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file, on the CPU, without the prefixes of wrappers.

    Raises UserError naming the file and the reason where it is missing, empty, truncated, not a
    state dict, has values that are not finite, or holds anything but tensors and plain containers.
    """
    content = load_plain(path)
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} is not a state dict: it holds {_describe(content)}")
    others = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise UserError(
            f"{path} is not a bare state dict: {others[0]!r} is "
            f"{_describe(content[others[0]])}; save net.state_dict() alone"
        )
    if spoilt := next((key for key, value in content.items() if not value.isfinite().all()), None):
        raise UserError(
            f"{path} has values in {spoilt!r} that are not finite, as a training that diverged "
            "leaves them: take the weights of an earlier epoch"
        )
    return {_without_prefixes(key): value for key, value in content.items()}


def load_plain(path: Path, mmap: bool = False, remedy: str = "copy or download it again") -> Any:
    """Load a file of torch.save onto the CPU; it holds tensors and plain containers alone.

    `mmap` leaves tensors on disk until they are used. Raises UserError as `read_weights` does,
    which names the `remedy`.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: {remedy}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about file versions; a failure is raised below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is refused: {_unpickling_reason(error)}") from error
    except Exception as error:  # of any kind, by what is damaged
        reason = str(error).split("\n")[0].split(". This")[0]
        raise UserError(
            f"{path} cannot be read, perhaps truncated or damaged ({reason}): {remedy}"
        ) from error


def _unpickling_reason(error: pickle.UnpicklingError) -> str:
    text = str(error)
    for phrase in ("Unsupported global: GLOBAL ", "Unsupported class ", "Trying to call "):
        if phrase in text:
            name = text.split(phrase)[1].split()[0]
            return f"it holds {name}, not tensors alone, and loading that could run code"
    return "it is not a file that torch.save wrote, or it is damaged"


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return "an empty dict" if not value else "a dict"
    return f"a {type(value).__name__}"


def _without_prefixes(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.split(".", 1)[1]
    return key


def load_into(net: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict into a network; `path` is named in errors.

    Running statistics that instance norm layers had before PyTorch 0.4 are dropped, and the counts
    that batch norm layers had not are those of `net`. Raises UserError where keys or shapes do not
    fit.
    """
    net = unwrap(net)
    own = net.state_dict()
    fitting = {
        key: value
        for key, value in state.items()
        if key in own or not _is_instance_norm_statistic(key, state)
    }
    fitting |= {
        key: value
        for key, value in own.items()
        if key.endswith(".num_batches_tracked") and key not in fitting
    }
    misfits = [
        f"{key} has {_shape(fitting, key)}, the network has {_shape(own, key)}"
        for key in [*own, *(key for key in fitting if key not in own)]
        if _shape(fitting, key) != _shape(own, key)
    ]
    if misfits:
        raise UserError(
            f"{path} does not fit {type(net).__name__} as the flags describe it: {misfits[0]}"
            + (f" (and {len(misfits) - 1} more)" if len(misfits) > 1 else "")
        )
    net.load_state_dict(fitting)


def _is_instance_norm_statistic(key: str, state: Mapping[str, Tensor]) -> bool:
    layer, _, kind = key.rpartition(".")
    return kind in NORM_STATISTICS and f"{layer}.weight" not in state


def _shape(state: Mapping[str, Tensor], key: str) -> str:
    return str(list(state[key].shape)) if key in state else "no such entry"
