"""The download of one file: resumed where it broke off, tried again where the server is busy."""

import http.client
import json
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..errors import UsageError, UserError

BLOCK = 2**20
"""Bytes that are read at a time."""
TIMEOUT = 60.0
"""Seconds without an answer after which a connection counts as broken."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt, as long as none brings a new byte."""
LONGEST_PAUSE = 120.0
"""Seconds that a server may ask for with Retry-After."""
BUSY = (408, 429, 500, 502, 503, 504)
"""The HTTP status codes after which another attempt may succeed."""
SCHEMES = ("https", "http", "file")

Wait = Callable[[float], object]


class _BrokenError(Exception):
    """An attempt that failed for a reason that may pass; `pause` is what the server asks for."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none from https to an address that anybody on the way can change."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise UserError(f"{req.full_url} redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, part: Path, wait: Wait = time.sleep) -> None:
    """Download `url` into the file `part`, continuing what an earlier call left of it.

    A broken connection is resumed where it broke off, as long as the file on the server is the
    same (HTTP Range with If-Range); a busy server is asked again after a pause, for which `wait` is
    called with its seconds. What tells whether it is the same is in `<part>.json` beside it.
    Raises UsageError for an address that is none, and UserError where the server refuses, where
    `PAUSES` attempts bring nothing new, and where the disk is too small; what has come so far
    stays where another call can continue it.
    """
    if urllib.parse.urlsplit(url).scheme not in SCHEMES:
        raise UsageError(f"{url} is no address: give one that begins with https://")
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part)
        except _BrokenError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures > len(PAUSES):
                raise UserError(
                    f"could not download {url}: {error}; the same command tries again"
                ) from error
            pause = PAUSES[failures - 1] if error.pause is None else error.pause
            sys.stderr.write(f"{error}; next attempt in {pause:g} s\n")
            wait(pause)
        else:
            return


def remove(part: Path) -> None:
    """Delete a download and what is known of it."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _fetch_rest(url: str, part: Path) -> None:
    """Download what is missing of the file. Raises _BrokenError where it is still incomplete."""
    request = urllib.request.Request(url, headers={"User-Agent": "cyclegan-toolkit"})
    start, validator = _left(url, part)
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", validator)
    response = _open(request, part)
    if response is None:
        return
    with response:
        resumed = start > 0 and response.status == 206
        total = _total(response, start, part) if resumed else _length(response)
        if not resumed:
            _note(url, part, response)
        _refuse_small_disk(part, total, start if resumed else 0)
        _copy(response, part, append=resumed, total=total)
    if total is not None and _size(part) != total:
        raise _BrokenError(f"the connection ended after {_size(part)} of {total} bytes")


def _open(request: urllib.request.Request, part: Path) -> Any:
    """Return the server's response, or None where it says that nothing is missing."""
    url = request.full_url
    try:
        return urllib.request.build_opener(_SafeRedirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and request.has_header("Range"):
                if error.headers.get("Content-Range", "").strip() == f"bytes */{_size(part)}":
                    return None
                remove(part)
                raise _BrokenError(
                    "the file on the server is not the one that was begun"
                ) from error
            if error.code in BUSY:
                pause = _retry_after(error.headers.get("Retry-After", ""))
                raise _BrokenError(
                    f"the server answers {error.code} {error.reason}", pause
                ) from error
            raise UserError(
                f"could not download {url}: the server answers {error.code} {error.reason}"
            ) from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        if url.startswith("file:") or isinstance(error.reason, ssl.SSLCertVerificationError):
            raise UserError(f"could not download {url}: {reason}") from error
        raise _BrokenError(f"no connection ({reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(f"no connection ({error or type(error).__name__})") from error


def _copy(response: Any, part: Path, append: bool, total: int | None) -> None:
    shown = 0.0
    with part.open("ab" if append else "wb") as file:
        while True:
            try:
                block = response.read(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                raise _BrokenError(f"the connection broke off ({reason})") from error
            if sys.stderr.isatty() and (not block or time.monotonic() > shown + 0.5):
                shown = time.monotonic()
                of = f" of {total / 1e6:.1f}" if total else ""
                sys.stderr.write(f"\r{file.tell() / 1e6:.1f}{of} MB" + ("" if block else "\n"))
            if not block:
                return
            file.write(block)


def _left(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes can be kept, and the validator of the file that they are of."""
    try:
        note = json.loads(_note_file(part).read_text(encoding="utf-8"))
        if note["url"] == url and note["validator"]:
            return _size(part), str(note["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _note(url: str, part: Path, response: Any) -> None:
    """Store what tells whether the file on the server is still the same."""
    etag = response.headers.get("ETag", "")
    strong = etag and not etag.startswith("W/")  # a weak one holds for similar bytes too
    validator = etag if strong else response.headers.get("Last-Modified", "")
    text = json.dumps({"url": url, "validator": validator})
    part.unlink(missing_ok=True)  # bytes of one file and the validator of another never meet
    _note_file(part).write_text(text, encoding="utf-8")


def _total(response: Any, start: int, part: Path) -> int | None:
    """Return the bytes of the whole file, of a response that should begin at `start`."""
    text = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
    if found is None or int(found[1]) != start:
        remove(part)
        raise _BrokenError(f"the server sent {text or 'an unnamed part'} instead of bytes {start}-")
    return None if found[2] == "*" else int(found[2])


def _length(response: Any) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _retry_after(text: str) -> float | None:
    return min(float(text), LONGEST_PAUSE) if text.isascii() and text.isdigit() else None


def _refuse_small_disk(part: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise UserError(
            f"{part.parent}: the download needs {(total - have) / 1e9:.1f} GB and the disk has "
            f"{free / 1e9:.1f} GB left; make room or choose a folder on another disk"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _note_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
