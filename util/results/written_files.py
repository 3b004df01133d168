"""What results may replace: files that an earlier translation wrote, never an input."""

import os
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError, UserError
from ..files import identity, make_folder, sha256_of

NAME = ".translated"
"""The file in `--output` that lists the results there, with the SHA-256 of each."""
HEAD = "# SHA-256 of the files that 02_inference.py wrote to this folder"
"""Its first line; the others are as `sha256sum` writes them."""


class WrittenFiles:
    """The files that translations wrote to a folder; none other is replaced without `overwrite`.

    A file belongs to them where its name and its content are listed, so that neither a file that
    was there before nor one that the user has put in the place of a result is lost.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder, self.overwrite, self.list = folder, overwrite, folder / NAME
        self._lock = threading.Lock()
        self._lines: set[str] = set()
        if os.path.lexists(self.list):
            self._lines.update(self._read())

    def refuse_foreign(self, paths: Iterable[Path]) -> None:
        """Raise UsageError where one of the paths is a file that is not listed."""
        if self.overwrite:
            return
        foreign = [path for path in paths if self.is_foreign(path)]
        if foreign:
            more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            raise UsageError(
                f"--output {self.folder}: {foreign[0]}{more} exists, and {self.list} does not list "
                "it as a result: choose another folder, or replace such files with --overwrite"
            )

    def add(self, path: Path, sha256: str) -> None:
        """List a file that is about to be written.

        Before, not after, as an interrupted run could not replace its own result then. Raises
        UserError where the list cannot be written.
        """
        line = self._line(path, sha256)
        with self._lock:
            if line in self._lines:
                return
            make_folder(self.folder)
            if not self.list.exists():
                self._append(HEAD)
            self._append(line)
            self._lines.add(line)

    def is_foreign(self, path: Path) -> bool:
        """Return whether a path exists and is not a file that is listed."""
        try:
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):  # a link, for instance, which is replaced itself
                return True
            digest = sha256_of(path)
        except FileNotFoundError:
            return False
        except OSError:
            return os.path.lexists(path)  # what cannot be read is not ours
        return self._line(path, digest) not in self._lines

    def _line(self, path: Path, sha256: str) -> str:
        name = path.relative_to(self.folder).as_posix()
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"{'' if escaped == name else chr(92)}{sha256}  {escaped}"

    def _read(self) -> list[str]:
        """Return the lines. Raises UserError where another program's file has that name."""
        try:
            if stat.S_ISREG(self.list.lstat().st_mode):
                lines = self.list.read_bytes().decode(errors="surrogateescape").split("\n")
                if lines[0] in (HEAD, ""):
                    return lines[1:]
        except OSError as error:
            raise UserError(f"cannot read {self.list} ({error.strerror})") from error
        raise UserError(
            f"{self.list} is not the list of results that 02_inference.py writes: move it away, or "
            "choose another --output"
        )

    def _append(self, line: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NOFOLLOW", 0)  # it could be a link to a file of the user
        try:
            file = os.open(self.list, flags, 0o666)
            try:
                # in one call, as other processes may add lines too
                os.write(file, f"{line}\n".encode(errors="surrogateescape"))
            finally:
                os.close(file)
        except OSError as error:
            raise UserError(f"cannot write {self.list}: {error.strerror}") from error


def refuse_inputs(targets: Iterable[Path], inputs: Iterable[str]) -> None:
    """Raise UsageError where a result is to be written to a file that is an input.

    Files are compared by device and inode: links, and folders that are mounted twice, give one file
    several paths.
    """
    existing = {_identity(path): path for path in targets}
    existing.pop(None, None)
    if not existing:
        return
    for source in inputs:
        target = existing.get(_identity(source))
        if target is not None:
            raise UsageError(
                f"--output or --results_dir: the result {target} would overwrite the input {source}"
                "; choose another folder"
            )


def _identity(path: str | Path) -> tuple[int, int] | str | None:
    try:
        return identity(path)
    except OSError:
        return None
