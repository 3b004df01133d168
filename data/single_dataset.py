"""One folder of pictures, or one picture."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .base_dataset import BaseDataset
from .image_folder import make_dataset
from .pictures import placed, size_of
from .transforms import draw_placement


class SingleDataset(BaseDataset):
    """The pictures of the folder `<dataroot>`, sorted by path, or the picture `<dataroot>`."""

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        root = opt.dataroot
        is_file = Path(root).is_file()
        self.A_paths = [str(root)] if is_file else make_dataset(root, opt.max_dataset_size)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.A_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`A` (input_nc, H, W) and `A_paths`."""
        path = self.A_paths[index]
        levels = self.pictures.levels(path, self.opt.input_nc)
        placement = draw_placement(self.opt, size_of(levels), self.random(index), path)
        return {"A": placed(levels, self.opt, placement), "A_paths": path}
