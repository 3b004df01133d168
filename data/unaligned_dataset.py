"""Unpaired images: one folder for each domain."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .base_dataset import BaseDataset
from .image_folder import make_dataset


class UnalignedDataset(BaseDataset):
    """A by index from `<dataroot>/{phase}A`, B randomly from `<dataroot>/{phase}B`.

    `--serial_batches` takes B by index too; the indices of the shorter side wrap around. At
    inference an item is named after its image of the longer side (`image_paths`) or, where both are
    as long, of the side that is translated.
    """

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.check_channels("input_nc", "output_nc")
        self.A_paths = make_dataset(Path(opt.dataroot) / f"{opt.phase}A", opt.max_dataset_size)
        self.B_paths = make_dataset(Path(opt.dataroot) / f"{opt.phase}B", opt.max_dataset_size)
        forward = opt.direction == "AtoB"
        self.A_nc = opt.input_nc if forward else opt.output_nc
        self.B_nc = opt.output_nc if forward else opt.input_nc
        both = (self.A_paths, self.B_paths) if forward else (self.B_paths, self.A_paths)
        self.image_paths = max(both, key=len)

    def __len__(self) -> int:
        """Return the length of the longer side."""
        return max(len(self.A_paths), len(self.B_paths))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (A_nc, H, W) and `B` (B_nc, H, W) in [-1, 1], `A_paths` and `B_paths`."""
        rng = self.random(index)
        B_index = index if self.opt.serial_batches else rng.randrange(len(self.B_paths))
        A_path, (A,) = self.read_next(self.A_paths, index, rng, self.A_nc)
        B_path, (B,) = self.read_next(self.B_paths, B_index, rng, self.B_nc)
        name = {} if self.opt.isTrain else {"image_paths": self.image_paths[index]}
        return {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path, **name}
