"""Sends requests to a visdom server, each with a time-out.

visdom's own client waits forever for a server that hangs, and opens a second connection that
nothing here needs.
"""

import base64
import http.client
import io
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from ...images import ImageArray

TIMEOUT = 3.0
"""Seconds for which a request waits for the server."""
HEADERS = {"Content-Type": "application/json"}
Trace = dict[str, Any]


class VisdomClient:
    """Holds one connection to a server; a failure closes it and raises OSError."""

    def __init__(self, server: str, port: int, env: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(server if "//" in server else f"http://{server}")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.host, self.port = parts.hostname or "localhost", parts.port or port
        self.path, self.env = parts.path.rstrip("/"), env
        self.address = f"{parts.scheme}://{self.host}:{self.port}{self.path}"
        self._connection = kind(self.host, self.port, timeout=timeout)

    def post(self, endpoint: str, message: dict[str, Any]) -> str:
        """Send a message to /events, /update, /save, ... and return the answer.

        Raises ConnectionError where the server does not answer, or with an error.
        """
        body = json.dumps({"eid": self.env, **message})
        try:
            self._connection.request("POST", f"{self.path}/{endpoint}", body, HEADERS)
            response = self._connection.getresponse()
            answer = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ConnectionError(str(error) or type(error).__name__) from error
        if response.status >= 400:
            raise ConnectionError(f"HTTP {response.status} from {self.address}/{endpoint}")
        return answer

    def answers(self) -> bool:
        """Return whether a visdom server answers."""
        try:
            return self.post("win_exists", {"win": "none"}) in ("true", "false")
        except OSError:
            return False

    def draw(self, window: str, traces: Sequence[Trace], title: str, **look: Any) -> None:
        """Draw curves in a window, instead of those that it has."""
        layout = {
            "showlegend": len(traces) > 1,
            "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
            "xaxis": {"title": look.pop("xlabel", "")},
            "yaxis": {"rangemode": "tozero", "exponentformat": "e"},
            "legend": {"orientation": "v"} if len(traces) > 2 else {"orientation": "h", "y": 1.2},
        }
        opts = {"title": title, **look}
        self.post("events", {"win": window, "data": traces, "layout": layout, "opts": opts})

    def append(self, window: str, traces: Sequence[Trace]) -> None:
        """Add points at the end of the curves of a window, in the order in which it has them."""
        self.post("update", {"win": window, "data": traces, "append": True})

    def show(self, window: str, image: ImageArray, title: str) -> None:
        """Show an image (H, W, 3) in a window."""
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="PNG", compress_level=1)
        source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        height, width = image.shape[:2]
        self.post(
            "events",
            {
                "win": window,
                "data": [{"type": "image", "content": {"src": source, "caption": ""}}],
                "opts": {"title": title, "width": width + 20, "height": height + 30},
            },
        )

    def save(self) -> None:
        """Let the server write the environment to its disk, so that it survives a restart."""
        self.post("save", {"data": [self.env]})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
