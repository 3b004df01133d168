"""Images of tar shards that can only be read from the start: pipes, web and object stores."""

import logging
import os
import subprocess
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from util.errors import DataError, UserError

from ..image_folder import is_image_file

log = logging.getLogger(__name__)

PAUSES = (1.0, 5.0)
"""Seconds before a shard that failed is opened again, each time."""
FAILURES = (OSError, EOFError, ValueError, ImportError, tarfile.TarError, zlib.error)
"""What a command, a connection or a damaged archive raises."""


def import_webdataset() -> Any:
    """Import the package; raises UserError with the command that installs it."""
    try:
        import webdataset
        import webdataset.shardlists
        import webdataset.tariterators
    except ImportError:
        raise UserError(
            "--dataset_mode shards needs the package webdataset: pip install webdataset"
        ) from None
    return webdataset


def is_image_member(name: str) -> bool:
    """Return whether a file in a shard is an image; all others are left out."""
    return is_image_file(name) and not name.rpartition("/")[2].startswith(".")


class ShardStreams:
    """Shards that this process reads at the moment, at most `limit`, each from its start.

    Images that were passed while another was looked for stay in memory while they are among the
    last `window`. Any image can be read at any time; one that was passed earlier costs reading its
    shard from the start again. A worker process that is forked or spawned has its own streams.
    """

    def __init__(self, window: int, limit: int) -> None:
        self.window, self.limit = window, limit
        self._forget()
        _ALL.add(self)

    def _forget(self) -> None:
        self._open: list[_Stream] = []  # the one that was used last is the last
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[int, int]:
        return self.window, self.limit

    def __setstate__(self, state: tuple[int, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def read(self, url: str, position: int) -> bytes:
        """Return the file of the image at a position, from 0, of the shard behind a URL.

        A shard that fails is opened again, after a pause, before DataError is raised.
        """
        with self._lock:
            for pause in (*PAUSES, None):
                try:
                    return self._read(url, position)
                except FAILURES as error:
                    reason = " ".join(str(error).split()) or type(error).__name__
                    if pause is None:
                        raise DataError(
                            f"cannot read image {position} of the shard {url} ({reason}); once it "
                            "can be read, --continue_train resumes the run"
                        ) from error
                    log.warning("reading %s again in %g s (%s)", url, pause, reason)
                    time.sleep(pause)
        raise AssertionError

    def _read(self, url: str, position: int) -> bytes:
        stream = self._stream_for(url, position)
        self._open.append(stream)
        while len(self._open) > self.limit:
            self._open.pop(0).close()
        try:
            return stream.take(position)
        except FAILURES:
            self._open.remove(stream)
            stream.close()
            raise

    def _stream_for(self, url: str, position: int) -> "_Stream":
        """Return the stream that has the image, else the one that comes to it first, else new."""
        streams = [stream for stream in self._open if stream.url == url]
        having = [stream for stream in streams if position in stream.passed]
        before = [stream for stream in streams if stream.next <= position]
        if not having and not before:
            return _Stream(url, self.window)
        stream = having[0] if having else max(before, key=lambda stream: stream.next)
        self._open.remove(stream)
        return stream


class _Stream:
    """A shard that is being read from its start; `next` is the position of its next image."""

    def __init__(self, url: str, window: int) -> None:
        webdataset = import_webdataset()
        self.url, self.window, self.next = url, window, 0
        self.passed: dict[int, bytes] = {}
        self.file: Any = webdataset.gopen(url)
        self._images: Iterator[dict[str, Any]] = webdataset.tariterators.tar_file_iterator(
            self.file, skip_meta=None, select_files=is_image_member
        )

    def take(self, position: int) -> bytes:
        while self.next <= position:
            image = next(self._images, None)
            if image is None:
                raise EOFError(f"it ends after {self.next} images")
            self.passed[self.next] = image["data"]
            self.next += 1
            self.passed.pop(self.next - 1 - self.window, None)
        return self.passed.pop(position)

    def close(self) -> None:
        with suppress(OSError, subprocess.TimeoutExpired):
            if hasattr(self.file, "proc"):
                self.file.proc.terminate()  # a command that waits for data would not end by itself
            self.file.close()


_ALL: WeakSet[ShardStreams] = WeakSet()


def _forget_all() -> None:
    """Close, in a forked worker, the streams of the process that forked it.

    The worker would move them, and a command that the other process is done with would not end.
    """
    for streams in _ALL:
        streams._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
