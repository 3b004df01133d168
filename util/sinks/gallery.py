"""Writes the gallery of a training, `web/index.html`: curves, fixed images, a row per epoch.

The index holds the newest epochs, newest first; when it is full, the older half moves to a page
that is never written again, and curves have a bounded number of points. So an update costs the same
however long the run is.
"""

import json
import logging
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..files import write_text_atomically
from ..html import HTML
from ..images import save_image
from .curves import Curves, MetricCurves
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink
from .svg_curves import curve_charts

log = logging.getLogger(__name__)

ROWS_PER_PAGE = 20
OLDER_PAGE = re.compile(r"older_(\d{4,9})\.html")
COMPARISON = "epochs.html"
"""The page that scripts/compare_epochs.py writes."""


@dataclass
class Row:
    """What the page shows of an epoch: the labels of its images, and whether it has fixed ones."""

    epoch: int
    labels: list[str] = field(default_factory=list)
    samples: bool = False


class Gallery(Sink):
    """Updates `<folder>/web` with each stored record.

    A damaged `gallery.json` is set aside, and a new gallery begins. Raises OSError where the folder
    cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        image_width: int,
        curves: Curves | None = None,
        metric_curves: MetricCurves | None = None,
    ) -> None:
        self.web_dir, self.name, self.image_width = folder / "web", name, image_width
        self.curves = curves or Curves()
        self.metric_curves = metric_curves or MetricCurves()
        self.state_file = self.web_dir / "gallery.json"
        self.rows: list[Row] = []
        self.pages = 0
        if self.state_file.is_file():  # a resumed run
            try:
                self.rows, self.pages = read_gallery_state(self.web_dir)
            except ValueError as error:
                self._set_damaged_state_aside(error)

    def losses(self, record: LossRecord) -> None:
        """Add a point to the curves."""
        self.curves.add(record)

    def images(self, record: ImageRecord) -> None:
        """Save the images under their epoch and rewrite the index."""
        if not record.store:
            return
        for label, image in record.images.items():
            save_image(image, self._images() / _file_name(record.epoch, label))
        self._row(record.epoch).labels = list(record.images)
        self._update()

    def samples(self, record: SampleRecord) -> None:
        """Save the fixed images of an epoch that has ended."""
        if not record.store:
            return
        grid = sample_grid(record.rows)
        save_image(grid, self._images() / _file_name(record.epoch, "samples"))
        self._row(record.epoch).samples = True
        self._update()

    def metrics(self, record: MetricsRecord) -> None:
        """Take the figures of an epoch; the page is rewritten with its samples."""
        self.metric_curves.add_metrics(record)

    def close(self) -> None:
        """Draw the curves to their end."""
        self.curves.finish()
        if self.rows:
            self._update()

    def _set_damaged_state_aside(self, error: ValueError) -> None:
        """Start a new state; the index of the old one becomes the newest page of older epochs."""
        damaged = self.state_file.with_name("gallery.json.damaged")
        self.state_file.replace(damaged)
        older = (OLDER_PAGE.fullmatch(path.name) for path in self.web_dir.iterdir())
        self.pages = max((int(match[1]) for match in older if match), default=0)
        index = self.web_dir / "index.html"
        if index.is_file():
            self.pages += 1
            index.replace(self.web_dir / _page_name(self.pages))
        log.warning("%s; it is now %s, and the gallery starts anew", error, damaged.name)

    def _images(self) -> Path:
        folder = self.web_dir / "images"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _row(self, epoch: int) -> Row:
        """Return the row of an epoch, the last one; later rows, of lost epochs, are removed."""
        self.rows = [row for row in self.rows if row.epoch <= epoch]
        if not self.rows or self.rows[-1].epoch < epoch:
            self.rows.append(Row(epoch))
        return self.rows[-1]

    def _update(self) -> None:
        if len(self.rows) > 2 * ROWS_PER_PAGE:
            self._write(_page_name(self.pages + 1), self.rows[:ROWS_PER_PAGE], older=self.pages)
            self.pages += 1  # once the page is there: a full disk may refuse it
            self.rows = self.rows[ROWS_PER_PAGE:]
        self._write("index.html", self.rows, older=self.pages)
        state = {"rows": [asdict(row) for row in self.rows], "pages": self.pages}
        write_text_atomically(self.state_file, json.dumps(state))

    def _write(self, file_name: str, rows: list[Row], older: int) -> None:
        index = file_name == "index.html"
        page = HTML(self.web_dir, self.name, refresh=30 if index else 0, file_name=file_name)
        links = {} if index else {"newest": "index.html"}
        if older > 0:
            links["older epochs"] = _page_name(older)
        if (self.web_dir / COMPARISON).is_file():
            links["epochs side by side"] = COMPARISON
        page.add_links(links)
        if index:
            self._write_head(page)
        for row in reversed(rows):
            page.add_header(f"epoch {row.epoch}")
            files = [_file_name(row.epoch, label) for label in row.labels]
            if files:
                page.add_images(files, row.labels, files, width=self.image_width)
            if row.samples:
                name = _file_name(row.epoch, "samples")
                page.add_links({"fixed images of this epoch": f"images/{name}"})
        page.save()

    def _write_head(self, page: HTML) -> None:
        newest = next((row for row in reversed(self.rows) if row.samples), None)
        if newest is not None:
            page.add_header(f"the same images in each epoch: now epoch {newest.epoch}")
            page.add_wide_image(_file_name(newest.epoch, "samples"), "fixed images")
        page.add_charts(curve_charts(self.curves) + curve_charts(self.metric_curves))


def read_gallery_state(web_dir: Path) -> tuple[list[Row], int]:
    """Return the rows of `gallery.json`, oldest first, and the number of pages of older epochs.

    Raises ValueError where the file is damaged.
    """
    path = web_dir / "gallery.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        rows, pages = [Row(**row) for row in state["rows"]], state["pages"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    for row in rows:
        labels_are_text = isinstance(row.labels, list) and all(
            isinstance(label, str) for label in row.labels
        )
        if not isinstance(row.epoch, int) or not labels_are_text:
            raise ValueError(f"{path} is damaged (wrong values in a row)")
    if not isinstance(pages, int):
        raise ValueError(f"{path} is damaged (pages: {pages!r})")
    return rows, pages


def _file_name(epoch: int, label: str) -> str:
    return f"epoch{epoch:03d}_{label}.png"


def _page_name(number: int) -> str:
    return f"older_{number:04d}.html"
