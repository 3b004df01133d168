"""Which sizes of images a model can be trained on."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from util.errors import DataError


class ChecksSizes:
    """The part of a model that looks at the sizes of a batch before a step is computed on it."""

    opt: Namespace
    model_names: list[str]

    def check_sizes(self, batch: Mapping[str, Any]) -> None:
        """Raise DataError, naming the file, where images `A` or `B` do not fit a network.

        A network says what it takes by its attributes `multiple` and `smallest`, in pixels a side.
        A plug-in whose networks do not see the images as they are in the batch overrides this.
        """
        for side in ("A", "B"):
            images = batch.get(side)
            if not isinstance(images, Tensor) or images.dim() != 4:
                continue
            height, width = images.shape[-2:]
            for name in self.model_names:
                needs = _unmet(getattr(self, f"net{name}"), height, width)
                if needs:
                    path = batch.get(f"{side}_paths", [f"image {side}"])[0]
                    raise DataError(
                        f"{path} has {width}x{height} pixels with --preprocess "
                        f"{self.opt.preprocess}, but {self._flag(name)} takes {needs}: scale the "
                        "image, or train with --preprocess resize_and_crop --load_size --crop_size"
                    )

    def _flag(self, name: str) -> str:
        for kind in ("netG", "netD"):
            if f"net{name}".startswith(kind):
                return f"--{kind} {getattr(self.opt, kind)}"
        return f"network {name}"


def _unmet(net: nn.Module, height: int, width: int) -> str:
    """What a network asks of the sides and does not find, in words; empty where they fit."""
    multiple: int = getattr(net, "multiple", 1)
    smallest: int = getattr(net, "smallest", multiple)
    if height % multiple or width % multiple:
        return f"sides that are multiples of {multiple} pixels"
    return f"sides of at least {smallest} pixels" if min(height, width) < smallest else ""
