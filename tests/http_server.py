"""An HTTP server in a thread that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"one"'


@dataclass
class Answers:
    """What the server sends for every path; `requests` collects the Range header of each."""

    content: bytes
    #: for each request in turn the bytes after which it breaks off; then no more
    breaks: list[int] = field(default_factory=list)
    #: status codes that come before the content, each with its headers
    errors: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    knows_ranges: bool = True
    etag: str = ETAG
    #: added to the Content-Length
    lie: int = 0
    redirects: dict[str, str] = field(default_factory=dict)
    #: answers to Range requests that begin somewhere else
    shift: int = 0
    requests: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(answers: Answers) -> Iterator[Answers]:
    """Serve on a free port of this machine; `answers.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in answers.redirects:
                self._begin(302, {"Location": answers.redirects[self.path], "Content-Length": "0"})
                return
            asked = self.headers.get("Range")
            answers.requests.append(asked)
            if answers.errors:
                code, headers = answers.errors.pop(0)
                self._begin(code, {**headers, "Content-Length": "0"})
                return
            self._send_content(asked)

        def _send_content(self, asked: str | None) -> None:
            whole = answers.content
            headers = {"ETag": answers.etag} if answers.etag else {}
            resumes = asked is not None and answers.knows_ranges
            if not resumes or self.headers.get("If-Range") != answers.etag:
                body, code = whole, 200
            else:
                start = int(str(asked).removeprefix("bytes=").removesuffix("-"))
                if start >= len(whole):
                    size = {"Content-Range": f"bytes */{len(whole)}", "Content-Length": "0"}
                    self._begin(416, size)
                    return
                start += answers.shift
                body, code = whole[start:], 206
                headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
            self._begin(code, {**headers, "Content-Length": str(len(body) + answers.lie)})
            stop = answers.breaks.pop(0) if answers.breaks else len(body)
            self.wfile.write(body[:stop])

        def _begin(self, code: int, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        answers.url = f"http://127.0.0.1:{server.server_port}"
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
