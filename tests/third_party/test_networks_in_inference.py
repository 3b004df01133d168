"""Networks of plug-ins that take or return other things than one image work in inference."""

from typing import Any

import torch
from torch import Tensor, nn

from models.inference.translator import InferenceSettings, Translator


class Encoder(nn.Module):
    """Returns an image of twice the size, and features, from two images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor, other: Tensor | None = None) -> Any:
        """(N, 3, H, W) -> (N, 3, 2 H, 2 W), {"mean": (N, 3)}."""
        output = self.conv(image if other is None else image + other)
        return nn.functional.interpolate(output, scale_factor=2.0), {"mean": output.mean((2, 3))}


class Doubling(nn.Upsample):
    """Returns an image of twice the size."""


def translator(net: nn.Module, precision: str = "fp32") -> Translator:
    settings = InferenceSettings(precision=precision)
    return Translator(net, torch.device("cpu"), settings)


def test_several_inputs_and_outputs_are_passed_on_in_float32() -> None:
    images = torch.rand(2, 3, 9, 11)
    net = Encoder()
    with torch.no_grad():
        alone, both = net(images), net(images, other=images)
    for output, expected in (
        (translator(net)(images), alone),
        (translator(net)(images, other=images), both),
        (translator(net)(images, images), both),
    ):
        assert torch.allclose(output[0], expected[0], atol=1e-5)
        assert torch.allclose(output[1]["mean"], expected[1]["mean"], atol=1e-5)
    image, features = translator(Encoder(), "bf16")(images)
    assert image.dtype == features["mean"].dtype == torch.float32


def test_an_output_of_another_size_is_not_cropped() -> None:
    assert translator(Doubling(scale_factor=2.0))(torch.rand(1, 3, 9, 11)).shape == (1, 3, 18, 22)
