"""Unpacking zip and tar files from elsewhere: what could do harm is refused, before or while."""

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import UserError

MAX_RATIO = 100
"""Images hardly compress: an archive that grows by more than this factor is a bomb."""
RATIO_FROM = 2**28
"""Bytes up to which an archive may grow by any factor."""
MAX_MEMBERS = 5_000_000
RESERVE = 2**28
"""Bytes of the disk that stay free."""
SECTOR = 4096
"""Bytes of the disk that even an empty file takes, about."""
BLOCK = 2**20
WINDOWS = os.name == "nt"
NOT_ON_WINDOWS = str.maketrans('<>:"|?*', "_______")
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error),
    *(EOFError, NotImplementedError, RuntimeError, UnicodeError, ValueError),
)
"""What the standard library raises for archives that are damaged, encrypted or unknown to it."""
DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
DISK_ERRORS |= {getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What a user can mend so that the same archive is unpacked."""


class DiskError(UserError):
    """What the disk cannot hold; the archive may be whole."""


@dataclass
class _Budget:
    """Bytes and files that an archive may still make, and those that the disk holds."""

    archive: Path
    bytes_left: int
    files_left: int
    free: int

    def take(self, count: int, files: int = 0) -> None:
        """Raise UserError where so many bytes and files are more than there may be.

        Where it is the disk that does not hold them, that is a DiskError.
        """
        self.bytes_left -= count
        self.files_left -= files
        self.free -= count + files * SECTOR
        if self.bytes_left < 0 or self.files_left < 0:
            raise UserError(
                f"{self.archive.name} would unpack to more than images can ({MAX_RATIO} times its "
                "size): it is refused"
            )
        if self.free < 0:
            raise DiskError(
                f"{self.archive.name} would unpack to more than the disk holds: free some of it"
            )


class _Counted:
    """A file of which no more is read than the budget allows, as a tar file tells no total."""

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        self._file, self._budget = file, budget

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._budget.take(len(block))
        return block


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file (plain or gzip) into a new folder, or not at all.

    Raises UserError where it is neither or not whole, where a name leads out of the folder or
    occurs twice, where it holds links or devices, and where it would unpack to more than
    `MAX_RATIO` times its size or `MAX_MEMBERS` files; DiskError where the disk cannot hold it.
    """
    folder.mkdir()
    try:
        _unpack(archive, folder)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _unpack(archive: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        else:
            _unpack_tar(archive, folder)
    except UserError:
        raise
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of the archive
            path, of_disk = error.filename or folder, error.errno in DISK_ERRORS
            kind = DiskError if of_disk else UserError
            raise kind(f"cannot unpack {archive.name} to {path}: {error.strerror}") from error
        raise UserError(f"{archive.name} is not a whole zip or tar file ({error})") from error


def _budget(archive: Path, folder: Path) -> _Budget:
    free = shutil.disk_usage(folder).free - RESERVE
    by_ratio = max(RATIO_FROM, MAX_RATIO * archive.stat().st_size)
    return _Budget(archive, by_ratio, MAX_MEMBERS, free)


def _unpack_zip(archive: Path, folder: Path) -> None:
    budget = _budget(archive, folder)
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        budget.take(sum(member.file_size for member in members), len(members))
        for member in members:  # all of them before the first is written
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UserError(f"{archive.name} holds a link or device ({member.filename!r})")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{archive.name} is compressed in a rare way; unpack it by hand")
            _inside(folder, member.filename, archive)
        actual = _budget(archive, folder)  # the sizes that are declared may be wrong
        for member in members:
            path = _inside(folder, member.filename, archive)
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            with file.open(member) as source:
                _write(source, path, actual)


def _unpack_tar(archive: Path, folder: Path) -> None:
    budget = _budget(archive, folder)
    written = _budget(archive, folder)
    with _decompressed(archive) as plain:
        counted = _Counted(plain, budget)
        with tarfile.open(fileobj=counted, mode="r|") as file:  # type: ignore[call-overload]
            for member in _members(file):
                written.take(0, files=1)
                path = _inside(folder, member.name, archive)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                elif member.isreg() and (source := file.extractfile(member)) is not None:
                    _write(source, path, written)
                else:
                    raise UserError(f"{archive.name} holds a link or device ({member.name!r})")
        while counted.read(BLOCK):  # to the check sum at the end: a part of a file is an error
            pass


def _members(file: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := file.next()) is not None:
        vars(file)["members"] = []  # which would keep millions of them
        yield member


def _decompressed(archive: Path) -> Any:
    """Return the tar file inside the compression by gzip, else the file itself."""
    with archive.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(archive) if compressed else archive.open("rb")


def _inside(folder: Path, name: str, archive: Path) -> Path:
    """Return the path of a member. Raises UserError where it is outside of the folder.

    On Windows signs that no file name may have there become `_`, as other programs have it.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise UserError(f"{archive.name} holds a file outside of its folder ({name!r})")
    parts = [part.translate(NOT_ON_WINDOWS) if WINDOWS else part for part in pure.parts]
    return folder.joinpath(*parts)


def _write(source: IO[bytes], path: Path, budget: _Budget) -> None:
    """Write a member into a new file; its permissions are those of any new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as target:
        while block := source.read(BLOCK):
            budget.take(len(block))
            target.write(block)
