"""The device that a run computes on, and what it can do."""

import logging
from typing import Any

import torch

from .errors import UserError

log = logging.getLogger(__name__)


def lacks_bfloat16(device: torch.device) -> bool:
    """Return whether `device` is a CUDA GPU older than NVIDIA Ampere (compute capability 8.0)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)


def pick_device(gpu_ids: list[int], asked_by_hand: bool) -> torch.device:
    """Return the device of a run, and log it unless it was asked for by hand.

    That is the first GPU of `gpu_ids`, the CPU where they are empty, and where no GPU was asked for
    by hand and none exists, MPS or else the CPU. Raises UserError where a GPU that was asked for by
    hand does not exist: computing on the CPU instead would cost hours before it is noticed.
    """
    if not gpu_ids:
        return torch.device("cpu")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if max(gpu_ids) < available:
        if len(gpu_ids) > 1:
            log.warning(
                "--gpu_ids %s: one process uses one GPU; this run computes on GPU %d alone",
                ",".join(map(str, gpu_ids)),
                gpu_ids[0],
            )
        if not asked_by_hand:
            log.info("computing on GPU %d (--gpu_ids)", gpu_ids[0])
        return torch.device("cuda", gpu_ids[0])
    if asked_by_hand:
        raise UserError(
            f"--gpu_ids {','.join(map(str, gpu_ids))}: this machine has {_all_gpus(available)}; "
            "give -1 for the CPU, or leave the flag out for the best device available"
        )
    if torch.backends.mps.is_available():
        log.info("no CUDA GPU available: computing on the Apple GPU (MPS)")
        return torch.device("mps")
    log.info("no CUDA GPU available: computing on the CPU (--gpu_ids -1 asks for it)")
    return torch.device("cpu")


def choose_device(opt: Any) -> Any:
    """Return the options with `device`; `gpu_ids` are empty where no CUDA GPU computes.

    Raises UserError as `pick_device` does.
    """
    if opt.device is not None:
        return opt
    device = pick_device(opt.gpu_ids, "gpu_ids" in opt.given)
    return opt.replace(device=device, gpu_ids=opt.gpu_ids if device.type == "cuda" else [])


def _all_gpus(available: int) -> str:
    if available:
        return "GPU 0 alone" if available == 1 else f"GPUs 0 to {available - 1}"
    return "an Apple GPU but no CUDA GPU" if torch.backends.mps.is_available() else "no CUDA GPU"
