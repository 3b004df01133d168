"""The NVIDIA GPUs of this machine, and which build of PyTorch computes on them.

The driver is asked directly, as a PyTorch built for the CPU knows nothing of GPUs.
"""

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Capability = tuple[int, int]
"""The compute capability of a GPU, major and minor."""

OLDEST: Capability = (5, 0)
"""The oldest GPUs for which PyTorch 2.4 or later is built."""
OLDEST_OF_NEWEST_BUILD: Capability = (7, 5)
BLACKWELL: Capability = (10, 0)
"""GPUs from here on need a build for CUDA 12.8 or later."""
BUILD_FOR_OLDER, NEWEST_BUILD = "cu126", "cu130"
"""Builds by their names on pytorch.org; drivers of CUDA 12 and of CUDA 13 can run them."""

KERNEL_MODULE = Path("/proc/driver/nvidia")
"""Where Linux shows a loaded NVIDIA driver, in containers too."""
# of the CUDA driver interface, cuda.h
NO_DEVICE, CAPABILITY_MAJOR, CAPABILITY_MINOR = 100, 75, 76


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU."""

    name: str
    capability: Capability

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability[0]}.{self.capability[1]})"


@dataclass(frozen=True)
class Driver:
    """What the NVIDIA driver reports."""

    cuda: tuple[int, int]
    """The newest version of CUDA that it supports."""
    gpus: tuple[Gpu, ...]
    """Those that CUDA_VISIBLE_DEVICES allows."""
    fault: str | None = None
    """Why no GPU can be asked for, in words, with the remedy."""


def read_driver() -> Driver | None:
    """Return what the NVIDIA driver reports, or None where there is none."""
    library = _driver_library()
    if library is None:
        if not KERNEL_MODULE.exists():
            return None
        return Driver(
            (0, 0),
            (),
            "this machine has an NVIDIA GPU, but the library of its driver is missing here: in "
            "Docker add --gpus all, elsewhere reinstall the driver",
        )
    version, count = ctypes.c_int(), ctypes.c_int()
    error = library.cuInit(0)
    if error:
        fault = None if error == NO_DEVICE else _fault(error)
        return Driver((0, 0), (), fault) if fault else None
    library.cuDriverGetVersion(ctypes.byref(version))
    library.cuDeviceGetCount(ctypes.byref(count))
    gpus = tuple(_gpu(library, index) for index in range(count.value))
    return Driver((version.value // 1000, version.value % 1000 // 10), gpus)


def _fault(error: int) -> str:
    return (
        f"the NVIDIA driver does not answer (CUDA error {error}): restart the machine, or "
        "reinstall the driver"
    )


def _driver_library() -> Any:
    """Return the library of the NVIDIA driver, or None."""
    try:
        return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return None


def _gpu(library: Any, index: int) -> Gpu:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device)
    return Gpu(name.value.decode(errors="replace"), (major.value, minor.value))


def has_kernels(capability: Capability, arch_list: Sequence[str]) -> bool:
    """Return whether a build with `arch_list`, as torch.cuda.get_arch_list() has it, can compute.

    Machine code, sm_XY, runs on GPUs of the same major capability and at least its minor one;
    PTX, compute_XY, is compiled for any newer GPU.
    """
    for name in arch_list:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)(a?)f?", name)
        if not match:
            continue
        built = (int(match[2]), int(match[3]))
        if match[4]:  # uses features of exactly this GPU
            runs = capability == built
        elif match[1] == "sm":
            runs = capability[0] == built[0] and capability >= built
        else:
            runs = capability >= built
        if runs:
            return True
    return False


def remedy(gpu: Gpu, driver_cuda: tuple[int, int]) -> str:
    """Return in words what to install so that PyTorch computes on `gpu`."""
    if gpu.capability < OLDEST:
        return "this GPU is older than PyTorch supports"
    runs_newest = gpu.capability >= OLDEST_OF_NEWEST_BUILD
    driver_of_older = gpu.capability < BLACKWELL and (12, 0) <= driver_cuda < (13, 0)
    build = NEWEST_BUILD if runs_newest and not driver_of_older else BUILD_FOR_OLDER
    needed = (12, 0) if build == BUILD_FOR_OLDER else (13, 0)
    update = "update its driver, then " if driver_cuda < needed else ""
    return f"{update}{install_command(build)}"


def install_command(build: str) -> str:
    """Return the command that replaces PyTorch by a build, whichever is installed."""
    return (
        "pip install --force-reinstall torch torchvision "
        f"--index-url https://download.pytorch.org/whl/{build}"
    )
