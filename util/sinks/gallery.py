"""The training gallery: `web/index.html`, one row of pictures per epoch, newest first.

The index holds the newest epochs; when it is full, the older half moves to a page of its own that
is never written again. So an update costs the same however old the run is.
"""

import json
from pathlib import Path

from ..files import write_text_atomically
from ..html import HTML
from ..images import save_image
from ..records import PictureRecord
from .sink import Sink

ROWS_PER_PAGE = 20
Row = tuple[int, list[str]]
"""An epoch and the labels of its pictures."""


class Gallery(Sink):
    """Keeps `<folder>/web` up to date."""

    def __init__(self, folder: Path, name: str, picture_width: int) -> None:
        self.web_dir, self.name, self.picture_width = folder / "web", name, picture_width
        self.state_file = self.web_dir / "gallery.json"
        self.rows: list[Row] = []
        self.pages = 0
        if self.state_file.is_file():  # a run that is continued
            state = json.loads(self.state_file.read_text(encoding="utf-8"))
            self.rows = [(epoch, labels) for epoch, labels in state["rows"]]
            self.pages = state["pages"]

    def pictures(self, record: PictureRecord) -> None:
        """Save the pictures under their epoch and rewrite the index."""
        if not record.keep:
            return
        (self.web_dir / "images").mkdir(parents=True, exist_ok=True)
        for label, picture in record.pictures.items():
            save_image(picture, self.web_dir / "images" / _file_name(record.epoch, label))
        self.rows = [row for row in self.rows if row[0] != record.epoch]
        self.rows.append((record.epoch, list(record.pictures)))
        if len(self.rows) > 2 * ROWS_PER_PAGE:
            self.pages += 1
            self._write(_page_name(self.pages), self.rows[:ROWS_PER_PAGE], older=self.pages - 1)
            self.rows = self.rows[ROWS_PER_PAGE:]
        self._write("index.html", self.rows, older=self.pages)
        state = {"rows": self.rows, "pages": self.pages}
        write_text_atomically(self.state_file, json.dumps(state))

    def _write(self, file_name: str, rows: list[Row], older: int) -> None:
        index = file_name == "index.html"
        page = HTML(self.web_dir, self.name, refresh=30 if index else 0, file_name=file_name)
        links = {} if index else {"newest": "index.html"}
        if older > 0:
            links["older epochs"] = _page_name(older)
        page.add_links(links)
        for epoch, labels in reversed(rows):
            page.add_header(f"epoch {epoch}")
            files = [_file_name(epoch, label) for label in labels]
            page.add_images(files, labels, files, width=self.picture_width)
        page.save()


def _file_name(epoch: int, label: str) -> str:
    return f"epoch{epoch:03d}_{label}.png"


def _page_name(number: int) -> str:
    return f"older_{number:04d}.html"
