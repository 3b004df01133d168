"""The folders of generated data sets, and what both programs that generate them share.

A marker file in the folder stores the settings and, once complete, the number of images. So an
incomplete folder is generated again, and one with files from elsewhere is never touched.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = ("trainA", "trainB", "testA", "testB")
OF_SYSTEMS = ("Thumbs.db", "desktop.ini")
"""Files that Windows puts into folders, beside hidden ones of all systems."""


class ProgramError(Exception):
    """A mistake that the user can correct; ``code`` is the exit status of the program."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class MadeFolder:
    """A data set folder with its ``marker`` file; ``names`` matches the names of its images."""

    root: Path
    marker: str
    names: re.Pattern[str]
    settings: dict[str, Any]

    def is_complete(self) -> bool:
        """Return whether the folder holds all images of exactly these settings."""
        state = self._state()
        return state == {"settings": self.settings, "pictures": self.count()}

    def check(self) -> None:
        """Raise ProgramError where the folder holds a file that this program did not make."""
        if self.root.exists() and not self.root.is_dir():
            raise ProgramError(f"--out {self.root}: this is a file; choose another --out")
        foreign = self._foreign()
        if foreign is not None:
            raise ProgramError(
                f"--out {self.root}: the folder holds other files ({foreign}); choose another --out"
            )

    def begin(self) -> None:
        """Create the folder, or empty one that this program made; raises ProgramError as check."""
        self.check()
        self.root.mkdir(parents=True, exist_ok=True)
        self._write({"settings": self.settings, "pictures": None})
        for phase in PHASES:
            (self.root / phase).mkdir(exist_ok=True)
            for image in _files(self.root / phase):
                image.unlink()

    def finish(self) -> None:
        """Mark the folder as complete, after all images are written."""
        self._write({"settings": self.settings, "pictures": self.count()})

    def count(self) -> dict[str, int]:
        """Return the number of images of each phase; 0 where its folder does not exist."""
        return {phase: len(_files(self.root / phase)) for phase in PHASES}

    def _write(self, state: dict[str, Any]) -> None:
        text = json.dumps(state, indent=2, sort_keys=True) + "\n"
        temporary = self.root / f".{self.marker}.tmp"  # a full disk must leave the old marker whole
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(self.root / self.marker)

    def _state(self) -> dict[str, Any] | None:
        """Return the content of the marker file; None without a readable one."""
        try:
            state = json.loads((self.root / self.marker).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return state if isinstance(state, dict) and "settings" in state else None

    def _foreign(self) -> str | None:
        """Return the name of a file that this program did not make, or None."""
        entries = _files(self.root)
        ours = self._state() is not None
        for entry in entries:
            if not ours or (entry.name != self.marker and entry.name not in PHASES):
                return entry.name
        for phase in PHASES:
            for image in _files(self.root / phase):
                if not self.names.fullmatch(image.name) or image.is_dir():
                    return f"{phase}/{image.name}"
        return None


def _files(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without what systems put there, such as .DS_Store."""
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if path.name not in OF_SYSTEMS)
    return sorted(path for path in paths if not path.name.startswith("."))


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a type for argparse: an integer from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def plain(text: object) -> str:
    """Return ``text`` in ASCII, for consoles that print nothing else."""
    return str(text).encode("ascii", "backslashreplace").decode("ascii")
