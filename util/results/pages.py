"""Translated images as web pages, in `--results_dir`."""

import logging
import re
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..checkpoints.weights import epoch_label
from ..errors import UserError
from ..files import make_folder, write_text_atomically
from ..html import HTML, page_links
from ..images import Visual, images_of, save_image, to_image_array
from .results import Results, Visuals, relative_to_input, unique_stem
from .source import own_folder, source_of

log = logging.getLogger(__name__)

ROWS_PER_PAGE = 100
"""Few enough that a browser opens a page of full-size images at once."""
PAGE_LINKS = re.compile(r'<nav [^>]*class="pages".*?</nav>', re.DOTALL)


class ResultPages(Results):
    """`<results_dir>/<name>/<phase>_<epoch>/index.html`, in pages of 100 items.

    When the block is left by an exception, the last page shows the images that are complete.
    """

    def __init__(self, opt: Namespace, labels: Sequence[str]) -> None:
        super().__init__(opt)
        self.folder, self.labels, self.source = own_folder(opt), list(labels), source_of(opt)
        direction = f", {self.source.direction}" if self.source.direction else ""
        self.title = f"{opt.name}{direction}, {opt.phase}, epoch {epoch_label(opt)}"
        self.img_dir = self.folder / "images"
        make_folder(self.img_dir)
        self.page = 1
        self.rows: list[str] = []
        """The paths of the inputs on the current page."""

    def has(self, path: str) -> bool:
        """Return whether the images of all labels exist."""
        return all((self.img_dir / name).is_file() for name in self._files(path).values())

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
        page.add_text(", ".join(self.source.weights))
        last = self.page + next_page
        if last > 1:
            page.add_page_links(self.page, last, _page_name)
        for path in self.rows:
            files = list(self._files(path).values())
            page.add_header(self._stem(path))
            page.add_images(files, self.labels, files, width=self.opt.display_winsize)
        if last > 1:
            page.add_page_links(self.page, last, _page_name)
        page.save()
        if not next_page:
            self._link_earlier_pages()

    def _link_earlier_pages(self) -> None:
        """Link every page from those that were written before it was known how many there are."""
        for number in range(1, self.page):
            file = self.folder / _page_name(number)
            if file.is_file():
                links = page_links(number, self.page, _page_name)
                parts = PAGE_LINKS.split(file.read_text(encoding="utf-8"))
                write_text_atomically(file, links.join(parts))


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
