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

    draws_from_own_stream = True

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.dir_AB = str(Path(opt.dataroot) / opt.phase)
        self.AB_paths = make_dataset(self.dir_AB, opt.max_dataset_size)
        # of A and of B, whichever of them is translated
        channels = (opt.input_nc, opt.output_nc)
        self.input_nc, self.output_nc = channels[::-1] if opt.direction == "BtoA" else channels

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.AB_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (input_nc, H, W), `B` (output_nc, H, W) in [-1, 1], and their paths."""
        path = self.AB_paths[index]
        rng = type(self).random(self, index)
        A, B = type(self).read(self, path, rng, self.input_nc, self.output_nc)
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
