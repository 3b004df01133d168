"""The NVIDIA driver is asked without PyTorch, and the right build is recommended for each GPU."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from util import nvidia
from util.nvidia import Driver, Gpu, has_kernels, install_command, read_driver, remedy

FROM_7_5 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


class StandIn:
    """The driver's library of a machine with a V100."""

    def __init__(self, error: int = 0) -> None:
        self.error = error

    def cuInit(self, _flags: int) -> int:
        return self.error

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12040
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 1
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, _device: Any) -> int:
        assert size == ctypes.sizeof(name)
        name.value = b"Tesla V100"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:
        value._obj.value = {75: 7, 76: 0}[attribute]
        return 0


@pytest.fixture
def no_kernel_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(nvidia, "KERNEL_MODULE", tmp_path / "nvidia")
    return tmp_path / "nvidia"


def test_the_driver_names_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "_driver_library", StandIn)
    assert read_driver() == Driver((12, 4), (Gpu("Tesla V100", (7, 0)),))


def test_a_hidden_gpu_is_none_and_another_error_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "_driver_library", lambda: StandIn(100))
    assert read_driver() is None
    monkeypatch.setattr(nvidia, "_driver_library", lambda: StandIn(803))
    driver = read_driver()
    assert driver and not driver.gpus
    assert driver.fault and "CUDA error 803" in driver.fault and "restart" in driver.fault


def test_without_a_library_there_is_no_gpu_or_a_container_hides_it(
    no_kernel_module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia, "_driver_library", lambda: None)
    assert read_driver() is None
    no_kernel_module.mkdir()
    driver = read_driver()
    assert driver and driver.fault and "--gpus all" in driver.fault


@pytest.mark.parametrize("system", ["nt", "posix"])
def test_the_library_is_looked_for_under_the_name_of_the_system(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(name: str) -> object:
        asked.append(name)
        raise OSError

    monkeypatch.setattr(nvidia.ctypes, "CDLL", load)
    with monkeypatch.context() as patch:
        patch.setattr(nvidia.os, "name", system)
        library = nvidia._driver_library()
    assert library is None
    assert asked == [{"nt": "nvcuda.dll", "posix": "libcuda.so.1"}[system]]


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((6, 1), False),
        ((7, 0), False),
        ((7, 5), True),
        ((8, 9), True),  # by the machine code of 8.6
        ((12, 1), True),
        ((13, 0), True),  # by the PTX of 12.0
    ],
)
def test_machine_code_runs_within_a_major_version_and_ptx_on_all_newer_gpus(
    capability: nvidia.Capability, runs: bool
) -> None:
    assert has_kernels(capability, FROM_7_5) is runs


def test_code_with_features_of_one_gpu_runs_there_alone() -> None:
    assert has_kernels((9, 0), ["sm_90a"])
    assert not has_kernels((10, 3), ["sm_100a", "compute_90a", "gfx942"])
    assert has_kernels((10, 3), ["sm_100f"])


@pytest.mark.parametrize(
    ("capability", "cuda", "build"),
    [
        ((5, 2), (12, 2), "cu126"),
        ((7, 0), (13, 0), "cu126"),
        ((7, 5), (13, 0), "cu130"),
        ((8, 6), (12, 8), "cu126"),
        ((12, 0), (13, 1), "cu130"),
    ],
)
def test_the_build_fits_gpu_and_driver(
    capability: nvidia.Capability, cuda: tuple[int, int], build: str
) -> None:
    assert remedy(Gpu("x", capability), cuda) == install_command(build)


def test_the_command_replaces_what_is_installed() -> None:
    # pip would take the installed torch 2.x+cpu for what it is asked to install
    assert install_command("cu126") == (
        "pip install --force-reinstall torch torchvision "
        "--index-url https://download.pytorch.org/whl/cu126"
    )
