"""The pages of translated pictures: `<results_dir>/<name>/<phase>_<epoch>/index.html`."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from torch import Tensor

from .html import HTML
from .images import save_image, tensor2im

ROWS_PER_PAGE = 100


def results_folder(opt: Namespace) -> Path:
    """`<results_dir>/<name>/<phase>_<epoch>[_iter<N>]`."""
    iteration = f"_iter{opt.load_iter}" if opt.load_iter > 0 else ""
    return Path(opt.results_dir) / opt.name / f"{opt.phase}_{opt.epoch}{iteration}"


class ResultPages:
    """Saves pictures as they come, in pages of 100 rows, so memory does not grow with them."""

    def __init__(self, opt: Namespace) -> None:
        self.folder, self.opt = results_folder(opt), opt
        self.title = f"{opt.name}, {opt.phase}, epoch {opt.epoch}"
        self.pages = self.rows = 0
        self.taken: set[str] = set()
        self.page = self._new_page()

    def add(self, visuals: Mapping[str, Tensor], path: str) -> None:
        """Save the first image of each (N, C, H, W) in [-1, 1] as `images/<stem>_<label>.png`.

        Sub-folders of the data folder are kept, so that no two results share a name.
        """
        if self.rows == ROWS_PER_PAGE:
            self.page.add_links({"next page": _page_name(self.pages + 1)})
            self.page.save()
            self.page = self._new_page()
        self.rows += 1
        stem = self._free_stem(path)
        files = {label: f"{stem}_{label}.png" for label in visuals}
        for label, images in visuals.items():
            target = self.page.img_dir / files[label]
            target.parent.mkdir(parents=True, exist_ok=True)
            save_image(tensor2im(images), target, self.opt.aspect_ratio)
        self.page.add_header(stem)
        names = list(files.values())
        self.page.add_images(names, list(files), names, width=self.opt.display_winsize)

    def close(self) -> Path:
        """Write the last page; returns the first."""
        self.page.save()
        return self.folder / "index.html"

    def _new_page(self) -> HTML:
        self.pages, self.rows = self.pages + 1, 0
        page = HTML(self.folder, self.title, file_name=_page_name(self.pages))
        if self.pages > 1:
            page.add_links({"previous page": _page_name(self.pages - 1)})
        return page

    def _free_stem(self, path: str) -> str:
        picture, root = Path(path), Path(self.opt.dataroot)
        inside = picture.relative_to(root) if picture.is_relative_to(root) else Path(picture.name)
        parts = inside.parts[1:] if inside.parts[0].startswith(self.opt.phase) else inside.parts
        relative = PurePosixPath(*parts or (picture.name,))
        stem = str(relative.with_suffix(""))
        if stem in self.taken:  # a.jpg beside a.png
            stem = f"{stem}_{relative.suffix[1:]}"
        self.taken.add(stem)
        return stem


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
