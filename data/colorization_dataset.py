"""Colour images as pairs of lightness and colour."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import torch

from util.errors import UsageError
from util.lab import rgb_to_lab

from .base_dataset import BaseDataset
from .image_folder import make_dataset


class ColorizationDataset(BaseDataset):
    """The images of `<dataroot>/{phase}` in CIE Lab: A is L / 50 - 1, B is ab / 110."""

    draws_from_own_stream = True

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Set one input channel (L) and two output channels (ab)."""
        parser.set_defaults(input_nc=1, output_nc=2, direction="AtoB")
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        if (opt.input_nc, opt.output_nc, opt.direction) != (1, 2, "AtoB"):
            raise UsageError(
                "--dataset_mode colorization goes from L to ab: "
                "it needs --input_nc 1 --output_nc 2 --direction AtoB"
            )
        self.AB_paths = make_dataset(Path(opt.dataroot) / opt.phase, opt.max_dataset_size)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.AB_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (1, H, W), `B` (2, H, W), `A_paths` and `B_paths`."""
        item = self._rgb_item(index)
        lightness, colour = rgb_to_lab(item.pop("rgb").unsqueeze(0))
        return {"A": lightness[0], "B": colour[0], **item}

    def _rgb_item(self, index: int) -> dict[str, Any]:
        path = self.AB_paths[index]
        (rgb,) = self.read(path, self.random(index), 3)
        return {"rgb": rgb, "A_paths": path, "B_paths": path}

    def compact_item(self, index: int) -> dict[str, Any]:
        """Return `rgb` (3, H, W), which is sent as uint8, `A_paths` and `B_paths`.

        A subclass with items of its own has these sent as they are.
        """
        if type(self).__getitem__ is not ColorizationDataset.__getitem__:
            return self[index]
        return self._rgb_item(index)

    def complete(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Replace `rgb` (N, 3, H, W) by `A` and `B`, converted one by one as items are."""
        if "rgb" not in batch:
            return batch
        parts = [rgb_to_lab(image.unsqueeze(0)) for image in batch["rgb"]]
        lightness, colour = (torch.cat(images) for images in zip(*parts, strict=True))
        rest = {name: value for name, value in batch.items() if name != "rgb"}
        return {"A": lightness, "B": colour, **rest}
