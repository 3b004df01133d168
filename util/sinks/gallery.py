"""The training gallery, `web/index.html`: curves, fixed pictures, a row per epoch, newest first.

The index holds the newest epochs; when it is full, the older half moves to a page of its own that
is never written again, and curves have a bounded number of points. So an update costs the same
however old the run is.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..files import write_text_atomically
from ..html import HTML
from ..images import save_image
from .curves import Curves, MetricCurves
from .image_grid import sample_grid
from .sink import ImageRecord, LossRecord, MetricsRecord, SampleRecord, Sink
from .svg_curves import curve_charts

ROWS_PER_PAGE = 20
COMPARISON = "epochs.html"
"""The page that scripts/compare_epochs.py writes."""


@dataclass
class Row:
    """What the page shows of an epoch: pictures by their labels, and the fixed pictures."""

    epoch: int
    labels: list[str] = field(default_factory=list)
    samples: bool = False


class Gallery(Sink):
    """Keeps `<folder>/web` up to date."""

    def __init__(
        self,
        folder: Path,
        name: str,
        picture_width: int,
        curves: Curves | None = None,
        metric_curves: MetricCurves | None = None,
    ) -> None:
        self.web_dir, self.name, self.picture_width = folder / "web", name, picture_width
        self.curves = curves or Curves()
        self.metric_curves = metric_curves or MetricCurves()
        self.state_file = self.web_dir / "gallery.json"
        self.rows: list[Row] = []
        self.pages = 0
        if self.state_file.is_file():  # a run that is continued
            state = json.loads(self.state_file.read_text(encoding="utf-8"))
            self.rows = [Row(**row) for row in state["rows"]]
            self.pages = state["pages"]

    def losses(self, record: LossRecord) -> None:
        """Take a point of the curves."""
        self.curves.add(record)

    def pictures(self, record: ImageRecord) -> None:
        """Save the pictures under their epoch and rewrite the index."""
        if not record.keep:
            return
        for label, picture in record.pictures.items():
            save_image(picture, self._images() / _file_name(record.epoch, label))
        self._row(record.epoch).labels = list(record.pictures)
        self._update()

    def samples(self, record: SampleRecord) -> None:
        """Save the fixed pictures of an epoch that has ended."""
        if not record.keep:
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

    def _images(self) -> Path:
        folder = self.web_dir / "images"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _row(self, epoch: int) -> Row:
        """The row of an epoch, the last; a run that was set back takes its later ones away."""
        self.rows = [row for row in self.rows if row.epoch <= epoch]
        if not self.rows or self.rows[-1].epoch < epoch:
            self.rows.append(Row(epoch))
        return self.rows[-1]

    def _update(self) -> None:
        if len(self.rows) > 2 * ROWS_PER_PAGE:
            self.pages += 1
            self._write(_page_name(self.pages), self.rows[:ROWS_PER_PAGE], older=self.pages - 1)
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
                page.add_images(files, row.labels, files, width=self.picture_width)
            if row.samples:
                name = _file_name(row.epoch, "samples")
                page.add_links({"fixed pictures of this epoch": f"images/{name}"})
        page.save()

    def _write_head(self, page: HTML) -> None:
        newest = next((row for row in reversed(self.rows) if row.samples), None)
        if newest is not None:
            page.add_header(f"the same pictures in each epoch: now epoch {newest.epoch}")
            page.add_wide_image(_file_name(newest.epoch, "samples"), "fixed pictures")
        page.add_charts(curve_charts(self.curves) + curve_charts(self.metric_curves))


def _file_name(epoch: int, label: str) -> str:
    return f"epoch{epoch:03d}_{label}.png"


def _page_name(number: int) -> str:
    return f"older_{number:04d}.html"
