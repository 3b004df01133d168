"""Writes HTML pages of images with dominate."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import dominate
from dominate.tags import a, br, div, h1, h3, img, link, meta, p, style, table, td, tr
from dominate.util import raw

from .files import write_text_atomically

CSS = """
body { font-family: system-ui, sans-serif; margin: 1rem; background: #fff; color: #222; }
h1 { font-size: 1.3rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
table { border-collapse: collapse; } td { padding: 4px; vertical-align: top; }
td p { margin: 2px 0; font-size: .8rem; color: #555; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: #eee; }
nav a { margin-right: 1rem; }
.charts { display: flex; flex-wrap: wrap; gap: .8rem; }
.charts svg { flex: 1 1 300px; max-width: 400px; min-width: 0; height: auto; }
@media (max-width: 700px) { tr { display: flex; flex-wrap: wrap; } td { width: 46%; }
  td img { width: 100% !important; } }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #ddd; }
  td p { color: #aaa; } a { color: #8bf; } }
"""


class HTML:
    """A page in the folder `web_dir`, with its images in `web_dir/images`.

    It reloads itself every `refresh` seconds; 0: never.
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
        with self.doc.head:
            meta(charset="utf-8")
            meta(name="viewport", content="width=device-width, initial-scale=1")
            link(rel="icon", href="data:,")
            style(CSS)
            if refresh > 0:
                meta(http_equiv="refresh", content=str(refresh))
        with self.doc:
            h1(title)

    def get_image_dir(self) -> str:
        """Return the folder of the images."""
        return str(self.img_dir)

    def add_header(self, text: str) -> None:
        """Add a headline."""
        with self.doc:
            h3(text)

    def add_links(self, links: dict[str, str]) -> None:
        """Add a row of links: text -> address."""
        with self.doc, dominate.tags.nav():
            for text, address in links.items():
                a(text, href=address)

    def add_images(
        self, ims: Sequence[str], txts: Sequence[str], links: Sequence[str], width: int = 400
    ) -> None:
        """Add a row of images with texts and links; `ims` and `links` are files in `images/`.

        `width` is that of each image in pixels.
        """
        with self.doc, table(), tr():
            for image, text, target in zip(ims, txts, links, strict=True):
                with td(), p():
                    with a(href=_address(target)):
                        img(
                            style=f"width:{width}px",
                            src=_address(image),
                            alt=text,
                            loading="lazy",
                        )
                    br()
                    p(text)

    def add_charts(self, charts: Sequence[str]) -> None:
        """Add drawings in SVG, as many beside each other as fit."""
        with self.doc, div(cls="charts"):
            for chart in charts:
                raw(chart)

    def add_wide_image(self, image: str, text: str) -> None:
        """Add an image, a file in `images/`, in its own width or that of the page, with a link."""
        with self.doc, a(href=f"images/{image}"):
            img(src=f"images/{image}", alt=text)

    def save(self) -> None:
        """Write the page, whole or not at all. Raises UserError where it cannot be written."""
        write_text_atomically(self.web_dir / self.file_name, self.doc.render())


def _address(image: str) -> str:
    """Return the address of a file in `images/`, whose name need not be valid Unicode."""
    return f"images/{quote(os.fsencode(image))}"
