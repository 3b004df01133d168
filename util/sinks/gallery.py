"""Writes the gallery of a training, `web/index.html`: curves, and the images of each epoch.

The fixed images have a row for each epoch, so that a column shows the progress of one of them; the
training images of the epochs follow.

The index holds the newest epochs, newest first; when it is full, the older half moves to a page
that is never written again, and curves have a bounded number of points. So an update costs the same
however long the run is.
"""

import itertools
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..files import write_text_atomically
from ..html import HTML, INPUT_PREFIX, GridRow, Picture, inputs_of
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
REFRESH = 30
"""Seconds after which the page of a training that goes on reads itself again."""
THUMBNAIL = 128
"""Pixels at most of the width of a fixed image, of which a row has eight by default."""


@dataclass
class Row:
    """What the page shows of an epoch."""

    epoch: int
    labels: list[str] = field(default_factory=list)
    """Of its training images."""
    samples: bool = False
    """Whether it has fixed images."""
    fixed: int = 0
    """Number of fixed images in files of their own; 0: they are in one file, as older versions
    wrote it."""
    fixed_labels: list[str] = field(default_factory=list)
    total_iters: int = 0
    """Images seen in the whole run when the fixed images were translated."""


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
        self.is_finished = False
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

    @property
    def is_empty(self) -> bool:
        """Whether it has no row yet: it then takes fixed images before the epoch has ended."""
        return not self.rows

    def samples(self, record: SampleRecord) -> None:
        """Save the fixed images: the first of the run, and those of records to store."""
        sent_again = self.rows and self.rows[-1].total_iters == record.total_iters
        if not (record.store or self.is_empty or sent_again):  # again: its page was not written
            return
        save_image(sample_grid(record.rows), self._images() / _file_name(record.epoch, "samples"))
        for number, images in enumerate(record.rows, start=1):
            for label, image in images.items():
                save_image(image, self._images() / _fixed_name(record.epoch, number, label))
        row = self._row(record.epoch)
        row.samples, row.fixed = True, len(record.rows)
        row.fixed_labels, row.total_iters = list(record.rows[0]), record.total_iters
        self._update()

    def metrics(self, record: MetricsRecord) -> None:
        """Take the figures of an epoch; the page is rewritten with its samples."""
        self.metric_curves.add_metrics(record)

    def close(self) -> None:
        """Draw the curves to their end; the page no longer reads itself again."""
        self.curves.finish()
        self.is_finished = True
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
        refresh = REFRESH if index and not self.is_finished else 0
        page = HTML(self.web_dir, self.name, refresh=refresh, file_name=file_name)
        links = self._links(rows, index, older)
        page.add_links(links)
        if index:
            page.add_charts(curve_charts(self.curves) + curve_charts(self.metric_curves))
        if any(row.samples for row in rows):
            page.add_part("The same images in every epoch", "fixed")
            self._write_fixed(page, rows[::-1])
        if any(row.labels for row in rows):
            page.add_part("Training images", "training")
        for row in reversed(rows):
            if row.labels:
                files = [_file_name(row.epoch, label) for label in row.labels]
                page.add_header(f"epoch {row.epoch}")
                page.add_images(files, row.labels, files, width=self.image_width)
        page.add_links(
            {text: links[text] for text in links if text.startswith(("newest", "older"))}
        )
        page.save()

    def _links(self, rows: list[Row], index: bool, older: int) -> dict[str, str]:
        """Return the links of a page: text -> address."""
        links = {} if index else {"newest epochs": "index.html"}
        if older > 0:
            links["older epochs"] = _page_name(older)
        if (self.web_dir / COMPARISON).is_file():
            links["epochs side by side"] = COMPARISON
        if any(row.samples for row in rows) and any(row.labels for row in rows):
            links["training images"] = "#training"
        return links

    def _write_fixed(self, page: HTML, rows: list[Row]) -> None:
        """Add the fixed images: a grid for each choice of images, epochs downwards."""
        old = {f"epoch {row.epoch}": row for row in rows if row.samples and not row.fixed}
        rows = [row for row in rows if row.fixed]
        for _, group in itertools.groupby(rows, key=lambda row: (row.fixed, row.fixed_labels)):
            same = list(group)
            page.add_grid(*fixed_grid(same), width=min(self.image_width, THUMBNAIL))
        names = {text: _file_name(row.epoch, "samples") for text, row in old.items()}
        page.add_links({text: f"images/{name}" for text, name in names.items()})


def fixed_grid(rows: Sequence[Row]) -> tuple[list[str], list[GridRow]]:
    """Return the heads of the columns, and the rows: what the networks are given, then each epoch.

    There is a column for each image that is translated, and for each translation of it. All `rows`
    have the same fixed images; the inputs are those of the first.
    """
    labels, numbers = rows[0].fixed_labels, range(1, rows[0].fixed + 1)
    inputs = dict(zip(labels, inputs_of(labels), strict=True))
    outputs = [label for label in labels if inputs[label] is not None] or labels
    columns = [(label, number) for label in outputs for number in numbers]

    def picture(row: Row, label: str | None, number: int, before: str | None) -> Picture | None:
        if label is None:
            return None
        source = before and _fixed_name(rows[0].epoch, number, before)
        return Picture(_fixed_name(row.epoch, number, label), f"{label} {number}", source)

    heads = [
        label if inputs[label] is None else f"{inputs[label]} \u2192 {label}"
        for label, _ in columns
    ]
    top = [picture(rows[0], inputs[label], number, None) for label, number in columns]
    grid = [GridRow("input", "", top, is_input=True)] if any(top) else []
    for row in rows:
        pictures = [picture(row, label, number, inputs[label]) for label, number in columns]
        sheet = f"images/{_file_name(row.epoch, 'samples')}"
        note = f"{row.total_iters:,} images"
        grid.append(GridRow(f"epoch {row.epoch}", note, pictures, address=sheet))
    return heads, grid


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
        numbers = (row.epoch, row.fixed, row.total_iters)
        if not all(isinstance(number, int) for number in numbers) or not (
            _is_text(row.labels) and _is_text(row.fixed_labels)
        ):
            raise ValueError(f"{path} is damaged (wrong values in a row)")
    if not isinstance(pages, int):
        raise ValueError(f"{path} is damaged (pages: {pages!r})")
    return rows, pages


def _is_text(labels: object) -> bool:
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _fixed_name(epoch: int, number: int, label: str) -> str:
    """Return the file of a fixed image; an input has one for all epochs."""
    name = f"fixed{number}_{label}"
    return f"{name}.png" if label.startswith(INPUT_PREFIX) else _file_name(epoch, name)


def _file_name(epoch: int, label: str) -> str:
    return f"epoch{epoch:03d}_{label}.png"


def _page_name(number: int) -> str:
    return f"older_{number:04d}.html"
