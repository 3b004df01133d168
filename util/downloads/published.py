"""Files that are published under names: their addresses, mirrors, and records of what has come."""

import argparse
import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, UserError, did_you_mean
from ..files import make_folder, sha256_of, write_text_atomically
from .archives import DiskError
from .transfer import download, remove

HOST = "https://efrosgans.eecs.berkeley.edu"


@dataclass(frozen=True)
class Publication:
    """Files `<base>/<name><ending>`; an environment variable names a mirror in place of `base`."""

    base: str
    ending: str
    variable: str
    names: tuple[str, ...]

    def url(self, name: str, given: str | None = None) -> str:
        """Return the address of a name.

        `given`, else the environment variable, is the address of a folder with the same files, of
        the file itself, or a template with `{name}` for the name.
        """
        place = given or os.environ.get(self.variable) or self.base
        if "{name}" in place:
            return place.replace("{name}", name)
        return place if place.endswith(self.ending) else f"{place.rstrip('/')}/{name}{self.ending}"


def choose(name: str, publications: dict[str, Publication], preferred: str) -> Publication:
    """Return the publication that has a name, the `preferred` one where several do.

    Raises UsageError, with all names, where none has.
    """
    if name in publications[preferred].names:
        return publications[preferred]
    for publication in publications.values():
        if name in publication.names:
            return publication
    known = sorted({name for publication in publications.values() for name in publication.names})
    lists = "\n".join(f"  {title}: {' '.join(p.names)}" for title, p in publications.items())
    problem = f"there is no {name!r}{did_you_mean(name, known)}" if name else "give one name"
    raise UsageError(f"{problem}\nThe names are\n{lists}")


def parser_of_names(
    description: str | None, publications: dict[str, Publication], what: str
) -> argparse.ArgumentParser:
    """Return a parser of the name of one `what`, with --pix2pix and --url; --help has all names."""
    names = "\n".join(f"{title}: {' '.join(p.names)}" for title, p in publications.items())
    parser = argparse.ArgumentParser(
        description=description, epilog=names, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"the name of one {what}")
    both = f"the {what} of pix2pix, where both papers have one of that name"
    parser.add_argument("--pix2pix", action="store_true", help=both)
    place = "address of the file, of a folder of such files, or one with {name}"
    parser.add_argument("--url", help=place)
    return parser


@contextlib.contextmanager
def downloaded(url: str, target: Path, variable: str) -> Iterator[Path]:
    """Download what becomes `target`, and yield the file, which is deleted afterwards.

    Its SHA-256 is compared with that of an earlier download in `<target>.sha256`, and stored there
    once the block ends well. What is left where the download breaks off, the program is stopped or
    the disk is full, `.<target>.part`, is continued by the next one. Raises UserError where
    `target` exists, where the block raises it or cannot write, and as `download` does.
    """
    if os.path.lexists(target):
        raise UserError(f"{target} exists already; remove it to download it again")
    is_new = not target.parent.exists()
    make_folder(target.parent)
    file_name = url.rpartition("/")[2]
    part = target.with_name(f".{target.name}.part")
    try:
        download(url, part)
        digest = sha256_of(part)
    except OSError as error:
        raise UserError(f"cannot write {part}: {error.strerror or error}") from error
    except UserError as error:
        _remove_if_empty(target.parent, is_new)
        raise type(error)(
            f"{error} (or from a mirror: --url, or the variable {variable})"
        ) from error
    record = target.with_name(f"{target.name}.sha256")
    try:
        check_record(record, file_name, digest)
        yield part
    except DiskError as error:
        raise UserError(f"{error}; the same command goes on, as {part} is kept") from error
    except UserError as error:
        remove(part)
        _remove_if_empty(target.parent, is_new)
        raise UserError(f"what came from {url} cannot be used: {error}") from error
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    write_record(record, file_name, digest)
    remove(part)


def _remove_if_empty(folder: Path, is_new: bool) -> None:
    """Remove a new folder without content: in checkpoints it would look like a run."""
    if is_new:
        with contextlib.suppress(OSError):  # it holds what came
            folder.rmdir()


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`, for what is then renamed to it; deleted at the end."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        yield Path(folder)


def read_record(record: Path) -> dict[str, str]:
    """Return file name -> SHA-256, of a file in the format of the program sha256sum."""
    if not record.is_file():
        return {}
    lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def check_record(record: Path, file_name: str, digest: str) -> None:
    """Raise UserError where the record has another SHA-256 of the file."""
    known = read_record(record).get(file_name, digest)
    if known != digest:
        raise UserError(
            f"it is not the file that was downloaded before: its SHA-256 is {digest}, that in "
            f"{record} is {known}. If it was published anew, delete that file and try again"
        )


def write_record(record: Path, file_name: str, digest: str) -> None:
    """Store the SHA-256 of a file beside those of others."""
    digests = {**read_record(record), file_name: digest}
    text = "".join(f"{value}  {name}\n" for name, value in sorted(digests.items()))
    write_text_atomically(record, text)
