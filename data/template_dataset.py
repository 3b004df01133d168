"""A data set to copy: `--dataset_mode template` returns each image of a folder as A and as B.

Copy this file to `data/<name>_dataset.py`, rename the class to match (`foo_bar` is
`FooBarDataset`), and `--dataset_mode <name>` finds it.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

from .base_dataset import BaseDataset
from .image_folder import make_dataset


class TemplateDataset(BaseDataset):
    """The images of `<dataroot>`: B is A times `--new_dataset_option`, clamped to [-1, 1]."""

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags, and change the defaults of existing ones."""
        parser.add_argument(
            "--new_dataset_option", type=float, default=1.0, help="contrast of B over that of A"
        )
        parser.set_defaults(max_dataset_size=10, new_dataset_option=2.0)
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.image_paths = make_dataset(opt.dataroot, opt.max_dataset_size)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` and `B` (input_nc, H, W) in [-1, 1], `A_paths` and `B_paths`."""
        path = self.image_paths[index]
        (A,) = self.read(path, self.random(index), self.opt.input_nc)
        B = (A * self.opt.new_dataset_option).clamp(-1, 1)
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
