"""Pairs of images: one folder of files, each an A and a B side by side."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .base_dataset import BaseDataset
from .image_folder import make_dataset


class AlignedDataset(BaseDataset):
    """The pairs of `<dataroot>/{phase}`: the left half of a file is A, the right half is B.

    Both halves share one crop and one flip.
    """

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.check_channels("input_nc", "output_nc")
        self.AB_paths = make_dataset(Path(opt.dataroot) / opt.phase, opt.max_dataset_size)
        forward = opt.direction == "AtoB"
        self.A_nc = opt.input_nc if forward else opt.output_nc
        self.B_nc = opt.output_nc if forward else opt.input_nc

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.AB_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (A_nc, H, W) and `B` (B_nc, H, W) in [-1, 1], `A_paths` and `B_paths`."""
        path = self.AB_paths[index]
        A, B = self.read(path, self.random(index), self.A_nc, self.B_nc)
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
