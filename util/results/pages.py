"""Translated images as web pages, in `--results_dir`."""

import logging
import re
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from .. import ranks
from ..checkpoints.weights import epoch_label
from ..errors import UserError
from ..files import make_folder, write_text_atomically
from ..html import HTML, page_links
from ..images import Visual, images_of, save_image, to_image_array
from .results import Results, Visuals, relative_to_input, results_exist, unique_stem
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
        self.told = False
        """Whether the log says where the results of an interrupted run are."""
        make_folder(self.img_dir)

    def targets(self, path: str) -> list[Path]:
        """Return the files of the images of all labels."""
        return [self.img_dir / name for name in self._files(path).values()]

    def has(self, path: str) -> bool:
        """Return whether the images of all labels exist."""
        return results_exist(self.targets(path), path)

    def add(
        self, visuals: Visuals, paths: Sequence[str], places: Sequence[int] | None = None
    ) -> None:
        """Save the images as `images/<sub-folders and stem>_<label>.png` and add rows of them."""
        images = {label: images_of(visuals[label], len(paths)) for label in self.labels}
        for number, path in enumerate(paths):
            for label, name in self._files(path).items():
                self.threads.submit(self._save, images[label][number], name)
            self._add_row(path, None if places is None else places[number])

    def add_existing(self, path: str, place: int | None = None) -> None:
        """Add the row of an input whose images exist already."""
        self._add_row(path, place)

    def _add_row(self, path: str, place: int | None) -> None:
        if self.rows and len(self.rows) % ROWS_PER_PAGE == 0:
            self.threads.finish()  # a page shows only images that exist
            self.complete = len(self.rows)
            if ranks.world() == 1:
                full = len(self.rows) // ROWS_PER_PAGE
                self._save_page(full, last=full + 1)
        self.rows.append((len(self.rows) if place is None else place, path))

    def close(self) -> Path | None:
        """Write the pages that are not written yet; returns the path of the first.

        Without images it leaves those that exist, and returns None.
        """
        self.threads.finish()
        if not self.rows:
            return None
        self._save_pages()
        return self.folder / "index.html"

    def interrupted(self) -> None:
        """Write the pages with the images that are complete."""
        self.rows[self.complete :] = [row for row in self.rows[self.complete :] if self.has(row[1])]
        if self.rows and ranks.is_main():
            with suppress(UserError):  # the error that ended the run is reported
                self._save_pages()
                if not self.told:
                    log.info("results so far: %s", self.folder / "index.html")
                self.told = True

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

    def _save_pages(self) -> None:
        """Write all pages in the order of the inputs, or the last one where the others have it."""
        last = max(1, -(-len(self.rows) // ROWS_PER_PAGE))
        written = ranks.world() == 1 and self.rows == sorted(self.rows)
        self.rows.sort()
        for number in range(last if written else 1, last + 1):
            self._save_page(number, last)
        if written:
            self._link_earlier_pages(last)
        self._remove_pages_after(last)

    def _save_page(self, number: int, last: int) -> None:
        page = HTML(self.folder, self.title, file_name=_page_name(number))
        page.add_text(", ".join(self.source.weights))
        if last > 1:
            page.add_page_links(number, last, _page_name)
        for _, path in self.rows[(number - 1) * ROWS_PER_PAGE : number * ROWS_PER_PAGE]:
            files = list(self._files(path).values())
            page.add_header(self._stem(path))
            page.add_images(files, self.labels, files, width=self.opt.display_winsize)
        if last > 1:
            page.add_page_links(number, last, _page_name)
        page.save()

    def _link_earlier_pages(self, last: int) -> None:
        """Link every page from those that were written before it was known how many there are."""
        for number in range(1, last):
            file = self.folder / _page_name(number)
            if file.is_file():
                links = page_links(number, last, _page_name)
                parts = PAGE_LINKS.split(file.read_text(encoding="utf-8"))
                write_text_atomically(file, links.join(parts))

    def _remove_pages_after(self, last: int) -> None:
        """Remove the pages of an earlier inference with more images, to which nothing links."""
        for number in count(last + 1):
            file = self.folder / _page_name(number)
            if not file.is_file():
                return
            file.unlink()


def _page_name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:04d}.html"
