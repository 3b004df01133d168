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


class _Handler(BaseHTTPRequestHandler):
    answers: Answers

    def do_GET(self) -> None:
        answers = self.answers
        if self.path in answers.redirects:
            self._begin(302, {"Location": answers.redirects[self.path], "Content-Length": "0"})
            return
        asked = self.headers.get("Range")
        answers.requests.append(asked)
        if answers.errors:
            code, headers = answers.errors.pop(0)
            self._begin(code, {**headers, "Content-Length": "0"})
        elif asked and answers.knows_ranges and self.headers.get("If-Range") == answers.etag:
            self._send_part(int(asked.removeprefix("bytes=").removesuffix("-")))
        else:
            self._send(200, {}, answers.content)

    def _send_part(self, start: int) -> None:
        size = len(self.answers.content)
        if start >= size:
            self._begin(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        start += self.answers.shift
        part = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        self._send(206, part, self.answers.content[start:])

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        answers = self.answers
        tag = {"ETag": answers.etag} if answers.etag else {}
        self._begin(code, {**headers, **tag, "Content-Length": str(len(body) + answers.lie)})
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


@contextmanager
def serving(answers: Answers) -> Iterator[Answers]:
    """Serve on a free port of this machine; `answers.url` is its address."""
    handler = type("Handler", (_Handler,), {"answers": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        answers.url = f"http://127.0.0.1:{server.server_port}"
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
