"""Factories of networks; every name of a network, norm or loss can be imported from here."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import init

from .parts.architecture import UNET_DOWNS
from .parts.discriminators import NLayerDiscriminator, PixelDiscriminator
from .parts.gan_losses import (
    GAN_MODES,
    DiscriminatorLoss,
    GANLoss,
    cal_gradient_penalty,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
)
from .parts.layers import NORMS, Identity, get_norm_layer, to_float32
from .parts.resnet_generator import ResnetBlock, ResnetGenerator
from .parts.schedules import LR_POLICIES, get_scheduler
from .parts.spectral_norm import add_spectral_norm
from .parts.unet_generator import UnetGenerator, UnetSkipConnectionBlock
from .parts.upsampling import UPSAMPLINGS

__all__ = [
    "DISCRIMINATORS",
    "GAN_MODES",
    "GENERATORS",
    "INIT_TYPES",
    "LR_POLICIES",
    "NORMS",
    "UPSAMPLINGS",
    "DiscriminatorLoss",
    "GANLoss",
    "Identity",
    "NLayerDiscriminator",
    "PixelDiscriminator",
    "ResnetBlock",
    "ResnetGenerator",
    "UnetGenerator",
    "UnetSkipConnectionBlock",
    "cal_gradient_penalty",
    "define_D",
    "define_G",
    "describe_network",
    "discriminator_from_options",
    "discriminator_loss",
    "generator_from_options",
    "generator_loss",
    "get_norm_layer",
    "get_scheduler",
    "gradient_penalty",
    "init_net",
    "init_weights",
    "r1_penalty",
    "to_float32",
]

INIT_TYPES = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain=gain),
    "kaiming": lambda weight, _gain: init.kaiming_normal_(weight, a=0, mode="fan_in"),
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain=gain),
}
GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "resnet_9blocks": partial(ResnetGenerator, n_blocks=9),
    "resnet_6blocks": partial(ResnetGenerator, n_blocks=6),
    "unet_256": partial(UnetGenerator, num_downs=8),
    "unet_128": partial(UnetGenerator, num_downs=7),
}
DISCRIMINATORS = ("basic", "n_layers", "pixel")


def init_weights(net: nn.Module, init_type: str = "normal", init_gain: float = 0.02) -> None:
    """Draw the weights of every convolution randomly and set biases to zero.

    `init_gain` scales all types but kaiming; batch norm weights are normal(1, init_gain). Raises
    ValueError for an unknown `init_type`.
    """
    if init_type not in INIT_TYPES:
        raise ValueError(f"--init_type {init_type}: choose from {', '.join(INIT_TYPES)}")
    for module in net.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            INIT_TYPES[init_type](module.weight, init_gain)
        elif isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
            init.normal_(module.weight, 1.0, init_gain)
        else:
            continue
        if module.bias is not None:
            init.zeros_(module.bias)


def init_net(
    net: nn.Module,
    init_type: str = "normal",
    init_gain: float = 0.02,
    gpu_ids: Sequence[int] = (),
) -> nn.Module:
    """Initialise on the CPU, where a seed gives the same weights everywhere; move to a GPU.

    Raises ValueError for an unknown `init_type`.
    """
    init_weights(net, init_type, init_gain)
    return net.to(torch.device("cuda", gpu_ids[0])) if gpu_ids else net


def define_G(
    input_nc: int,
    output_nc: int,
    ngf: int,
    netG: str,
    norm: str = "batch",
    use_dropout: bool = False,
    init_type: str = "normal",
    init_gain: float = 0.02,
    gpu_ids: Sequence[int] = (),
    upsample: str = "transposed",
    skip_connections: bool = False,
) -> nn.Module:
    """Make a generator, (N, input_nc, H, W) -> (N, output_nc, H, W), both in [-1, 1].

    `skip_connections` are those of `ResnetGenerator`; a U-Net has some anyway. Raises ValueError
    for an unknown `netG`, `norm`, `init_type` or `upsample`.
    """
    if netG not in GENERATORS:
        raise ValueError(f"--netG {netG}: choose from {', '.join(GENERATORS)}")
    more: dict[str, bool] = {}
    if skip_connections and netG not in UNET_DOWNS.values():
        more["skip_connections"] = True
    net = GENERATORS[netG](
        input_nc=input_nc,
        output_nc=output_nc,
        ngf=ngf,
        norm_layer=get_norm_layer(norm),
        use_dropout=use_dropout,
        upsample=upsample,
        **more,
    )
    return init_net(net, init_type, init_gain, gpu_ids)


def define_D(
    input_nc: int,
    ndf: int,
    netD: str,
    n_layers_D: int = 3,
    norm: str = "batch",
    init_type: str = "normal",
    init_gain: float = 0.02,
    gpu_ids: Sequence[int] = (),
    spectral_norm: bool = False,
) -> nn.Module:
    """Make a discriminator, (N, input_nc, H, W) -> scores (N, 1, H', W').

    basic: a PatchGAN of 70x70 pixels (arXiv 1611.07004, section 6.1.2); n_layers: a PatchGAN of
    `n_layers_D` layers; pixel: 1x1 patches. `spectral_norm`: see `SpectralNorm`. Raises ValueError
    for an unknown `netD`, `norm` or `init_type`.
    """
    norm_layer = get_norm_layer(norm)
    net: nn.Module
    if netD == "basic":
        net = NLayerDiscriminator(input_nc, ndf, 3, norm_layer)
    elif netD == "n_layers":
        net = NLayerDiscriminator(input_nc, ndf, n_layers_D, norm_layer)
    elif netD == "pixel":
        net = PixelDiscriminator(input_nc, ndf, norm_layer)
    else:
        raise ValueError(f"--netD {netD}: choose from {', '.join(DISCRIMINATORS)}")
    net = init_net(net, init_type, init_gain, gpu_ids)
    return add_spectral_norm(net) if spectral_norm else net


def generator_from_options(opt: Namespace, input_nc: int, output_nc: int) -> nn.Module:
    """Make the generator that the flags describe, on the CPU."""
    o, dropout = opt, not opt.no_dropout
    how = (o.ngf, o.netG, o.norm, dropout, o.init_type, o.init_gain)
    return define_G(
        *(input_nc, output_nc, *how), upsample=o.upsample, skip_connections=o.skip_connections
    )


def discriminator_from_options(opt: Namespace, input_nc: int) -> nn.Module:
    """Make the discriminator that the flags describe, on the CPU."""
    o = opt
    how = (o.ndf, o.netD, o.n_layers_D, o.norm, o.init_type, o.init_gain)
    return define_D(input_nc, *how, spectral_norm=o.spectral_norm)


def describe_network(name: str, net: nn.Module, layers: bool) -> str:
    """Return a line with the number of parameters of a network, after its layers if `layers`."""
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    line = f"network {name}: {millions:.3f} M parameters"
    return f"{net}\n{line}" if layers else line
