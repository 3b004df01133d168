"""Convolutions as matrix products are the convolutions of PyTorch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.parts import convolutions
from models.parts.convolutions import Conv2d, convolve_as_product, has_few_positions
from models.parts.discriminators import NLayerDiscriminator
from models.parts.layers import get_norm_layer

Pair = tuple[int, int]


def gradients(convolve: Callable[..., Tensor], *tensors: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output = convolve(*leaves)
    (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
    return [output, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((4, 4), (1, 1), (1, 1)), ((4, 4), (2, 2), (1, 1)), ((3, 2), (2, 1), (0, 2))],
)
def test_products_have_the_results_and_gradients_of_the_convolution(
    kernel: Pair, stride: Pair, padding: Pair
) -> None:
    torch.manual_seed(0)
    sizes = ((2, 3, 9, 7), (5, 3, *kernel), (5,))
    tensors = [torch.randn(size, dtype=torch.float64) for size in sizes]
    as_product = gradients(lambda *t: convolve_as_product(*t, stride, padding), *tensors)
    expected = gradients(lambda *t: F.conv2d(*t, stride, padding), *tensors)
    for own, reference in zip(as_product, expected, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("side", "few"), [(8, True), (64, False)])
def test_few_positions_are_those_of_small_images(side: int, few: bool) -> None:
    weight = torch.empty(512, 256, 4, 4, device="meta")
    images = torch.empty(2, 256, side, side, device="meta")
    assert has_few_positions(images, weight, (1, 1), (1, 1)) is few


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # by the compiler, up to 2.7
@pytest.mark.parametrize(
    ("norm", "half", "frozen"),
    [("instance", False, False), ("none", False, True), ("none", True, False)],
)
def test_a_compiled_discriminator_of_small_images_computes_products(
    norm: str, half: bool, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced with its gradients as --compile traces it, without the C++ compiler."""
    torch.manual_seed(0)
    net = NLayerDiscriminator(3, 16, 3, get_norm_layer(norm)).requires_grad_(not frozen)
    images = torch.randn(2, 3, 32, 32)
    shapes = []

    def product(images: Tensor, weight: Tensor, *more: object) -> Tensor:
        shapes.append(tuple(weight.shape))
        return convolve_as_product(images, weight, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(convolutions, "convolve_as_product", product)
    compiled = torch.compile(net, backend="aot_eager", dynamic=False)
    results = []
    for each in (net, compiled):
        net.zero_grad()
        leaf = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = each(leaf)
        output.float().square().mean().backward()
        weights = [weight.grad for weight in net.parameters() if weight.grad is not None]
        results.append([output.detach(), leaf.grad, *weights])
    assert shapes == [(128, 64, 4, 4)]
    for own, reference in zip(results[1], results[0], strict=True):
        scale = float(reference.abs().max())
        bound = 0.05 if half else 1e-4
        assert float((own - reference).abs().max()) <= bound * scale


def test_other_shapes_of_convolutions_stay_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    norm = get_norm_layer("batch")
    images = torch.zeros(1, 64, 4, 4)
    plain = Conv2d(64, 256, norm, kernel_size=4, padding=1)
    assert plain._is_product(images)
    for more in (
        *({"groups": 2}, {"dilation": 2, "padding": 3}, {"padding_mode": "reflect"}),
        {"padding": "same"},
    ):
        shape: dict[str, Any] = {"kernel_size": 4, "padding": 1, **more}
        assert not Conv2d(64, 256, norm, **shape)._is_product(images)
    assert not plain._is_product(images.to("meta"))
    with torch.no_grad():
        assert not plain._is_product(images)
