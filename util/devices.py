"""The device that a run computes on, and what it can do."""

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from . import ranks
from .errors import UserError
from .nvidia import Gpu, has_kernels, read_driver, remedy

log = logging.getLogger(__name__)

AUTO = "auto"
"""The value of `--precision` that stands for the one that the device computes fast."""
BFLOAT16_UNITS = {"AMX": "amx_tile", "AVX-512": "avx512_bf16"}
"""The units of CPUs, and what PyTorch calls them; Linux reports AMX's for bfloat16 as AMX_FLAG."""
AMX_FLAG = "amx_bf16"
CPU_FLAGS = Path("/proc/cpuinfo")


def lacks_bfloat16(device: torch.device) -> bool:
    """Return whether `device` is a CUDA GPU older than NVIDIA Ampere (compute capability 8.0)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)


def fast_precision(device: torch.device) -> tuple[str, str]:
    """Return what `--precision auto` stands for on a device, "bf16" or "tf32", and why.

    It is bf16 on CPUs with AMX or AVX-512 units for bfloat16 and on NVIDIA Ampere or newer, else
    tf32, which is float32 where there is no NVIDIA GPU.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if lacks_bfloat16(device):
            return "tf32", f"{name} has no bfloat16 units; --precision fp16 may be faster"
        return "bf16", f"{name} has bfloat16 units"
    if device.type != "cpu":
        return "tf32", "float32 on this device"
    units = next((units for units in BFLOAT16_UNITS if _cpu_has(units)), None)
    if units is None:
        return "tf32", "float32, as this CPU has no bfloat16 units"
    return "bf16", f"this CPU has {units} units for bfloat16"


def lacks_autocast(device: torch.device) -> bool:
    """Return whether `device` is an Apple GPU for which PyTorch has no autocast, as 2.4."""
    return device.type == "mps" and not torch.amp.is_autocast_available(device.type)


def outside_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return the context to compute in without autocast, whatever it is called in."""
    if lacks_autocast(device):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def pick_device(gpu_ids: list[int], asked_by_hand: bool) -> torch.device:
    """Return the device of a run, and log it unless it was asked for by hand.

    That is the first GPU of `gpu_ids`, the CPU where they are empty, and where no GPU was asked for
    by hand and none can be used, MPS or else the CPU, with a warning where an NVIDIA GPU would be
    used after installing something else. Raises UserError where a GPU that was asked for by hand
    cannot be used: computing on the CPU instead would cost hours before it is noticed.
    """
    if not gpu_ids:
        return torch.device("cpu")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    problem = gpu_problem(gpu_ids[0])
    if max(gpu_ids) < available and not problem:
        return _gpu(gpu_ids, asked_by_hand)
    flag = f"--gpu_ids {','.join(map(str, gpu_ids))}"
    if asked_by_hand and problem:
        raise UserError(f"{flag}: {problem}; or give -1 for the CPU")
    if asked_by_hand:
        raise UserError(
            f"{flag}: this machine has {_all_gpus(available)}; "
            "give -1 for the CPU, or leave the flag out for the best device available"
        )
    if torch.backends.mps.is_available():
        log.info("no CUDA GPU available: computing on the Apple GPU (MPS)")
        return torch.device("mps")
    if problem:
        log.warning("computing on the CPU, which is many times slower: %s", problem)
    else:
        log.info("no CUDA GPU available: computing on the CPU (--gpu_ids -1 asks for it)")
    return torch.device("cpu")


def choose_device(opt: Any) -> Any:
    """Return the options with `device`, and with the precision that `--precision auto` stands for.

    `gpu_ids` are empty where no CUDA GPU computes. Raises UserError as `pick_device` does.
    """
    if opt.device is None:
        device = pick_device(opt.gpu_ids, "gpu_ids" in opt.given)
        opt = opt.replace(device=device, gpu_ids=opt.gpu_ids if device.type == "cuda" else [])
    return opt.replace(precision=_choose_precision(opt.device)) if opt.precision == AUTO else opt


def _choose_precision(device: torch.device) -> str:
    """Return the precision that all processes of a training compute fast, and log it."""
    of_ranks = ranks.gather_objects(fast_precision(device))
    precision, why = next((one for one in of_ranks if one[0] != "bf16"), of_ranks[0])
    log.info("--precision auto: %s (%s)", precision, why)
    return precision


def _cpu_has(units: str) -> bool:
    """Return whether the CPU has units of BFLOAT16_UNITS; False where nothing tells."""
    flag = BFLOAT16_UNITS[units]
    has = getattr(torch.cpu, f"_is_{flag}_supported", None)
    if has is not None:
        return bool(has())
    try:  # PyTorch 2.4 and 2.5 cannot be asked
        flags = CPU_FLAGS.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return (AMX_FLAG if units == "AMX" else flag) in flags


def gpu_problem(index: int = 0) -> str | None:
    """Return why this PyTorch cannot compute on an NVIDIA GPU of this machine, and the remedy.

    None where it can, where there is no such GPU, and for a PyTorch built for AMD GPUs.
    """
    if torch.version.hip is not None:
        return None
    if torch.cuda.is_available():
        return _missing_kernels(index) if index < torch.cuda.device_count() else None
    driver = read_driver()
    if driver is None or driver.fault:
        return driver.fault if driver else None
    if not driver.gpus:
        return None
    gpu, build = driver.gpus[min(index, len(driver.gpus) - 1)], torch.version.cuda
    if build is None:
        why = f"this PyTorch ({torch.__version__}) computes on the CPU alone, and there is {gpu}"
    elif driver.cuda[0] < int(build.split(".")[0]):
        supported = ".".join(map(str, driver.cuda))
        why = f"the NVIDIA driver supports CUDA {supported}, and this PyTorch needs CUDA {build}"
    else:
        why = f"this PyTorch ({torch.__version__}) does not find {gpu}"
    return f"{why}: {remedy(gpu, driver.cuda)}"


def _missing_kernels(index: int) -> str | None:
    """Return what to install where this PyTorch has no kernels for a GPU, else None."""
    architectures = torch.cuda.get_arch_list()
    capability = torch.cuda.get_device_capability(index)
    if not architectures or has_kernels(capability, architectures):
        return None
    driver = read_driver()
    gpu = Gpu(torch.cuda.get_device_name(index), capability)
    advice = remedy(gpu, driver.cuda if driver else (12, 0))
    return f"this PyTorch ({torch.__version__}) has no kernels for {gpu}: {advice}"


def _gpu(gpu_ids: list[int], asked_by_hand: bool) -> torch.device:
    if len(gpu_ids) > 1:
        log.warning(
            "--gpu_ids %s: one process uses one GPU; this run computes on GPU %d alone",
            ",".join(map(str, gpu_ids)),
            gpu_ids[0],
        )
    if not asked_by_hand:
        log.info("computing on GPU %d (--gpu_ids)", gpu_ids[0])
    return torch.device("cuda", gpu_ids[0])


def _all_gpus(available: int) -> str:
    if available:
        return "GPU 0 alone" if available == 1 else f"GPUs 0 to {available - 1}"
    return "an Apple GPU but no CUDA GPU" if torch.backends.mps.is_available() else "no CUDA GPU"
