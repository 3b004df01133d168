"""Reads the architecture of a network from the keys and shapes of its state dict."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from util.errors import UserError

from .resnet_generator import SKIP_MARK

UNET_DOWNS = {7: "unet_128", 8: "unet_256"}


@dataclass(frozen=True)
class Generator:
    """The options of a generator; of a U-Net, those that its weights do not tell are None."""

    netG: str
    input_nc: int
    output_nc: int
    ngf: int
    norm: str
    no_dropout: bool | None
    upsample: str = "transposed"
    skip_connections: bool | None = False

    def flags(self) -> dict[str, Any]:
        """Return the options that the weights decide, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Discriminator:
    """The options of a discriminator; `n_layers_D` is None for netD pixel."""

    netD: str
    input_nc: int
    ndf: int
    norm: str
    n_layers_D: int | None
    spectral_norm: bool = False

    def flags(self) -> dict[str, Any]:
        """Return the options that the weights decide; input_nc is not, it is the generator's."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        del values["input_nc"]
        return values


def read_generator(state: Mapping[str, Tensor], path: Path) -> Generator:
    """Return the generator of a state dict. Raises UserError if it is none of this toolkit."""
    if "model.model.0.weight" in state:
        return _unet(state, path)
    if "model.1.weight" in state and any(".conv_block." in key for key in state):
        return _resnet(state, path)
    raise UserError(f"{path} holds no generator of this toolkit (its first key: {_first(state)})")


def read_discriminator(state: Mapping[str, Tensor], path: Path) -> Discriminator:
    """Return the discriminator of a state dict. Raises UserError if it is none of this toolkit."""
    normed = any(".parametrizations." in key for key in state)
    state = {k.replace(".parametrizations.weight.original", ".weight"): v for k, v in state.items()}
    if "net.0.weight" in state:
        ndf, input_nc = state["net.0.weight"].shape[:2]
        norm = _norm_of(state, conv="net.2", norm="net.3")
        return Discriminator("pixel", input_nc, ndf, norm, None, normed)
    convs = [key for key in state if re.fullmatch(r"model\.\d+\.weight", key)]
    convs = [key for key in convs if state[key].dim() == 4]
    if len(convs) < 3 or state[convs[-1]].shape[0] != 1:
        raise UserError(
            f"{path} holds no discriminator of this toolkit (its first key: {_first(state)})"
        )
    ndf, input_nc = state["model.0.weight"].shape[:2]
    n_layers = len(convs) - 2
    norm = _norm_of(state, conv="model.2", norm="model.3")
    netD = "basic" if n_layers == 3 else "n_layers"
    return Discriminator(netD, input_nc, ndf, norm, n_layers, normed)


def _resnet(state: Mapping[str, Tensor], path: Path) -> Generator:
    blocks = {key.split(".")[1] for key in state if ".conv_block." in key}
    netG = {6: "resnet_6blocks", 9: "resnet_9blocks"}.get(len(blocks))
    if netG is None:
        raise UserError(f"{path} has {len(blocks)} residual blocks; 6 and 9 can be built")
    ngf, input_nc = state["model.1.weight"].shape[:2]
    last = max(int(key.split(".")[1]) for key in state if key.startswith("model."))
    # without dropout the second convolution of a block is entry 5, with it 6 (5 is padding)
    no_dropout = "model.10.conv_block.5.weight" in state
    return Generator(
        netG=netG,
        input_nc=input_nc,
        output_nc=state[f"model.{last}.weight"].shape[0],
        ngf=ngf,
        norm=_norm_of(state, conv="model.1", norm="model.2"),
        no_dropout=no_dropout,
        # behind the blocks a doubling has three entries, or four that begin with a resize
        upsample="resize" if last == 10 + len(blocks) + 9 else "transposed",
        skip_connections=SKIP_MARK in state,
    )


def _unet(state: Mapping[str, Tensor], path: Path) -> Generator:
    # the keys of level n (from 1, inside the outermost 0) begin with "model." + n * "model.k."
    downs = max(key.count("model.") for key in state) - 1
    netG = UNET_DOWNS.get(downs)
    if netG is None:
        raise UserError(f"{path} is a U-Net of {downs} halvings; 7 and 8 can be built")
    ngf, input_nc = state["model.model.0.weight"].shape[:2]
    level_1 = "model.model.1.model"
    resizes = "model.model.4.weight" in state  # behind the entry that repeats pixels
    last = state["model.model.4.weight" if resizes else "model.model.3.weight"]
    return Generator(
        netG=netG,
        input_nc=input_nc,
        output_nc=last.shape[0 if resizes else 1],
        ngf=ngf,
        norm=_norm_of(state, conv=f"{level_1}.1", norm=f"{level_1}.2"),
        no_dropout=None,
        skip_connections=None,
        upsample="resize" if resizes else "transposed",
    )


def _norm_of(state: Mapping[str, Tensor], conv: str, norm: str) -> str:
    """Tell the norm: batch norm has weights; before instance norm convolutions have biases."""
    if f"{norm}.weight" in state and state[f"{norm}.weight"].dim() == 1:
        return "batch"
    return "instance" if f"{conv}.bias" in state else "none"


def _first(state: Mapping[str, Tensor]) -> str:
    return next(iter(state))
