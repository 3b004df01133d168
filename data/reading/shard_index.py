"""How many images each tar shard holds: from the index beside the shards, or counted.

`trainA-index.json` belongs to the shards `trainA-000000.tar`, `trainA-000001.tar`, ... It is a
shard list as the WebDataset tools write it: `{"wids_version": 1, "shardlist": [{"url": ...,
"nsamples": ..., "filesize": ..., "blake2b": ...}, ...]}`, of which the last two are optional.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.files import write_text_atomically
from util.programs import words_of

from .shard_streams import FAILURES, import_webdataset, is_image_member

COMMAND = " ".join([*words_of("scripts/pack_shards.py"), "--index"])
BLOCK = 2**20


@dataclass(frozen=True)
class Shard:
    """A tar file behind a path, a URL or `pipe:` and a command.

    `content` identifies what it holds, or is empty where that is not known.
    """

    url: str
    images: int
    content: str = ""


def is_local(url: str) -> bool:
    """Return whether a shard is a file whose images can be read in any order."""
    return url.endswith(".tar") and "://" not in url and not url.startswith(("pipe:", "file:"))


def with_slashes(place: str) -> str:
    """Return a path or pattern of shards with `/` in place of `\\`, which Windows takes for it."""
    return place.replace("\\", "/") if os.name == "nt" else place


def members(path: str | Path) -> list[tarfile.TarInfo]:
    """Return the images of a tar file in their order. Raises UserError where it is damaged."""
    try:
        with tarfile.open(path, "r:") as tar:
            return [entry for entry in tar if entry.isreg() and is_image_member(entry.name)]
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"cannot read the shard {path} ({reason}); copy or pack it again"
        ) from error


def describe(path: Path) -> dict[str, Any]:
    """Return the entry of a local shard in an index; reads the whole file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    size = path.stat().st_size
    entry = {"url": path.name, "nsamples": len(members(path)), "filesize": size}
    return {**entry, "blake2b": digest.hexdigest()}


def write_index(path: Path, shards: Sequence[Path]) -> int:
    """Write the index of local shards; return the number of their images."""
    entries = [describe(shard) for shard in shards]
    text = json.dumps({"wids_version": 1, "shardlist": entries}, indent=1)
    write_text_atomically(path, text + "\n")
    return sum(entry["nsamples"] for entry in entries)


def index_place(pattern: str) -> str:
    """Return the place of the index: `A-{000..063}.tar` and `A-007.tar` have `A-index.json`.

    In a command and in the path of a URL too; compressed tar files count, `A-{000..063}.tar.gz`.
    """
    tar = r"(\{[^{}]*\}|\d+)?\.(?:tar|tgz)(?:\.\w+)?(?!\w)"
    return re.sub(tar, lambda found: f"{'' if found[1] else '-'}index.json", pattern, count=1)


def read_index(place: str) -> dict[str, Shard] | None:
    """Return the shards of an index by file name, or None where there is no such local file.

    Raises UserError where the index is damaged, or cannot be fetched.
    """
    try:
        if _has_scheme(place):
            with import_webdataset().gopen(place) as file:
                text = file.read()
        elif not Path(place).is_file():
            return None
        else:
            text = Path(place).read_bytes()
        entries = json.loads(text)["shardlist"]
        shards = (Shard(e["url"], int(e["nsamples"]), _content(e)) for e in entries)
        return {_file_name(shard.url): shard for shard in shards}
    except (*FAILURES, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot read {place} ({reason}), which says how many images each shard holds: "
            f"write it where the shards are local ({COMMAND}) and store it beside them"
        ) from error


def count_local(urls: Sequence[str]) -> list[Shard]:
    """Return local shards, counted; some seconds for 100,000 images on a local disk."""
    return [Shard(url, len(members(url))) for url in urls]


def join_index(urls: Sequence[str], index: dict[str, Shard], place: str) -> list[Shard]:
    """Return the shards of these URLs as the index describes them.

    Raises UserError where it does not list one, or where a local one has another size.
    """
    shards = []
    for url in urls:
        entry = index.get(_file_name(url))
        if entry is None:
            raise UserError(f"{place} does not list {url}: write it again with {COMMAND}")
        size = entry.content.partition("-")[0]
        if is_local(url) and size and str(_size(url)) != size:
            raise UserError(
                f"{url} has another size than {place} says: copy the shard again, or, where it was "
                f"changed on purpose, write the index again with {COMMAND}"
            )
        shards.append(Shard(url, entry.images, entry.content))
    return shards


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise UserError(f"--dataroot: cannot read the shard {path} ({error.strerror})") from error


def _content(entry: dict[str, Any]) -> str:
    parts = (entry.get(name, "") for name in ("filesize", "blake2b"))
    return "-".join(map(str, parts)).strip("-") if entry.get("filesize") else ""


def _has_scheme(place: str) -> bool:
    return "://" in place or place.startswith(("pipe:", "file:"))


def _file_name(url: str) -> str:
    """Return `A-000.tar` for a path, a URL or a command that ends with or holds such a name."""
    names = re.findall(r"[^/\\\s'\"=?&]+\.t(?:ar|gz)(?:\.\w+)?", url)
    return names[-1] if names else url
