"""Figures as a table for people and as plain values for programs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .figures import METRICS, Figure, best_by_title

WIDTH = 100
UNTRANSLATED = "untranslated"
"""The row of the inputs themselves: what a translation has to beat."""

Figures = Mapping[str, Figure]
"""By their titles."""


@dataclass
class Comparison:
    """The figures of several epochs, or of one folder, in one direction."""

    title: str
    size: str
    """How images were brought to size."""
    figures: dict[str, Figures] = field(default_factory=dict)
    """By epoch; UNTRANSLATED is none."""

    @property
    def titles(self) -> list[str]:
        """Of all figures, in the order of METRICS."""
        found = {
            title: figure.metric for row in self.figures.values() for title, figure in row.items()
        }
        return sorted(found, key=lambda title: list(METRICS).index(found[title]))

    @property
    def best(self) -> dict[str, str]:
        """Title -> the best epoch, where there are several and they differ."""
        epochs = {key: row for key, row in self.figures.items() if key != UNTRANSLATED}
        return best_by_title(epochs)


def table(comparison: Comparison) -> str:
    """A line for each figure and a column for each epoch, in blocks that fit the console.

    The best epoch of a figure is marked with a star; below stands the protocol of each figure.
    """
    columns = list(comparison.figures)
    lines = _lines(comparison, columns)
    left = max(len(line[0]) for line in lines)
    widths = [max(len(line[place]) for line in lines) + 2 for place in range(1, len(columns) + 1)]
    text = [f"{comparison.title}; images in {comparison.size}"]
    begin = 0
    while begin < len(columns):
        end = begin + 1
        while end < len(columns) and left + sum(widths[begin : end + 1]) <= WIDTH:
            end += 1
        for line in lines:
            cells = zip(line[1 + begin : 1 + end], widths[begin:end], strict=True)
            text.append(
                (line[0].ljust(left) + "".join(cell.rjust(w) for cell, w in cells)).rstrip()
            )
        text.append("")
        begin = end
    return "\n".join([*text, *_protocols(comparison)])


def _lines(comparison: Comparison, columns: list[str]) -> list[list[str]]:
    """Cells: a heading, then each figure, KID with a second line for its spread."""
    lines = [["", *(f"{column} " for column in columns)]]
    for title in comparison.titles:
        figures = [comparison.figures[column].get(title) for column in columns]
        marks = ["*" if comparison.best.get(title) == column else " " for column in columns]
        shown = ["-" if figure is None else number(figure.value) for figure in figures]
        lines.append([title, *(value + mark for value, mark in zip(shown, marks, strict=True))])
        if any(figure is not None and figure.spread is not None for figure in figures):
            spreads = (figure.spread if figure else None for figure in figures)
            cells = ("- " if s is None else f"{number(s)} " for s in spreads)
            lines.append(["  standard deviation", *cells])
    return lines


def _protocols(comparison: Comparison) -> list[str]:
    titles: dict[str, list[str]] = {}
    keys = sorted(comparison.figures, key=lambda key: key == UNTRANSLATED)  # the last resort
    for title in comparison.titles:
        rows = (comparison.figures[key] for key in keys)
        figure = next(row[title] for row in rows if title in row)
        better = "higher" if figure.higher_is_better else "lower"
        titles.setdefault(f"{figure.protocol}; {better} is better", []).append(title)
    lines = [f"{', '.join(named)}: {protocol}" for protocol, named in titles.items()]
    return [*lines, "* the best of these epochs"] if comparison.best else lines


def number(value: float) -> str:
    """Four significant digits, no exponent for what is near 0."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) < 1:
        return f"{value:.4f}"
    return f"{value:.{max(0, 3 - int(math.log10(abs(value))))}f}"


def plain(comparison: Comparison) -> dict[str, Any]:
    """For JSON, which knows no infinity: the PSNR of equal images is null."""
    rows = {
        key: {title: plain_figure(figure) for title, figure in row.items()}
        for key, row in comparison.figures.items()
    }
    size = comparison.size
    return {"title": comparison.title, "size": size, "figures": rows, "best": comparison.best}


def plain_figure(figure: Figure) -> dict[str, Any]:
    """Return a figure as plain values for JSON, an infinite or undefined one as None."""
    value = figure.value if math.isfinite(figure.value) else None
    found = {**vars(figure), "value": value, "higher_is_better": figure.higher_is_better}
    return {key: value for key, value in found.items() if key != "spread" or value is not None}
