"""Writing files whole or not at all, making folders, and listing them for error messages."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import UserError, printable

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.6)
"""Seconds between attempts to rename a file: 2 in all, as scanners release a small file within some
tenths and a file of weights within seconds."""
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
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        replace_file(temporary, path)
        if durable:
            _flush_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save raises the latter for the former
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        raise UserError(
            f"cannot write {path}: {reason}; a file of that name is untouched"
        ) from error
    finally:
        with suppress(OSError):  # which a read-only disk raises even where there is no such file
            temporary.unlink(missing_ok=True)


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
    """Delete the temporary files that `write_atomically` left when its process was killed."""
    for path in folder.glob(".*.tmp"):
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


def list_folder(folder: Path, pattern: str = "*", max_names: int = 12) -> str:
    """Return what a folder holds, in at most `max_names` names, as a phrase of an error message."""
    if not folder.is_dir():
        return f"{folder} does not exist"
    names = sorted(path.name for path in folder.glob(pattern) if not path.name.startswith("."))
    if not names:
        return f"{folder} holds no {pattern}" if pattern != "*" else f"{folder} is empty"
    more = f", ... ({len(names)} in all)" if len(names) > max_names else ""
    return f"{folder} holds: {', '.join(map(printable, names[:max_names]))}{more}"
