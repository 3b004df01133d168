"""Results have the size of the input and do not depend on other images of the batch."""

import copy

import pytest
import torch
from rounding import assert_near, tolerance
from tiny_runs import WritesOver, tiny_generator
from torch import nn

from models.inference import translator
from models.inference.tile_cost import measure
from models.inference.translator import InferenceSettings, Translator, describe, pad_to_size

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (7, 90), (61, 64), (129, 40)])
@pytest.mark.parametrize("netG", ["resnet_6blocks", "unet_128"])
def test_output_has_the_size_of_the_input(netG: str, size: tuple[int, int]) -> None:
    translate = Translator(tiny_generator(netG), CPU, InferenceSettings())
    output = translate(torch.rand(2, 3, *size) * 2 - 1)
    assert output.shape == (2, 3, *size)
    assert output.isfinite().all()
    assert output.dtype == torch.float32


def test_what_fits_is_not_padded() -> None:
    net, x = tiny_generator(), torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        assert_near(Translator(net, CPU, InferenceSettings())(x), net(x))


def test_padding_is_reflection_and_for_tiny_images_the_edge() -> None:
    row = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 2, 6)
    padded, top, left = pad_to_size(row, 8, 8)
    assert padded[0, 0, 0].tolist() == [1, 0, 1, 2, 3, 4, 5, 4]
    assert (padded.shape[-2:], top, left) == ((8, 8), 3, 1)
    assert torch.equal(padded[..., 0, :], padded[..., 7, :])


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_an_image_does_not_depend_on_others_of_its_batch(norm: str) -> None:
    translate = Translator(tiny_generator(norm=norm), CPU, InferenceSettings())
    x = torch.rand(3, 3, 32, 32) * 2 - 1
    x[1] = -1
    batch = translate(x)
    assert_near(batch[0], translate(x[:1])[0])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)], ids=str
)
def test_half_precision_is_close_to_float32(precision: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net, x = tiny_generator(), torch.rand(1, 3, 32, 32) * 2 - 1
    exact = Translator(net, CPU, InferenceSettings())(x)
    fast = Translator(net, CPU, InferenceSettings(precision=precision))(x)
    assert fast.dtype == torch.float32
    difference = float((fast - exact).abs().max())
    assert 0 < difference <= tolerance(dtype) * float(exact.abs().max())


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_nearly_white_image_is_translated_exactly(norm: str) -> None:
    torch.manual_seed(0)
    net, x = tiny_generator(norm=norm), torch.ones(1, 3, 128, 128)
    x[:, :, 60:64, 60:64] = -1
    with torch.inference_mode():
        exact = copy.deepcopy(net).double()(x.double())
    few = InferenceSettings(tile=0, compile="default", images=1)  # too few to begin compiling
    for how in (InferenceSettings(tile=0), InferenceSettings(tile=32), few):
        result = Translator(copy.deepcopy(net), CPU, how)(x)
        assert float((result - exact).abs().max()) < 0.1 / 127.5  # a tenth of a level of 8 bits


def test_dropout_and_norm_statistics_are_described() -> None:
    net = tiny_generator(norm="batch", use_dropout=True)
    assert describe([net]).startswith("generator: dropout on, as in training (--eval: off), batch")
    assert "own statistics" in describe([net])
    assert describe([net.eval()]) == (
        "generator: dropout off (--eval), batch norm by the statistics of the training (--eval)"
    )
    assert describe([tiny_generator()]).startswith("generator: no dropout, instance norm")
    assert describe([nn.Dropout2d()]).startswith("generator: dropout on")


def test_weights_are_rounded_once_with_the_result_of_autocast() -> None:
    net, x = tiny_generator(), torch.rand(1, 3, 32, 32) * 2 - 1
    layout = {"memory_format": torch.channels_last}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = copy.deepcopy(net).to(**layout)(x.to(**layout)).float()
    assert torch.equal(Translator(net, CPU, InferenceSettings(precision="bf16"))(x), expected)
    assert net.model[1].weight.dtype == torch.bfloat16
    assert net.model[1].bias.dtype == torch.float32


def test_results_outlive_the_next_call() -> None:
    """Networks compiled into CUDA graphs overwrite their outputs."""
    translate = Translator(WritesOver(), CPU, InferenceSettings())
    first = translate(torch.ones(1, 3, 8, 8))
    translate(torch.zeros(1, 3, 8, 8))
    assert first.eq(1).all()


def test_a_batch_that_does_not_fit_is_computed_in_parts(monkeypatch) -> None:
    monkeypatch.setattr(translator, "NEVER_TOO_LARGE", 0)
    net, x = tiny_generator(), torch.rand(5, 3, 32, 32) * 2 - 1
    expected = Translator(net, CPU, InferenceSettings())(x)
    available = 2 * measure(net, (1, 3, 32, 32)).peak_bytes
    monkeypatch.setattr(translator, "available_bytes", lambda device: available)
    sizes: list[int] = []
    net.register_forward_pre_hook(lambda _net, images: sizes.append(len(images[0])))
    assert_near(Translator(net, CPU, InferenceSettings())(x), expected)
    assert sizes == [1, 2, 2, 1]  # the first measures


def test_images_with_their_own_statistics_outlive_each_other() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), WritesOver())
    x = torch.stack([torch.linspace(0, number, 192).view(3, 8, 8) for number in (1, 2)])
    first, second = Translator(net, CPU, InferenceSettings())(x)
    assert not torch.equal(first, second)
