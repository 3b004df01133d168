"""The random streams of GPUs are stored and restored, or a line says that they are not."""

import pytest
import torch

from util.checkpoints.training_state import random_states, restore_random_states


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Pretend that this process computes on the first of two GPUs; their states."""
    states = [torch.tensor([1]), torch.tensor([2])]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: list(states))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", states.extend)
    return states


def test_the_streams_of_as_many_gpus_are_restored(
    cuda: list[torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    restore_random_states(random_states())
    assert [int(state) for state in cuda] == [1, 2, 1, 2]
    assert not caplog.messages


@pytest.mark.parametrize("stored", [0, 1, 8])
def test_another_number_of_gpus_is_a_warning(
    stored: int, cuda: list[torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    restore_random_states({**random_states(), "cuda": [torch.tensor([1])] * stored})
    assert len(cuda) == 2
    (message,) = caplog.messages
    assert message.startswith(f"this machine has 2 GPUs and the run was saved with {stored}: ")


def test_a_run_on_the_cpu_is_not_warned(caplog: pytest.LogCaptureFixture) -> None:
    restore_random_states({**random_states(), "cuda": [torch.tensor([1])] * 9})
    assert not caplog.messages


def test_the_stream_of_an_apple_gpu_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[torch.Tensor] = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.tensor([7]))
    monkeypatch.setattr(torch.mps, "set_rng_state", restored.append)
    states = random_states()
    restore_random_states(states)
    assert [int(state) for state in restored] == [7]
    del states["mps"]  # a state of an older version
    restore_random_states(states)
    assert len(restored) == 1
