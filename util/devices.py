"""Which device a run computes on."""

import logging

import torch

from .errors import UserError

log = logging.getLogger(__name__)


def lacks_bfloat16(device: torch.device) -> bool:
    """Whether it is a CUDA GPU without bfloat16 units, older than compute capability 8."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)


def pick_device(gpu_ids: list[int], asked_by_hand: bool) -> torch.device:
    """The device of a run, said in one line unless it was asked for by hand.

    The first GPU named; where that was not asked for and does not exist, MPS, else the CPU. Raises
    UserError where a GPU that was asked for by hand does not exist: to compute on the CPU instead
    would cost hours before it is noticed.
    """
    if not gpu_ids:
        return torch.device("cpu")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if max(gpu_ids) < present:
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
            f"--gpu_ids {','.join(map(str, gpu_ids))}: this machine has {_gpus_here(present)}; "
            "give -1 for the CPU, or leave the flag out for the best there is"
        )
    if torch.backends.mps.is_available():
        log.info("no CUDA GPU here: computing on the Apple GPU (MPS)")
        return torch.device("mps")
    log.info("no CUDA GPU here: computing on the CPU (--gpu_ids -1 says so by hand)")
    return torch.device("cpu")


def _gpus_here(present: int) -> str:
    if present:
        return "GPU 0 alone" if present == 1 else f"GPUs 0 to {present - 1}"
    return "an Apple GPU but no CUDA GPU" if torch.backends.mps.is_available() else "no CUDA GPU"
