"""Writes HTML pages of images with dominate: they need neither a server nor the network."""

import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import dominate
from dominate import tags
from dominate.util import raw

from .files import write_text_atomically
from .image_files import open_image

ASSETS = Path(__file__).with_name("page_assets")
GAP = 6
"""Pixels between the images of a row."""
INPUT_PREFIX = "real"
"""Of the labels of images that a network does not make."""
SHOWN = re.compile(r'<img\s[^>]*?\bsrc="([^"]+)"')
LINKED_AROUND = 2
"""Page numbers on each side of the current one that are always linked."""


def page_asset(name: str) -> str:
    """Return a style sheet or script that pages contain."""
    return (ASSETS / name).read_text(encoding="utf-8")


def inputs_of(labels: Sequence[str]) -> list[str | None]:
    """Return for each label that of the input it was translated from, None for an input itself.

    That is the last `real...` before it: models list an input before what is made of it.
    """
    found: list[str | None] = []
    last = None
    for label in labels:
        is_input = label.startswith(INPUT_PREFIX)
        found.append(None if is_input else last)
        last = label if is_input else last
    return found


@dataclass(frozen=True)
class Picture:
    """An image of a grid: files in `images/`, and what it shows."""

    file: str
    text: str
    before: str | None = None
    """The input that it was translated from, for a comparison."""


@dataclass(frozen=True)
class GridRow:
    """A row of a grid: its name, a note in small letters, and its images; None: an empty place."""

    title: str
    note: str
    pictures: Sequence[Picture | None]
    is_input: bool = False
    address: str = ""
    """What the name links to."""


class HTML:
    """A page in the folder `web_dir`, with its images in `web_dir/images`.

    Images enlarge by a click. The page reloads itself every `refresh` seconds; 0: never.
    """

    def __init__(
        self, web_dir: str | Path, title: str, refresh: int = 0, file_name: str = "index.html"
    ) -> None:
        self.web_dir = Path(web_dir)
        self.img_dir = self.web_dir / "images"
        self.img_dir.mkdir(parents=True, exist_ok=True)
        self.title, self.refresh, self.file_name = title, refresh, file_name
        self.inputs: dict[str, str] = {}
        """The stem of each image on the page -> the path of its input."""
        self.doc = dominate.document(title=title)
        self.doc.set_attribute("lang", "en")
        with self.doc.head:
            tags.meta(charset="utf-8")
            tags.meta(name="viewport", content="width=device-width, initial-scale=1")
            tags.link(rel="icon", href="data:,")
            tags.style(raw(page_asset("page.css") + page_asset("compare.css")))
            if refresh > 0:
                with tags.noscript():  # the script waits while an image is enlarged
                    tags.meta(http_equiv="refresh", content=str(refresh))
        self._items: tags.div | None = None
        """The items that are beside each other where there is room, each below its headline."""
        self._item: tags.section | None = None
        self._add(tags.h1(title))

    def get_image_dir(self) -> str:
        """Return the folder of the images."""
        return str(self.img_dir)

    def add_header(self, text: str) -> None:
        """Begin an item with a headline; it gets the images that follow."""
        if self._items is None:
            items = tags.div(cls="items")
            self._add(items)
            self._items = items
        self._item = tags.section(tags.h3(text), data_title=text)
        self._items.add(self._item)

    def add_part(self, text: str, anchor: str) -> None:
        """Begin a part of the page with a headline; `#anchor` is its address."""
        self._add(tags.h2(text, id=anchor))

    def add_text(self, text: str) -> None:
        """Add a paragraph."""
        self._add(tags.p(text))

    def add_links(self, links: dict[str, str]) -> None:
        """Add a row of links: text -> address."""
        if links:
            self._add(tags.nav(*(tags.a(text, href=address) for text, address in links.items())))

    def add_page_links(self, number: int, last: int, name: Callable[[int], str]) -> None:
        """Add what `page_links` returns."""
        self._add(raw(page_links(number, last, name)))

    def add_images(
        self, ims: Sequence[str], txts: Sequence[str], links: Sequence[str], width: int = 400
    ) -> None:
        """Add a row of images with texts and links; `ims` and `links` are files in `images/`.

        `width` is that of each image in pixels.
        """
        before = dict(zip(txts, links, strict=True))
        row = tags.div(cls="images", style=f"--widest:{width}px")
        for image, text, target, source in zip(ims, txts, links, inputs_of(txts), strict=True):
            compared = before[source] if source is not None else None
            shown = self._zoomable(Picture(image, text, compared), width, target)
            row.add(tags.figure(shown, tags.figcaption(text)))
        if self._item is None:
            self._add(row)
        else:
            self._item.add(row)
            wide = len(ims) * (width + GAP) - GAP  # a long headline wraps
            self._item.set_attribute("style", f"width:{wide}px")

    def add_grid(self, heads: Sequence[str], rows: Sequence[GridRow], width: int) -> None:
        """Add rows of images of `width` pixels below each other; columns of one head are a group.

        A grid that is wider than the page is scrolled by itself.
        """
        groups = [(head, len(list(group))) for head, group in itertools.groupby(heads)]
        starts = list(itertools.accumulate(size for _, size in groups))[:-1]
        first = {n: {"cls": "first"} if n in starts else {} for n in range(len(heads))}
        names = [
            tags.th(head, colspan=str(size), **first[n])
            for n, (head, size) in zip([0, *starts], groups, strict=True)
        ]
        content = tags.tbody()
        for row in rows:
            note = tags.small(row.note) if row.note else ""
            name = tags.a(row.title, href=row.address) if row.address else row.title
            line = tags.tr(tags.th(name, note), data_title=row.title)
            if row.is_input:
                line.set_attribute("class", "inputs")
            for n, picture in enumerate(row.pictures):
                line.add(tags.td(self._zoomable(picture, width) if picture else "", **first[n]))
            content.add(line)
        head = tags.thead(tags.tr(tags.th(), *names))
        self._add(tags.div(tags.table(head, content), cls="scroll", tabindex="0"))

    def add_charts(self, charts: Sequence[str]) -> None:
        """Add drawings in SVG, as many beside each other as fit."""
        self._add(tags.div(*(raw(chart) for chart in charts), cls="charts"))

    def save(self) -> None:
        """Write the page, whole or not at all. Raises UserError where it cannot be written."""
        self.doc.body.set_attribute("data-refresh", str(self.refresh))
        script = tags.script(raw(page_asset("compare.js") + page_asset("page.js")))
        self.doc.body.add(script)
        try:
            write_text_atomically(self.web_dir / self.file_name, self.doc.render())
        finally:
            self.doc.body.remove(script)  # the page may get more images and be saved again

    def _add(self, element: object) -> None:
        """Add what ends the items so far."""
        self._items = self._item = None
        self.doc.add(element)

    def _zoomable(self, picture: Picture, width: int, target: str | None = None) -> tags.a:
        """Return an image that enlarges to the file `target`, by default itself."""
        size = image_size(self.img_dir / picture.file)
        shown = tags.img(
            style=f"width:{width}px", src=_address(picture.file), alt=picture.text, loading="lazy"
        )
        if size:  # so that the page does not grow when the image is loaded
            shown.set_attribute("width", str(size[0]))
            shown.set_attribute("height", str(size[1]))
        link = tags.a(shown, href=_address(target or picture.file), cls="zoom")
        if picture.before is not None:
            link.set_attribute("data-before", _address(picture.before))
        return link


