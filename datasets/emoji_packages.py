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
#: larger members are not read: pictures are a few kB, the table of emoji about 1 MB
MAX_PICTURE, MAX_TABLE = 2**20, 2**25


@dataclass(frozen=True)
class EmojiPackage:
    """One package: its file, its table of emoji and its PNG files by name."""

    path: Path
    table: list[dict[str, Any]]
    files: dict[str, bytes]

    def picture(self, name: str) -> Image.Image:
        """The emoji on white: RGB, 64 x 64. Raises ProgramError for a file that is no such PNG."""
        try:
            image = Image.open(io.BytesIO(self.files[name]), formats=["PNG"])
            if image.size != (SIDE, SIDE):
                raise ValueError(f"{image.width} x {image.height} pixels, not {SIDE} x {SIDE}")
            colours = image.convert("RGBA")
        except (OSError, SyntaxError, ValueError) as error:
            raise ProgramError(
                f"{self.path}: {name} is not a usable picture ({error}); get the file again"
            ) from error
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, colours).convert("RGB")


def package_name(vendor: str) -> str:
    """Name of the npm package of ``google`` or ``twitter``."""
    return f"emoji-datasource-{vendor}"


def package_path(folder: Path, vendor: str) -> Path:
    """Where ``npm pack`` puts the package."""
    return folder / f"{package_name(vendor)}-{VERSION}.tgz"


def fetch(folder: Path, vendor: str) -> None:
    """Download one package with ``npm pack``. Raises ProgramError without npm or where it fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramError(
            "npm was not found; install Node.js, or give --packages DIR with fetched packages"
        )
    wanted = f"{package_name(vendor)}@{VERSION}"
    result = subprocess.run(
        [npm, "pack", wanted], cwd=folder, capture_output=True, encoding="utf-8", errors="replace"
    )
    if result.returncode != 0 or not package_path(folder, vendor).is_file():
        raise ProgramError(
            f"'npm pack {wanted}' failed ({_npm_reason(result.stderr)});"
            " try again, or give --packages DIR with fetched packages"
        )


def _npm_reason(output: str) -> str:
    """The line of npm's output that says most."""
    lines = re.findall(r"^npm (?:error|ERR!) +(.+)$", output, flags=re.MULTILINE)
    telling = [x for x in lines if not x.startswith(("code ", "A complete log", "errno ", "sys"))]
    return (telling or lines or ["no reason given"])[0].strip()[:160]


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
        found = (about.get("name"), about.get("version"))
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProgramError(
            f"{path}: cannot be read as an npm package ({reason}); get the file again"
        ) from error
    if found != (package_name(vendor), VERSION) or not members or not _is_table(table):
        raise ProgramError(
            f"{path}: this is not {package_name(vendor)} {VERSION}"
            f" with pictures of {SIDE} pixels; get the file again"
        )
    return EmojiPackage(path, table, members)


def _members(path: Path, pictures: str) -> dict[str, bytes]:
    """The two JSON files and the PNG files right under ``pictures``, by their last name."""
    wanted: dict[str, bytes] = {}
    with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
        for member in archive:
            parent, _, name = member.name.rpartition("/")
            is_picture = parent + "/" == pictures and name.endswith(".png")
            is_table = member.name in ("package/package.json", "package/emoji.json")
            limit = MAX_PICTURE if is_picture else MAX_TABLE if is_table else -1
            if not member.isfile() or member.size > limit:
                continue
            stream = archive.extractfile(member)
            if stream is not None:
                wanted[name] = stream.read()
        while unzipped.read(2**20):  # to the end and its check sum: a cut-off file is an error
            pass
    return wanted


def _is_table(table: object) -> bool:
    """Whether this is a list of emoji with their code points and categories."""
    return isinstance(table, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("category"), str)
        and re.fullmatch(r"[0-9A-Fa-f]+(-[0-9A-Fa-f]+)*", str(row.get("unified"))) is not None
        for row in table
    )


def usable_names(google: EmojiPackage, twitter: EmojiPackage) -> list[str]:
    """Sorted file names of the emoji in both packages, without flags and without skin tones."""
    names = set()
    for row in google.table:
        code = row["unified"].lower()
        if row["category"] != "Flags" and SKIN_TONES.isdisjoint(code.split("-")):
            names.add(f"{code}.png")
    return sorted(names & google.files.keys() & twitter.files.keys())
