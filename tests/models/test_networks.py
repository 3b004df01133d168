"""Properties of every network: shapes, gradients, receptive field, initial weights."""

import math
from argparse import Namespace
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from models import networks
from models.parts import convolutions
from models.parts.convolutions import OutputConv2d
from models.parts.discriminators import patch_map_size
from models.parts.layers import InstanceNorm2d, conv_needs_bias

CONFIGURATIONS = list(product(networks.GENERATORS, ("instance", "batch", "none"), (False, True)))
MULTIPLE = {"unet_256": 256, "unet_128": 128}


def assert_gradients(net: nn.Module) -> None:
    """Every parameter has a gradient, but for the biases that instance norm cancels."""
    cancelled = {id(m.bias) for m in net.modules() if not getattr(m, "applies_bias", True)}
    for parameter in net.parameters():
        if id(parameter) in cancelled:
            assert parameter.grad is None
        else:
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("netG", "norm", "dropout"), CONFIGURATIONS)
def test_generator_has_outputs_of_the_input_size_and_every_parameter_gets_a_gradient(
    netG: str, norm: str, dropout: bool
) -> None:
    net = networks.define_G(2, 5, 4, netG, norm, dropout)
    size = MULTIPLE.get(netG, 32)
    output = net(torch.rand(2, 2, size, size) * 2 - 1)
    assert output.shape == (2, 5, size, size)
    assert output.isfinite().all()
    assert output.abs().max() <= 1
    output.square().mean().backward()
    assert_gradients(net)
    has_dropout = any(isinstance(module, nn.Dropout) for module in net.modules())
    assert has_dropout is dropout


@pytest.mark.parametrize(
    ("netD", "norm"), list(product(networks.DISCRIMINATORS, ("instance", "batch", "none")))
)
def test_discriminator_scores_patches_and_every_parameter_gets_a_gradient(
    netD: str, norm: str
) -> None:
    net = networks.define_D(3, 4, netD, 2, norm)
    scores = net(torch.rand(2, 3, 48, 48))
    side = 48 if netD == "pixel" else patch_map_size(48, 3 if netD == "basic" else 2)
    assert scores.shape == (2, 1, side, side)
    scores.square().mean().backward()
    assert_gradients(net)