def page_links(number: int, last: int, name: Callable[[int], str]) -> str:
    """Return links from page `number` of `last` to the others, as HTML; `name` gives their files.

    All of the pages near it are linked, and the first and the last.
    """
    near = range(number - LINKED_AROUND, number + LINKED_AROUND + 1)
    shown = [n for n in range(1, last + 1) if n in near or n in (1, last)]
    row = tags.nav(cls="pages", aria_label="pages")

    def add(text: str, target: int, relation: str) -> None:
        exists = 1 <= target <= last
        row.add(
            tags.a(text, href=name(target), rel=relation) if exists else tags.span(text, cls="off")
        )

    add("\u2190 previous", number - 1, "prev")
    for before, n in zip([0, *shown], shown, strict=False):
        if n > before + 1:
            row.add(tags.span("\u2026"))
        here = n == number
        row.add(tags.span(str(n), aria_current="page") if here else tags.a(str(n), href=name(n)))
    add("next \u2192", number + 1, "next")
    return row.render()


def images_shown(web_dir: Path) -> set[Path]:
    """Return the images that the pages of a folder show, as paths relative to it."""
    pages = [web_dir / "index.html", *web_dir.glob("page_*.html")]
    texts = (page.read_text(encoding="utf-8", errors="replace") for page in pages if page.is_file())
    addresses = (unescape(address) for text in texts for address in SHOWN.findall(text))
    return {Path(os.fsdecode(unquote_to_bytes(address))) for address in addresses}


def image_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height of an image file in pixels, None where it cannot be read."""
    try:
        return _size_of(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _size_of(path: Path, _changed: int) -> tuple[int, int]:
    with open_image(path) as image:
        return image.size


def _address(image: str) -> str:
    """Return the address of a file in `images/`, whose name need not be valid Unicode."""
    return f"images/{quote(os.fsencode(image))}"
