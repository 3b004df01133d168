"""The npm packages emoji-datasource-google and emoji-datasource-twitter: fetched, read and checked.

The archives are read in memory; nothing in them is unpacked to the disk.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from made_folder import ProgramError
from PIL import Image

VERSION = "16.0.0"
SIDE = 64
SKIN_TONES = frozenset(("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"))
#: larger members are not read: images are a few kB, the table of emoji about 1 MB
MAX_IMAGE, MAX_TABLE = 2**20, 2**25


@dataclass(frozen=True)
class EmojiPackage:
    """One package: its file, its table of emoji and its PNG files by name."""

    path: Path
    table: list[dict[str, Any]]
    files: dict[str, bytes]

    def image(self, name: str) -> Image.Image:
        """Return the emoji on white: RGB, 64 x 64. Raises ProgramError for any other file."""
        try:
            image = Image.open(io.BytesIO(self.files[name]), formats=["PNG"])
            if image.size != (SIDE, SIDE):
                raise ValueError(f"{image.width} x {image.height} pixels, not {SIDE} x {SIDE}")
            colours = image.convert("RGBA")
        except (OSError, SyntaxError, ValueError) as error:
            raise ProgramError(
                f"{self.path}: {name} is not a usable image ({error}); get the file again"
            ) from error
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, colours).convert("RGB")


def package_name(vendor: str) -> str:
    """Return the name of the npm package of ``google`` or ``twitter``."""
    return f"emoji-datasource-{vendor}"


def package_path(folder: Path, vendor: str) -> Path:
    """Return the path that ``npm pack`` gives the package."""
    return folder / f"{package_name(vendor)}-{VERSION}.tgz"


def fetch(folder: Path, vendor: str) -> None:
    """Download one package with ``npm pack``. Raises ProgramError without npm or where it fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramError(
            "npm was not found; install Node.js, or give --packages DIR with fetched packages"
        )
    package = f"{package_name(vendor)}@{VERSION}"
    result = subprocess.run(
        [npm, "pack", package], cwd=folder, capture_output=True, encoding="utf-8", errors="replace"
    )
    if result.returncode != 0 or not package_path(folder, vendor).is_file():
        raise ProgramError(
            f"'npm pack {package}' failed ({_npm_reason(result.stderr)});"
            " try again, or give --packages DIR with fetched packages"
        )


def _npm_reason(output: str) -> str:
    """Return the most informative line of npm's output."""
    lines = re.findall(r"^npm (?:error|ERR!) +(.+)$", output, flags=re.MULTILINE)
    informative = [
        x for x in lines if not x.startswith(("code ", "A complete log", "errno ", "sys"))
    ]
    return (informative or lines or ["no reason given"])[0].strip()[:160]


def read_package(folder: Path, vendor: str) -> EmojiPackage:
    """Read one package. Raises ProgramError where it is missing, damaged or something else."""
    path = package_path(folder, vendor)
    if not path.is_file():
        raise ProgramError(
            f"--packages {folder}: no {path.name} there;"
            f" get it with: npm pack {package_name(vendor)}@{VERSION}",
            code=2,
        )
    try:
        members = _members(path, f"package/img/{vendor}/{SIDE}/")
        about = json.loads(members.pop("package.json", b"{}"))
        table = json.loads(members.pop("emoji.json", b"[]"))
        identity = (about.get("name"), about.get("version"))
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProgramError(
            f"{path}: cannot be read as an npm package ({reason}); get the file again"
        ) from error
    if identity != (package_name(vendor), VERSION) or not members or not _is_table(table):
        raise ProgramError(
            f"{path}: this is not {package_name(vendor)} {VERSION}"
            f" with images of {SIDE} pixels; get the file again"
        )
    return EmojiPackage(path, table, members)


def _members(path: Path, image_folder: str) -> dict[str, bytes]:
    """Read the two JSON files and the PNG files of ``image_folder``, by file name."""
    contents: dict[str, bytes] = {}
    with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
        for member in archive:
            parent, _, name = member.name.rpartition("/")
            is_image = parent + "/" == image_folder and name.endswith(".png")
            is_table = member.name in ("package/package.json", "package/emoji.json")
            limit = MAX_IMAGE if is_image else MAX_TABLE if is_table else -1
            if not member.isfile() or member.size > limit:
                continue
            stream = archive.extractfile(member)
            if stream is not None:
                contents[name] = stream.read()
        while unzipped.read(2**20):  # to the check sum at the end: a truncated file is an error
            pass
    return contents


def _is_table(table: object) -> bool:
    """Return whether this is a list of emoji with their code points and categories."""
    return isinstance(table, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("category"), str)
        and re.fullmatch(r"[0-9A-Fa-f]+(-[0-9A-Fa-f]+)*", str(row.get("unified"))) is not None
        for row in table
    )


def usable_names(google: EmojiPackage, twitter: EmojiPackage) -> list[str]:
    """Return the sorted file names of emoji in both packages without flags and skin tones."""
    names = set()
    for row in google.table:
        code = row["unified"].lower()
        if row["category"] != "Flags" and SKIN_TONES.isdisjoint(code.split("-")):
            names.add(f"{code}.png")
    return sorted(names & google.files.keys() & twitter.files.keys())
