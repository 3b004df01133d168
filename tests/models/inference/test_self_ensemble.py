"""Averaged translations keep what is the same in all copies, and lose what the pixel grid makes."""

from typing import Any

import pytest
import torch
from rounding import assert_near
from tiny_runs import tiny_generator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.inference.self_ensemble import COPIES, NUMBERS, self_ensemble
from models.inference.translator import InferenceSettings, Translator
from util.errors import UserError

CPU = torch.device("cpu")
MORE_THAN_ONE = NUMBERS[1:]


class OnGrid(nn.Module):
    """Adds a pattern that repeats with the pixels of the input, as checkerboards do."""

    def __init__(self, pattern: Tensor) -> None:
        super().__init__()
        self.pattern = pattern

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        rows, columns = self.pattern.shape
        tiled = self.pattern.repeat(-(-height // rows), -(-width // columns))
        return images + tiled[:height, :width]


def translated(net: nn.Module, images: Tensor, number: int, **how: Any) -> Tensor:
    output = Translator(net, CPU, InferenceSettings(self_ensemble=number, **how))(images)
    assert isinstance(output, Tensor)
    return output


@pytest.mark.parametrize("number", MORE_THAN_ONE)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (40, 33)])
def test_every_copy_is_put_back_where_it_was(number: int, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size) * 2 - 1
    assert_near(translated(nn.Identity(), images, number), images)


@pytest.mark.parametrize(
    ("number", "shape"), [(4, (2, 2)), (4, (1, 4)), (8, (2, 2)), (8, (1, 4)), (8, (4, 1))], ids=str
)
def test_copies_cancel_checkerboards(number: int, shape: tuple[int, int]) -> None:
    pattern = torch.tensor([0.0, 1.0, 4.0, 9.0]).view(shape)  # no half of it has the same mean
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    averaged = translated(OnGrid(pattern), images, number) - images
    inside = averaged[..., 2:-2, 2:-2]  # at the edges not all copies count
    assert_near(inside, pattern.mean().expand_as(inside))


def test_two_copies_are_the_image_and_its_mirror_image() -> None:
    net, images = tiny_generator(), torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        expected = (net(images) + net(images.flip(-1)).flip(-1)) / 2
    assert_near(translated(net, images, 2), expected)


def test_all_copies_differ_and_few_are_the_first_of_many() -> None:
    assert len(set(COPIES)) == len(COPIES) == max(NUMBERS)
    seen: list[Tensor] = []
    image = torch.arange(64.0).view(1, 1, 8, 8)
    self_ensemble(lambda copy: seen.append(copy) or copy, image, 8)
    assert {copy.stride() for copy in seen} == {image.stride()}  # for one graph of --compile
    assert len({tuple(copy.flatten().tolist()) for copy in seen}) == 8
    again: list[Tensor] = []
    self_ensemble(lambda copy: again.append(copy) or copy, image, 4)
    assert all(torch.equal(a, b) for a, b in zip(again, seen, strict=False))


@pytest.mark.parametrize("number", MORE_THAN_ONE)
def test_padded_and_tiled_images_give_the_same(number: int) -> None:
    net, images = tiny_generator(), torch.rand(1, 3, 41, 37) * 2 - 1
    whole = translated(net, images, number)
    assert whole.shape == images.shape
    assert_near(translated(net, images, number, tile=16), whole)


@pytest.mark.parametrize("net", [nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2)])
def test_networks_that_change_the_size_are_refused(net: nn.Module) -> None:
    with pytest.raises(UserError, match=r"--self_ensemble 4: .*leave the flag out"):
        translated(net, torch.rand(1, 3, 8, 8), 4)


def test_networks_of_two_inputs_are_refused() -> None:
    translate = Translator(nn.Bilinear(3, 3, 3), CPU, InferenceSettings(self_ensemble=2))
    with pytest.raises(UserError, match="--self_ensemble 2"):
        translate(torch.rand(1, 3), torch.rand(1, 3))


def test_small_images_are_padded_to_the_multiple_of_the_network() -> None:
    class Halving(nn.Sequential):
        multiple = 2

    net, images = Halving(nn.PixelUnshuffle(2), nn.PixelShuffle(2)), torch.rand(1, 3, 2, 1)
    assert_near(translated(net, images, 8), images)


def test_copies_may_come_from_several_devices() -> None:
    """As those computed in tiles are on the CPU, where a GPU is short of memory for some."""
    devices = iter(["meta", "cpu", "meta", "cpu"])
    with FakeTensorMode():
        images = torch.empty(1, 3, 8, 8)
        output = self_ensemble(lambda copy: copy.to(next(devices)), images, 4)
    assert output.device.type == "cpu"


@pytest.mark.parametrize("number", [0, 3, 16])
def test_other_numbers_of_copies_are_refused(number: int) -> None:
    with pytest.raises(UserError, match=f"self_ensemble {number}: give one of"):
        InferenceSettings(self_ensemble=number)


def test_compiling_counts_copies() -> None:
    settings = InferenceSettings(compile="default", images=100, self_ensemble=8)
    assert Translator(tiny_generator(), CPU, settings).compilation.left == 800


def test_networks_with_several_outputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images

    with pytest.raises(UserError, match="--self_ensemble 2"):
        translated(Two(), torch.rand(1, 3, 8, 8), 2)
