"""Epochs of a run side by side: `epochs.html`, `epochs.png`, and the images that they show.

Each image is written as soon as it is there, so memory does not grow with the number of epochs.
"""

import html
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..files import make_folder, write_atomically, write_text_atomically
from ..html import page_asset
from ..image_files import open_image
from ..images import ImageArray, save_image
from .figures import Figure, best_by_title
from .report import number

PAGE, SHEET, IMAGES = "epochs.html", "epochs.png", "epochs"
TEMPLATE = Path(__file__).with_name(PAGE)
LARGEST = 512
"""Longer side in pixels of the images of the page; larger ones are shrunk."""
QUALITY = 92
"""Of JPEG, without subsampling of colours: a third of the size of PNG, no visible artefacts."""
SHEET_COLUMNS, SHEET_WIDTH, SHEET_TEXT, GAP = 12, 128, 15, 4
"""Of `epochs.png`: epochs at most, pixels of an image, of a line of text, and between them."""


@dataclass
class Side:
    """One direction: its images, and the figures of each epoch."""

    key: str
    """`G_A`, `G_B` or `G`; the name of its folder too."""
    title: str
    names: list[str]
    inputs: bool = True
    """Whether the inputs are shown."""
    answers: bool = False
    """Whether the true answers are shown."""
    figures: dict[str, Mapping[str, Figure]] = field(default_factory=dict)
    """Epoch -> title -> figure, in the order of the columns."""

    @property
    def titles(self) -> list[str]:
        """The titles of all figures, in the order of their first appearance."""
        return list(dict.fromkeys(title for row in self.figures.values() for title in row))

    @property
    def best(self) -> dict[str, str]:
        """Title -> the best epoch, where several epochs have the figure and differ."""
        return best_by_title(self.figures)


class EpochsPage:
    """Writes the page of a run into `folder`; the first image deletes those of an older page."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.sides: list[Side] = []
        self._is_empty = True

    def add(self, side: Side, column: str, place: int, image: ImageArray) -> None:
        """Store an image (H, W, 3): `column` is an epoch, `input` or `answer`, `place` its row."""
        if self._is_empty and (self.folder / IMAGES).is_dir():
            shutil.rmtree(self.folder / IMAGES)
        self._is_empty = False
        path = self._path(side, column, place)
        make_folder(path.parent)
        small = Image.fromarray(image)
        small.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        write_atomically(
            path, lambda file: small.save(file, "JPEG", quality=QUALITY, subsampling=0)
        )

    def save(self) -> Path:
        """Write the page and the PNG from what was stored; returns the page."""
        save_image(self._sheet(), self.folder / SHEET)
        gallery = (self.folder / "index.html").is_file()
        content = {"directions": [self._plain(side) for side in self.sides], "gallery": gallery}
        data = json.dumps(content).replace("<", "\\u003c")  # no name may end the script
        text = TEMPLATE.read_text(encoding="utf-8")
        text = text.replace("__COMPARE_CSS__", page_asset("compare.css"))
        text = text.replace("__COMPARE_JS__", page_asset("compare.js"))
        text = text.replace("__TITLE__", html.escape(self.name))
        write_text_atomically(self.folder / PAGE, text.replace("__DATA__", data))
        return self.folder / PAGE

    def _path(self, side: Side, column: str, place: int) -> Path:
        return self.folder / IMAGES / side.key / column / f"{place}.jpg"

    @staticmethod
    def _plain(side: Side) -> dict[str, Any]:
        columns = [
            {
                "epoch": epoch,
                "folder": epoch,
                "figures": {title: number(figure.value) for title, figure in row.items()},
                "best": [title for title, found in side.best.items() if found == epoch],
            }
            for epoch, row in side.figures.items()
        ]
        return {
            "key": side.key,
            "title": side.title,
            "folder": f"{IMAGES}/{side.key}",
            "names": side.names,
            "inputs": side.inputs,
            "answers": side.answers,
            "titles": side.titles,
            "columns": columns,
        }

    def _sheet(self) -> ImageArray:
        """All directions below each other, with at most SHEET_COLUMNS epochs."""
        parts = [self._part(side, sheet_epochs(side)) for side in self.sides]
        width = max(part.width for part in parts)
        sheet = Image.new("RGB", (width, sum(part.height + 4 * GAP for part in parts)), "white")
        top = 0
        for part in parts:
            sheet.paste(part, (0, top))
            top += part.height + 4 * GAP
        return np.asarray(sheet)

    def _part(self, side: Side, epochs: Sequence[str]) -> Image.Image:
        columns = [*(["input"] if side.inputs else []), *epochs]
        columns += ["answer"] if side.answers else []
        heights = [self._thumbnail(side, columns[0], k).height for k in range(len(side.names))]
        head = SHEET_TEXT * (2 + len(side.titles)) + GAP
        size = (len(columns) * (SHEET_WIDTH + GAP), head + sum(h + GAP for h in heights))
        part = Image.new("RGB", (max(size[0], 480), size[1]), "white")
        draw = ImageDraw.Draw(part)
        draw.text((2, 1), f"{self.name}, {side.title}", fill="black")
        for place, column in enumerate(columns):
            left, top = place * (SHEET_WIDTH + GAP), head
            for line, text in enumerate(_heading(side, column)):
                marked = text.endswith("*")
                position = (left + 2, SHEET_TEXT * (1 + line) + 1)
                draw.text(position, text, fill="#0b7a3b" if marked else "black")
            for k, height in enumerate(heights):
                part.paste(self._thumbnail(side, column, k), (left, top))
                top += height + GAP
        return part

    def _thumbnail(self, side: Side, column: str, place: int) -> Image.Image:
        with open_image(self._path(side, column, place)) as image:
            height = max(1, round(image.height * SHEET_WIDTH / image.width))
            return image.resize((SHEET_WIDTH, height), Image.Resampling.LANCZOS)


def sheet_epochs(side: Side) -> list[str]:
    """Return at most SHEET_COLUMNS epochs: evenly spaced, the last and the best among them."""
    epochs = list(side.figures)
    if len(epochs) <= SHEET_COLUMNS:
        return epochs
    first_best = [side.best[title] for title in side.titles[:1] if title in side.best]
    spaced = np.linspace(0, len(epochs) - 1, SHEET_COLUMNS - len(first_best)).round()
    chosen = {epochs[int(place)] for place in spaced} | set(first_best)
    return [epoch for epoch in epochs if epoch in chosen]


def _heading(side: Side, column: str) -> list[str]:
    """The lines above a column of the PNG; the best value has a star."""
    if column == "answer":
        return ["true answer"]
    if column == "input":
        return ["input", *(title[:20] for title in side.titles)]
    lines = [f"epoch {column}"]
    for title in side.titles:
        figure = side.figures[column].get(title)
        star = " *" if side.best.get(title) == column else ""
        lines.append("-" if figure is None else number(figure.value) + star)
    return lines
