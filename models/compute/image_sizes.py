"""Checks that images have sizes that the networks of a model can be trained on."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from util.errors import DataError


def check_sizes(opt: Namespace, nets: Mapping[str, nn.Module], batch: Mapping[str, Any]) -> None:
    """Raise DataError, naming the file, if a network cannot take images `A` or `B` of a batch.

    `nets` holds the networks by name (G_A). A network states the sides that it takes, in pixels, by
    its attributes `multiple` and `smallest`.
    """
    for side in ("A", "B"):
        images = batch.get(side)
        if not isinstance(images, Tensor) or images.dim() != 4:
            continue
        height, width = images.shape[-2:]
        for name, net in nets.items():
            requirement = _unmet(net, height, width)
            if requirement:
                path = batch.get(f"{side}_paths", [f"image {side}"])[0]
                raise DataError(
                    f"{path} has {width}x{height} pixels with --preprocess {opt.preprocess}, but "
                    f"{_flag(opt, name)} takes {requirement}: scale the image, or train with "
                    "--preprocess resize_and_crop --load_size --crop_size"
                )


def _flag(opt: Namespace, name: str) -> str:
    kind = {"G": "netG", "D": "netD"}.get(name[:1])
    return f"--{kind} {vars(opt)[kind]}" if kind else f"network {name}"


def _unmet(net: nn.Module, height: int, width: int) -> str:
    """Describe what a network requires of the sides and they do not meet; empty if they fit."""
    multiple: int = getattr(net, "multiple", 1)
    smallest: int = getattr(net, "smallest", multiple)
    if height % multiple or width % multiple:
        return f"sides that are multiples of {multiple} pixels"
    return f"sides of at least {smallest} pixels" if min(height, width) < smallest else ""
