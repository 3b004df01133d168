"""Unpaired images: one folder for each domain."""

from argparse import Namespace
from pathlib import Path
from random import Random
from typing import Any

from .base_dataset import BaseDataset, get_transform
from .image_folder import default_loader, make_dataset


class UnalignedDataset(BaseDataset):
    """A by index from `<dataroot>/{phase}A`, B randomly from `<dataroot>/{phase}B`.

    `--serial_batches` takes B by index too; the indices of the shorter side wrap around. At
    inference an item is named after its image of the longer side (`image_paths`) or, where both are
    as long, of the side that is translated.
    """

    draws_from_own_stream = True

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.dir_A, self.dir_B = (str(Path(opt.dataroot) / f"{opt.phase}{side}") for side in "AB")
        self.A_paths = make_dataset(self.dir_A, opt.max_dataset_size)
        self.B_paths = make_dataset(self.dir_B, opt.max_dataset_size)
        self.A_size, self.B_size = len(self.A_paths), len(self.B_paths)
        self.btoA = opt.direction == "BtoA"
        self.A_nc = opt.output_nc if self.btoA else opt.input_nc
        self.B_nc = opt.input_nc if self.btoA else opt.output_nc
        both = (self.B_paths, self.A_paths) if self.btoA else (self.A_paths, self.B_paths)
        self.image_paths = max(both, key=len)

    def __len__(self) -> int:
        """Return the length of the longer side."""
        return max(self.A_size, self.B_size)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (A_nc, H, W) and `B` (B_nc, H, W) in [-1, 1], `A_paths` and `B_paths`."""
        rng = type(self).random(self, index)
        B_index = index if self.opt.serial_batches else rng.randrange(self.B_size)
        sides = ("A", self.A_paths, index % self.A_size), ("B", self.B_paths, B_index % self.B_size)
        A_path, A = self._side(*sides[0], rng, self.A_nc)
        B_path, B = self._side(*sides[1], rng, self.B_nc)
        item = {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path}
        if self.opt.isTrain:
            return item
        A_is_longer = self.A_size > self.B_size or (self.A_size == self.B_size and not self.btoA)
        return {**item, "image_paths": A_path if A_is_longer else B_path}

    @property
    def transform_A(self) -> Any:
        """The transform of images A; once a subclass assigns one, images A are read with it."""
        return self._transform("A", self.A_nc)

    @transform_A.setter
    def transform_A(self, transform: Any) -> None:
        vars(self)["assigned_transform_A"] = transform

    @property
    def transform_B(self) -> Any:
        """The transform of images B; once a subclass assigns one, images B are read with it."""
        return self._transform("B", self.B_nc)

    @transform_B.setter
    def transform_B(self, transform: Any) -> None:
        vars(self)["assigned_transform_B"] = transform

    def _transform(self, side: str, channels: int) -> Any:
        assigned = vars(self).get(f"assigned_transform_{side}")
        return assigned or get_transform(self.opt, grayscale=channels == 1)

    def _side(
        self, side: str, paths: list[str], index: int, rng: Random, channels: int
    ) -> tuple[str, Any]:
        """Return the path and the image of a side, by the transform of a subclass if it has one."""
        transform = vars(self).get(f"assigned_transform_{side}")
        if transform is not None:
            return paths[index], transform(default_loader(paths[index]))
        path, (image,) = type(self).read_next(self, paths, index, rng, channels)
        return path, image
