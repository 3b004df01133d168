"""One folder of pictures, each an A and a B side by side."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from util.errors import UserError

from .base_dataset import BaseDataset
from .image_folder import make_dataset
from .image_reading import read_image
from .transforms import draw_placement, load_tensor


class AlignedDataset(BaseDataset):
    """Pairs from `<dataroot>/{phase}`: the left half is A, the right half B.

    Both halves are cropped and mirrored alike.
    """

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.AB_paths = make_dataset(Path(opt.dataroot) / opt.phase, opt.max_dataset_size)
        forward = opt.direction == "AtoB"
        self.A_nc = opt.input_nc if forward else opt.output_nc
        self.B_nc = opt.output_nc if forward else opt.input_nc

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.AB_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`A` (A_nc, H, W), `B` (B_nc, H, W), `A_paths`, `B_paths`."""
        path = self.AB_paths[index]
        pair = read_image(path)
        if pair.width < 2:
            raise UserError(f"{path} is {pair.width} pixel wide: it holds no A beside a B")
        half = pair.width // 2
        A = pair.crop((0, 0, half, pair.height))
        B = pair.crop((half, 0, 2 * half, pair.height))
        placement = draw_placement(self.opt, A.size, self.random(index), path)
        return {
            "A": load_tensor(A, self.opt, self.A_nc, placement),
            "B": load_tensor(B, self.opt, self.B_nc, placement),
            "A_paths": path,
            "B_paths": path,
        }
