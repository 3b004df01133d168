"""The images of one folder, or a single image, without a second domain."""

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.files import list_folder

from .base_dataset import BaseDataset, get_transform
from .image_folder import default_loader, make_dataset


def without_results(paths: list[str], opt: Namespace) -> list[str]:
    """Return the paths without those in a folder of results that lies in the input folder."""
    root = Path(opt.dataroot).resolve()
    names = (name for name in (opt.output, opt.results_dir) if name is not None)
    for folder in (Path(name).resolve() for name in names):
        if folder != root and folder.is_relative_to(root):
            # Path, since the paths of the images in ./in begin with in/
            inside = os.path.join(str(Path(opt.dataroot)), folder.relative_to(root), "")  # noqa: PTH118
            paths = [path for path in paths if not path.startswith(inside)]
    return paths


class SingleDataset(BaseDataset):
    """The images of the folder `<dataroot>`, sorted by path, or the image `<dataroot>`."""

    draws_from_own_stream = True

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        root = opt.dataroot
        if not os.path.exists(root):  # noqa: PTH110 - False where the name is too long
            parent = Path(root).parent
            flag = "--dataroot" if opt.isTrain else "--input (or --dataroot)"
            raise UserError(f"{flag} {root}: no such file or folder; {list_folder(parent)}")
        is_file = Path(root).is_file()
        if is_file:
            self.A_paths = [str(root)]
        elif opt.isTrain:  # which writes no results among its images
            self.A_paths = make_dataset(root, opt.max_dataset_size)
        else:
            paths = without_results(make_dataset(root), opt)
            self.A_paths = paths[: int(min(len(paths), opt.max_dataset_size))]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.A_paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return `A` (input_nc, H, W) in [-1, 1] and `A_paths`."""
        path = self.A_paths[index]
        assigned = vars(self).get("assigned_transform")
        if assigned is not None:
            return {"A": assigned(default_loader(path)), "A_paths": path}
        (A,) = type(self).read(self, path, type(self).random(self, index), self.opt.input_nc)
        return {"A": A, "A_paths": path}

    @property
    def transform(self) -> Any:
        """The transform of an image; once a subclass assigns one, images are read with it."""
        assigned = vars(self).get("assigned_transform")
        return assigned or get_transform(self.opt, grayscale=self.opt.input_nc == 1)

    @transform.setter
    def transform(self, transform: Any) -> None:
        vars(self)["assigned_transform"] = transform
