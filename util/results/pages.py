"""Translated pictures as pages, in `--results_dir`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..files import make_folder
from ..html import HTML
from ..images import save_image, to_picture
from .results import Results, Visuals, inside_input, results_folder, unique_stem

ROWS_PER_PAGE = 100


class ResultPages(Results):
    """`<results_dir>/<name>/<phase>_<epoch>/index.html`, in pages of 100 rows."""

    def __init__(self, opt: Namespace, labels: Sequence[str]) -> None:
        super().__init__(opt)
        self.folder, self.labels = results_folder(opt), list(labels)
        self.title = f"{opt.name}, {opt.phase}, epoch {opt.epoch}"
        self.pages = self.rows = 0
        self.page = self._new_page()

    def has(self, path: str) -> bool:
        """Whether the images of all labels are there."""
        return all((self.page.img_dir / name).is_file() for name in self._files(path).values())

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Save the images as `images/<sub-folders and stem>_<label>.png` and add rows of them."""
        for number, path in enumerate(paths):
            for label, name in self._files(path).items():
                self.threads.submit(self._save, visuals[label][number], name)
            self.leave_out(path)

    def leave_out(self, path: str) -> None:
        """Add the row of a picture."""
        if self.rows == ROWS_PER_PAGE:
            self.page.add_links({"next page": _page_name(self.pages + 1)})
            self.page.save()
            self.page = self._new_page()
        self.rows += 1
        files = list(self._files(path).values())
        self.page.add_header(self._stem(path))
        self.page.add_images(files, self.labels, files, width=self.opt.display_winsize)

    def close(self) -> Path:
        """Write the last page; returns the first."""
        self.threads.finish()
        self.page.save()
        return self.folder / "index.html"

    def _save(self, image: Tensor, name: str) -> None:
        target = self.page.img_dir / name
        make_folder(target.parent)
        save_image(to_picture(image), target, self.opt.aspect_ratio)

    def _stem(self, path: str) -> str:
        inside = inside_input(path, self.opt)
        return inside.with_name(unique_stem(path, self.opt)).as_posix()

    def _files(self, path: str) -> dict[str, str]:
        stem = self._stem(path)
        return {label: f"{stem}_{label}.png" for label in self.labels}

    def _new_page(self) -> HTML:
        self.pages, self.rows = self.pages + 1, 0
        make_folder(self.folder)
        page = HTML(self.folder, self.title, file_name=_page_name(self.pages))
        if self.pages > 1:
            page.add_links({"previous page": _page_name(self.pages - 1)})
        return page


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