@pytest.mark.parametrize(("n_layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_of_the_patch_discriminator(n_layers: int, field: int) -> None:
    net = networks.define_D(1, 2, "n_layers", n_layers, "none")
    nn.init.ones_(net.model[0].weight)
    x = torch.rand(1, 1, 256, 256, requires_grad=True)
    scores = net(x)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == field


@pytest.mark.parametrize(
    ("init_type", "gain", "spread"),
    [
        ("normal", 0.02, 0.02),
        ("normal", 0.1, 0.1),
        # fan_in = 64 * 9, fan_out = 128 * 9 (Glorot 2010, equation 16; He 2015, equation 10)
        ("xavier", 0.5, 0.5 * math.sqrt(2 / (64 * 9 + 128 * 9))),
        ("kaiming", 0.02, math.sqrt(2 / (64 * 9))),
        # 128 orthogonal rows of 576 values
        ("orthogonal", 0.3, 0.3 / math.sqrt(64 * 9)),
    ],
)
def test_initial_weights_have_the_spread_of_their_type(
    init_type: str, gain: float, spread: float
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128))
    networks.init_weights(net, init_type, gain)
    weight = net[0].weight.detach()
    assert float(weight.std()) == pytest.approx(spread, rel=0.02)
    assert abs(float(weight.mean())) < 4 * spread / math.sqrt(weight.numel())
    assert net[0].bias.eq(0).all()
    assert net[1].bias.eq(0).all()
    assert float(net[1].weight.detach().mean()) == pytest.approx(1, abs=5 * gain / math.sqrt(128))
    assert float(net[1].weight.detach().std()) == pytest.approx(gain, rel=0.3)
    if init_type == "orthogonal":
        rows = weight.flatten(1)
        assert torch.allclose(rows @ rows.T, gain**2 * torch.eye(128), atol=1e-5)


def test_normal_initial_weights_are_normal() -> None:
    torch.manual_seed(0)
    net = networks.define_D(3, 64, "basic", norm="instance")
    weight = net.model[5].weight.detach().flatten() / 0.02
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * quantile - 1)))
        assert float((weight < expected).float().mean()) == pytest.approx(quantile, abs=0.005)


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        net = networks.define_G(3, 3, 4, "unet_128", "batch")
        return torch.cat([p.flatten() for p in net.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("factory", ["G", "D", "norm", "init"])
def test_an_unknown_name_lists_the_known_ones(factory: str) -> None:
    calls = {
        "G": lambda: networks.define_G(3, 3, 4, "vgg"),
        "D": lambda: networks.define_D(3, 4, "vgg"),
        "norm": lambda: networks.get_norm_layer("layer"),
        "init": lambda: networks.init_weights(nn.Conv2d(1, 1, 1), "zeros"),
    }
    with pytest.raises(ValueError, match=r"choose from .*(resnet_9blocks|basic|instance|xavier)"):
        calls[factory]()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_instance_norm_is_that_of_pytorch_with_its_gradient(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    results = []
    x = (torch.randn(2, 3, 5, 7) * 4 + 2).to(dtype)
    weight = torch.randn(2, 3, 5, 7).to(dtype)
    for norm in (InstanceNorm2d(3), nn.InstanceNorm2d(3)):
        leaf = x.clone().requires_grad_(True)
        output = norm(leaf)
        (output * weight).sum().backward()
        results.append((output.detach(), leaf.grad))
    tolerance = 1000 * torch.finfo(dtype).eps  # of sums of 35 values up to 10
    for own, reference in zip(*results, strict=True):
        torch.testing.assert_close(own, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mean", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("count", [1, 2])
def test_instance_norm_of_nearly_constant_images(
    count: int, mean: float, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    images = torch.full((count, 4, 128, 128), mean)
    images[:, :, 60:64, 60:64] += 0.01 * (1 + mean) * torch.arange(1, 5).view(4, 1, 1)
    images = images.to(dtype).contiguous(memory_format=layout)
    exact = nn.functional.instance_norm(images.double())
    error = (InstanceNorm2d(4)(images).double() - exact).norm() / exact.norm()
    assert error < (1e-3 if dtype == torch.float32 else 1e-2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_output_convolution_by_rows_is_the_convolution(layout: torch.memory_format) -> None:
    net = OutputConv2d(5, 3, kernel_size=7).double()
    x = torch.randn(2, 5, 11, 14, dtype=torch.float64).to(memory_format=layout)
    results = []
    for by_rows in (True, False):
        net.by_rows = by_rows
        leaf = x.clone().requires_grad_()
        output = net(leaf)
        output.square().sum().backward()
        results.append((output, leaf.grad, net.weight.grad, net.bias.grad))
        net.zero_grad()
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("statistics", [False, True])
def test_a_bias_is_left_out_only_where_the_norm_cancels_it(kind: str, statistics: bool) -> None:
    norm = partial(nn.InstanceNorm2d, track_running_stats=statistics)
    shape = {"kernel_size": 3, "stride": 2, "padding": 1}
    own = getattr(convolutions, kind)(3, 4, norm, **shape).double()
    plain = getattr(nn, kind)(3, 4, **shape).double()
    nn.init.normal_(own.bias)
    plain.load_state_dict(own.state_dict())
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    without = plain(x) - own.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(own(x), plain(x) if statistics else without)
    evaluating = norm(4).double().eval()  # running statistics do not contain the bias
    torch.testing.assert_close(evaluating(own(x)), evaluating(plain(x)))


def test_a_norm_that_needs_several_channels_is_made_with_those_of_its_layer() -> None:
    for norm in (partial(nn.GroupNorm, 4), lambda channels: nn.GroupNorm(4, channels)):
        for net in (
            networks.ResnetGenerator(3, 3, 8, norm, n_blocks=1),
            networks.NLayerDiscriminator(3, 8, n_layers=2, norm_layer=norm),
        ):
            assert net(torch.rand(1, 3, 32, 32)).isfinite().all()
            norms = [layer for layer in net.modules() if isinstance(layer, nn.GroupNorm)]
            assert len(norms) >= 2


def test_convolutions_have_a_bias_only_before_pytorchs_or_our_own_instance_norm() -> None:
    for norm in (nn.InstanceNorm2d, InstanceNorm2d, partial(nn.InstanceNorm2d, affine=True)):
        assert conv_needs_bias(norm)
    for norm in (nn.BatchNorm2d, lambda channels: nn.InstanceNorm2d(channels)):
        assert not conv_needs_bias(norm)


def test_convolutions_of_any_dimension_are_initialised() -> None:
    net = nn.Sequential(nn.Conv3d(8, 8, 3), nn.ConvTranspose3d(8, 8, 3), nn.Conv1d(8, 8, 30))
    networks.init_weights(net, "normal", 0.02)
    for layer in net:
        assert 0.017 < float(layer.weight.detach().std()) < 0.023
        assert not layer.bias.any()


def test_a_scheduler_needs_no_more_options_than_its_policy() -> None:
    optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), 1.0)
    scheduler = networks.get_scheduler(optimizer, Namespace(lr_policy="step", lr_decay_iters=1))
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.1]
