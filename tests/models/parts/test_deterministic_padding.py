"""Under --deterministic reflection padding has gradients that repeat, on every PyTorch."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.parts import layers
from models.parts.layers import ReflectionPad2d, reflect


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


class Operations(TorchDispatchMode):
    """Records the names of the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(str(operation))
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("padding", [1, 3])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 4, 4)])
def test_flipped_parts_have_the_values_and_gradients_of_padding(
    padding: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    image = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.pad(image, (padding,) * 4, mode="reflect")
    found = reflect(image, padding)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), image)
    (of_parts,) = torch.autograd.grad((found * weights).sum(), image)
    torch.testing.assert_close(of_parts, gradient)


@pytest.mark.parametrize("pytorch_repeats", [True, False])
def test_a_gpu_pads_by_flips_where_pytorch_has_no_deterministic_kernel(
    pytorch_repeats: bool, deterministic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device stands for a GPU: only the CPU is treated apart."""
    monkeypatch.setattr(layers, "pads_well", lambda: pytorch_repeats)
    layer = ReflectionPad2d(3)
    image = torch.empty(1, 2, 8, 8, device="meta", requires_grad=True)
    with Operations() as operations:
        assert layer(image).shape == (1, 2, 14, 14)
    padded = any("reflection_pad2d" in name for name in operations.names)
    assert padded is pytorch_repeats


def test_without_the_flag_padding_is_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "pads_well", lambda: False)
    assert not ReflectionPad2d(1).by_flips


@pytest.mark.parametrize(("version", "repeats"), [("2.4.1+cu121", False), ("2.14.0a0", True)])
def test_padding_repeats_from_2_6_on(
    version: str, repeats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    assert layers.pads_well() is repeats


def test_the_flag_does_not_fill_new_memory(
    deterministic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from options.train_options import TrainOptions
    from util.run.session import begin

    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    words = ["--dataroot", ".", "--seed", "1", "--deterministic", "--gpu_ids", "-1"]
    opt = TrainOptions().parse(words)
    begin(opt, lambda opt: opt)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
