"""Translated images as web pages, in `--results_dir`."""

import logging
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import UserError
from ..files import make_folder
from ..html import HTML
from ..images import Visual, images_of, save_image, to_image_array
from .results import Results, Visuals, relative_to_input, results_folder, unique_stem

log = logging.getLogger(__name__)

ROWS_PER_PAGE = 100
"""Few enough that a browser opens a page of full-size images at once."""


class ResultPages(Results):
    """`<results_dir>/<name>/<phase>_<epoch>/index.html`, in pages of 100 rows.

    When the block is left by an exception, the last page shows the images that are complete.
    """

    def __init__(self, opt: Namespace, labels: Sequence[str]) -> None:
        super().__init__(opt)
        self.folder, self.labels = results_folder(opt), list(labels)
        self.title = f"{opt.name}, {opt.phase}, epoch {opt.epoch}"
        self.img_dir = self.folder / "images"
        make_folder(self.img_dir)
        self.page = 1
        self.rows: list[str] = []
        """The paths of the inputs on the current page."""

    def targets(self, path: str) -> list[Path]:
        """Return the files of the images of all labels."""
        return [self.img_dir / name for name in self._files(path).values()]

    def has(self, path: str) -> bool:
        """Return whether the images of all labels exist."""
        return all(target.is_file() for target in self.targets(path))

    def add(self, visuals: Visuals, paths: Sequence[str]) -> None:
        """Save the images as `images/<sub-folders and stem>_<label>.png` and add rows of them."""
        images = {label: images_of(visuals[label], len(paths)) for label in self.labels}
        for number, path in enumerate(paths):
            for label, name in self._files(path).items():
                self.threads.submit(self._save, images[label][number], name)
            self._add_row(path)

    def add_existing(self, path: str) -> None:
        """Add the row of an input whose images exist already."""
        self._add_row(path)

    def _add_row(self, path: str) -> None:
        if len(self.rows) == ROWS_PER_PAGE:
            self.threads.finish()  # a page shows only images that exist
            self._save_page(next_page=True)
            self.page, self.rows = self.page + 1, []
        self.rows.append(path)

    def close(self) -> Path:
        """Write the last page; returns the path of the first."""
        self.threads.finish()
        self._save_page()
        return self.folder / "index.html"

    def interrupted(self) -> None:
        """Write the page with the images that are complete."""
        self.rows = [path for path in self.rows if self.has(path)]
        if self.rows or self.page > 1:
            with suppress(UserError):  # the error that ended the run is reported
                self._save_page()
                log.info("results so far: %s", self.folder / "index.html")

    def _save(self, image: Visual, name: str) -> None:
        target = self.img_dir / name
        make_folder(target.parent)
        save_image(to_image_array(image), target, self.opt.aspect_ratio)

    def _stem(self, path: str) -> str:
        relative = relative_to_input(path, self.opt)
        return relative.with_name(unique_stem(path, self.opt)).as_posix()

    def _files(self, path: str) -> dict[str, str]:
        stem = self._stem(path)
        return {label: f"{stem}_{label}.png" for label in self.labels}

    def _save_page(self, next_page: bool = False) -> None:
        page = HTML(self.folder, self.title, file_name=_page_name(self.page))
        if self.page > 1:
            page.add_links({"previous page": _page_name(self.page - 1)})
        for path in self.rows:
            files = list(self._files(path).values())
            page.add_header(self._stem(path))
            page.add_images(files, self.labels, files, width=self.opt.display_winsize)
        if next_page:
            page.add_links({"next page": _page_name(self.page + 1)})
        page.save()


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
