"""Which device a run computes on, on machines with and without GPUs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from util import devices
from util.devices import choose_device, fast_precision, gpu_problem, pick_device
from util.errors import UserError
from util.nvidia import Driver, Gpu, install_command
from util.options import Options

H100, V100, GTX_1080 = Gpu("H100", (9, 0)), Gpu("V100", (7, 0)), Gpu("GTX 1080", (6, 1))
RTX_5090, K80 = Gpu("RTX 5090", (12, 0)), Gpu("K80", (3, 7))
FROM_7_5 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
UP_TO_9_0 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
CU126 = install_command("cu126")
CU130 = CU126.replace("cu126", "cu130")

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """machine(gpus=2): pretend that this machine has them."""

    def pretend(
        gpus: int = 0,
        apple: bool = False,
        build: str | None = "13.0",
        kernels: list[str] = FROM_7_5,
        kind: Gpu = H100,
        driver: Driver | None = None,
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: kernels)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: kind.capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: kind.name)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
        monkeypatch.setattr(torch.version, "cuda", build)
        monkeypatch.setattr(torch.version, "hip", None)
        monkeypatch.setattr(devices, "read_driver", lambda: driver)

    return pretend


@pytest.mark.parametrize(
    ("has", "gpu_ids", "available"),
    [
        ({}, [0], "no CUDA GPU;"),
        ({"apple": True}, [0], "an Apple GPU but no CUDA GPU;"),
        ({"gpus": 1}, [1], "GPU 0 alone;"),
        ({"gpus": 2}, [0, 2], "GPUs 0 to 1;"),
    ],
)
def test_a_gpu_that_was_asked_for_and_does_not_exist_is_an_error(
    has: dict[str, int], gpu_ids: list[int], available: str, machine: Machine
) -> None:
    machine(**has)
    with pytest.raises(UserError) as error:
        pick_device(gpu_ids, asked_by_hand=True)
    flag = ",".join(map(str, gpu_ids))
    assert str(error.value).startswith(f"--gpu_ids {flag}: this machine has {available}")
    assert "-1 for the CPU" in str(error.value)


@pytest.mark.parametrize(
    ("has", "device", "message"),
    [
        ({}, "cpu", "computing on the CPU"),
        ({"apple": True}, "mps", "computing on the Apple GPU"),
        ({"gpus": 2}, "cuda:0", "computing on GPU 0"),
    ],
)
def test_by_default_the_best_device_is_chosen_and_logged(
    has: dict[str, int],
    device: str,
    message: str,
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine(**has)
    caplog.set_level("INFO")
    assert pick_device([0], asked_by_hand=False) == torch.device(device)
    assert len(caplog.messages) == 1 and message in caplog.text


def test_a_device_that_was_asked_for_is_not_logged(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine(gpus=2)
    caplog.set_level("INFO")
    assert pick_device([1], asked_by_hand=True) == torch.device("cuda:1")
    assert pick_device([], asked_by_hand=True) == torch.device("cpu")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("build", "gpu", "cuda", "why", "install"),
    [
        (None, H100, (13, 0), "computes on the CPU alone, and there is H100", CU130),
        (None, H100, (12, 4), "computes on the CPU alone", CU126),
        (None, H100, (11, 8), "computes on the CPU alone", f"update its driver, then {CU130}"),
        (None, V100, (13, 0), "V100 (compute capability 7.0)", CU126),
        (None, RTX_5090, (12, 8), "RTX 5090", f"update its driver, then {CU130}"),
        (None, K80, (11, 4), "K80", "this GPU is older than PyTorch supports"),
        ("13.0", H100, (12, 4), "supports CUDA 12.4, and this PyTorch needs CUDA 13.0", CU126),
        ("13.0", H100, (13, 0), "does not find H100", CU130),
    ],
)
def test_a_gpu_that_this_pytorch_does_not_see_is_a_warning_that_says_what_to_install(
    build: str | None,
    gpu: Gpu,
    cuda: tuple[int, int],
    why: str,
    install: str,
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine(build=build, driver=Driver(cuda, (gpu,)))
    assert pick_device([0], asked_by_hand=False) == torch.device("cpu")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("computing on the CPU, which is many times slower: ")
    assert why in record.getMessage() and f": {install}" in record.getMessage()
    assert "\n" not in record.getMessage()
    with pytest.raises(UserError, match=r"^--gpu_ids 0: .*; or give -1 for the CPU$"):
        pick_device([0], asked_by_hand=True)


@pytest.mark.parametrize(
    ("gpu", "kernels", "install"),
    [(V100, FROM_7_5, CU126), (GTX_1080, FROM_7_5, CU126), (RTX_5090, UP_TO_9_0, CU130)],
)
def test_a_gpu_without_kernels_in_this_pytorch_is_found_before_training(
    gpu: Gpu,
    kernels: list[str],
    install: str,
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine(gpus=1, kind=gpu, kernels=kernels, driver=Driver((13, 0), (gpu,)))
    assert pick_device([0], asked_by_hand=False) == torch.device("cpu")
    assert f"has no kernels for {gpu}: {install}" in caplog.text
    with pytest.raises(UserError, match="has no kernels for"):
        pick_device([0], asked_by_hand=True)


def test_a_driver_that_fails_is_named(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine(driver=Driver((0, 0), (), "the NVIDIA driver does not answer"))
    pick_device([0], asked_by_hand=False)
    assert "the NVIDIA driver does not answer" in caplog.text


def test_nothing_is_said_for_a_gpu_that_works_is_hidden_or_is_of_amd(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(gpus=1, driver=Driver((13, 0), (H100,)))
    assert gpu_problem() is None
    machine(driver=None)
    assert gpu_problem() is None
    machine(gpus=1, build=None, kernels=["gfx942"])
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert gpu_problem() is None


@pytest.mark.parametrize(
    ("amx", "avx512", "precision", "why"),
    [
        (True, True, "bf16", "AMX"),
        (False, True, "bf16", "AVX-512"),
        (False, False, "tf32", "no bfloat16 units"),
    ],
)
@pytest.mark.parametrize("asks", ["PyTorch", "Linux"])
def test_auto_is_bf16_on_cpus_with_units_for_it(
    amx: bool,
    avx512: bool,
    precision: str,
    why: str,
    asks: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    flags = {"_is_amx_tile_supported": amx, "_is_avx512_bf16_supported": avx512}
    for name, has in flags.items():
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
        if asks == "Linux":  # as PyTorch 2.4 does not know
            monkeypatch.delattr(torch.cpu, name)
    words = ["fpu", *["amx_bf16"] * amx, *["avx512_bf16"] * avx512]
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {' '.join(words)}\n")
    monkeypatch.setattr(devices, "CPU_FLAGS", tmp_path / "cpuinfo")
    found, reason = fast_precision(torch.device("cpu"))
    assert found == precision and why in reason


def test_auto_is_float32_where_nothing_tells_what_the_cpu_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    monkeypatch.setattr(devices, "CPU_FLAGS", tmp_path / "absent")
    assert fast_precision(torch.device("cpu"))[0] == "tf32"


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "tf32"), ((8, 0), "bf16")])
def test_auto_is_bf16_on_gpus_from_ampere_on(
    capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Some GPU")
    found, reason = fast_precision(torch.device("cuda", 0))
    assert found == precision and reason.startswith("Some GPU has ")


def test_auto_is_replaced_with_the_device_and_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(devices, "fast_precision", lambda _device: ("bf16", "it is fast"))
    opt = Options(device=None, gpu_ids=[], precision="auto")
    chosen = choose_device(opt)
    assert (chosen.precision, chosen.device) == ("bf16", torch.device("cpu"))
    assert choose_device(chosen) is chosen
    assert caplog.messages == ["--precision auto: bf16 (it is fast)"]


def test_processes_train_in_the_precision_that_all_of_them_compute_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gathered = [("bf16", "new"), ("tf32", "old"), ("bf16", "new")]
    monkeypatch.setattr(devices.ranks, "gather_objects", lambda _own: gathered)
    opt = Options(device=torch.device("cpu"), gpu_ids=[], precision="auto")
    assert choose_device(opt).precision == "tf32"
