"""Which device a run computes on, on machines with and without GPUs."""

from collections.abc import Callable

import pytest
import torch

from util.devices import pick_device
from util.errors import UserError

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """machine(gpus=2): pretend that this machine has them."""

    def pretend(gpus: int = 0, apple: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

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
