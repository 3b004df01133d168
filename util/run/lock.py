"""The lock that keeps two trainings from running under one name."""

import contextlib
import errno
import logging
import os
import socket
import sys
from argparse import Namespace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .. import sharing
from ..errors import UserError
from ..files import make_folder

log = logging.getLogger(__name__)

LOCKED_BYTE = 2**20
"""An offset behind the text that names the owner: Windows lets nobody read a locked byte."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""The errors of file systems without locks (some network file systems)."""


class RunLock:
    """A lock of the operating system on `<checkpoints_dir>/.<name>.lock`, as a context manager.

    The lock belongs to the process: it is released when the process ends, however that happens,
    and worker processes do not inherit it. The file is beside the folder of the run, since that
    folder may be moved aside meanwhile, and is deleted at the end.

    Raises UserError where another training of that name is running. Of several processes rank 0
    has the lock.
    """

    def __init__(self, opt: Namespace) -> None:
        self.name: str = opt.name
        self.folder = Path(opt.checkpoints_dir)
        self.path = self.folder / f".{opt.name.replace('/', '+')}.lock"
        self._file: BinaryIO | None = None
        self._made_folder = False

    def __enter__(self) -> "RunLock":
        sharing.on_main(self._enter)
        return self

    def _enter(self) -> None:
        self._made_folder = not self.folder.exists()
        make_folder(self.folder)
        try:
            while self._file is None:
                self._file = self._try_to_lock()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise UserError(f"--checkpoints_dir: cannot lock {self.path}: {error}") from error
            log.warning(
                "%s is on a file system without locks: do not start a second training named %s",
                self.folder,
                self.name,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                if os.name == "nt":  # where an open file cannot be deleted
                    self._file.close()
                self.path.unlink()
            self._file.close()
        if self._made_folder:
            with contextlib.suppress(OSError):  # not empty, unless the run failed early
                self.folder.rmdir()

    def _try_to_lock(self) -> BinaryIO | None:
        """Return the locked file, or None where its former owner has just deleted it.

        Raises UserError where another process has the lock.
        """
        file = self.path.open("a+b")
        try:
            if not _lock(file):
                file.seek(0)
                owner = file.read(200).decode(errors="replace")
                raise UserError(
                    f"--name {self.name}: another training of that name is running ({owner}); "
                    "wait for it or stop it, or choose another --name"
                )
            if not self.path.exists() or not os.path.samestat(
                self.path.stat(), os.fstat(file.fileno())
            ):
                file.close()
                return None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            file.flush()
        except BaseException:
            file.close()
            raise
        return file


def _lock(file: BinaryIO) -> bool:
    """Lock a byte of an open file for this process; returns False where another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # belongs to the process, unlike flock, whose locks worker processes inherit
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCKED_BYTE)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
