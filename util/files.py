"""Writing files and lines whole or not at all, making folders, listing them for messages."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import UserError, printable

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.6)
"""Seconds between attempts to rename a file: 2 in all, as scanners release a small file within some
tenths and a file of weights within seconds."""
MAX_LINE = 2**16
"""Bytes of a line that are read at once: what a crash leaves need not have line feeds."""
SCANNERS_LOCK_FILES = os.name == "nt"
"""Whether renaming a file may fail since another program reads it."""


def write_atomically(
    path: Path, write: Callable[[BinaryIO], object], durable: bool = False
) -> None:
    """Call `write(file)` on a temporary file in the same folder, then rename it to `path`.

    A reader sees the old file or the new one, never a part. `durable` flushes the file to disk
    before the rename, so that this holds through a power failure too. Raises UserError where the
    disk is full or the folder cannot be written; the old file is then untouched.
    """
    # machines that share a folder may have equal numbers of processes
    writer = f"{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
    # a thread writes one file at a time, so that a long name need not be whole
    temporary = path.with_name(f".{clipped(path.name, 100)}.{writer}.tmp")
    try:
        file = temporary.open("wb")
        try:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):  # it tries to write the rest, and the first error matters
                file.close()
            raise
        file.close()
        replace_file(temporary, path)
        if durable:
            _flush_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save raises the latter for the former
        raise UserError(
            f"cannot write {path}: {_reason(error)}; a file of that name is untouched"
        ) from error
    finally:
        with suppress(OSError):  # a read-only disk, say, which is the reason of the first error
            temporary.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    """Return what the system says of an error, also where torch.save raises its own after it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return str(error).split("\n")[0]


class LineFile:
    """A text file (UTF-8) to whose end lines are appended, each whole or not at all.

    A last line that a crash has left without its line feed gets one. Raises OSError where the file
    cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = ""
        self._cut_at: int | None = None
        """The size of the file before the line that could not be written, or only in part."""
        if path.is_file() and path.stat().st_size > 0:
            with path.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def append(self, *lines: str) -> None:
        """Append lines, all or none; after an OSError the same call may be made again.

        The lines that were appended last are not appended again: a record that goes to two files
        is sent again to both where one of them has failed.
        """
        text = "".join(f"{line}\n" for line in lines)
        if text == self._last:
            return
        with self.path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if self._cut_at is not None and size > self._cut_at:
                file.truncate(self._cut_at)
                size = self._cut_at
            self._cut_at = size
            left = memoryview(text.encode(errors="replace"))
            while left:
                left = left[file.write(left) :]
        self._last, self._cut_at = text, None


def lines_from_end(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file from the last to the first, each with the offset behind its end.

    What follows the last line feed is left out. A line of more than 64 KB may lack its end. Raises
    OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        begin = file.seek(0, os.SEEK_END)
        rest, behind = b"", -1  # the line that begins in an earlier block; -1: it has no line feed
        while begin > 0:
            size = min(MAX_LINE, begin)
            begin -= size
            file.seek(begin)
            *lines, last = file.read(size).split(b"\n")
            if not lines:
                rest = (last + rest)[:MAX_LINE]
                continue
            if behind >= 0:
                yield behind, last + rest
            behind = begin + size - len(last)
            for line in reversed(lines[1:]):
                yield behind, line
                behind -= len(line) + 1
            rest = lines[0]
        if behind >= 0:
            yield behind, rest


def clipped(text: str, max_bytes: int) -> str:
    """Return the beginning of a file name, in at most so many bytes on disk."""
    while len(os.fsencode(text)) > max_bytes:
        text = text[:-1]
    return text


def replace_file(source: Path, target: Path) -> None:
    """Rename `source` to `target`, whose place it takes.

    On Windows a virus scanner may hold one of them open for a moment, which is a PermissionError:
    the rename is tried again, after `PAUSES`, before that is raised. On other systems such an error
    does not pass.
    """
    for pause in PAUSES if SCANNERS_LOCK_FILES else ():
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.replace(target)


def _flush_folder(folder: Path) -> None:
    """Make a rename in the folder durable, which Windows cannot."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_half_written(folder: Path) -> None:
    """Delete the temporary files that `write_atomically` left when its process was killed.

    Those of the threads of this process stay.
    """
    process = f"{socket.gethostname()}.{os.getpid()}"
    own = tuple(f".{process}.{thread.ident}.tmp" for thread in threading.enumerate())
    for path in folder.glob(".*.tmp"):
        if not path.name.endswith(own):
            path.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_atomically` does; what is no Unicode becomes `?`."""
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises UserError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {folder} ({error.strerror or error}); choose another folder"
        ) from error


def identity(path: str | Path) -> tuple[int, int] | str:
    """Return what all paths to one file or folder have in common. Raises OSError where none is.

    That is its device and inode, or the real path where a file system gives no inodes, as some
    network shares on Windows.
    """
    found = os.stat(path)  # noqa: PTH116 - once per image
    inode = (found.st_dev, found.st_ino)
    return inode if found.st_ino else os.path.normcase(os.path.realpath(path))


def list_folder(folder: Path, pattern: str = "*", max_names: int = 12) -> str:
    """Return what a folder holds, in at most `max_names` names, as a phrase of an error message."""
    if not folder.is_dir():
        return f"{folder} does not exist"
    names = sorted(path.name for path in folder.glob(pattern) if not path.name.startswith("."))
    if not names:
        return f"{folder} holds no {pattern}" if pattern != "*" else f"{folder} is empty"
    more = f", ... ({len(names)} in all)" if len(names) > max_names else ""
    return f"{folder} holds: {', '.join(map(printable, names[:max_names]))}{more}"


def file_version(path: str) -> tuple[str | int, ...]:
    """Return what changes where the bytes of a file may have changed: its path, size and times."""
    stat = os.stat(path)  # noqa: PTH116 - once per item
    # st_ctime_ns too, since tar, cp -p and rsync -t set the modification time back
    return os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns  # noqa: PTH100


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
