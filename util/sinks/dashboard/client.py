"""Sends requests to a visdom server, each with a time-out.

visdom's own client waits forever for a server that hangs, and opens a second connection that
nothing here needs.
"""

import base64
import http.client
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from PIL import Image

from ...errors import UsageError
from ...images import ImageArray

TIMEOUT = 3.0
"""Seconds for which a request waits for the server."""
HEADERS = {"Content-Type": "application/json"}
UNUSABLE = re.compile(r"""[/+&'"<>\\%#?\ud800-\udfff]""")
"""Characters with which visdom's page does not find an environment: it compares `a+b`, for example,
and its server makes `_` of `/`."""
LARGEST_PORT = 65535
Trace = dict[str, Any]


def legend_place(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return where plotly's legend, on the right, covers no curve.

    That is below curves that stay far from 0, the lower end of the axis, else at the top: losses
    fall.
    """
    values = [y for trace in traces for y in trace["y"] if y is not None]
    stays_high = len(values) > len(traces) and 0 < 0.4 * max(values) < min(values)
    return {"y": 0, "yanchor": "bottom"} if stays_high else {"y": 1, "yanchor": "top"}


def server_address(server: str, port: int) -> tuple[SplitResult, int]:
    """Return the parts of --display_server and the port. Raises UsageError for what is none."""
    parts = urlsplit(server if "//" in server else f"http://{server}")
    try:
        port_there = parts.port
    except ValueError as error:
        raise UsageError(f"--display_server {server}: {error}; e.g. http://localhost") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--display_server {server}: is no address; e.g. http://localhost")
    if port_there is None and not 0 < port <= LARGEST_PORT:
        raise UsageError(f"--display_port {port}: must be from 1 to {LARGEST_PORT}")
    return parts, port_there or port


class VisdomClient:
    """Holds one connection to a server; a failure closes it and raises OSError."""

    def __init__(self, server: str, port: int, env: str, timeout: float = TIMEOUT) -> None:
        parts, self.port = server_address(server, port)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.host, self.path = parts.hostname or "", parts.path.rstrip("/")
        self.env = UNUSABLE.sub("_", env)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.address = f"{parts.scheme}://{host}:{self.port}{self.path}"
        self.link = f"{self.address}/env/{quote(self.env, safe='')}"
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

    def ask(self) -> None:
        """Send a request that changes nothing, which a visdom server answers by `true` or `false`.

        Raises ConnectionError as `post` does, and where another program answers.
        """
        if self.post("win_exists", {"win": "none"}) not in ("true", "false"):
            raise ConnectionError(f"the program at {self.address} is no visdom server")

    def answers(self) -> bool:
        """Return whether a visdom server answers."""
        try:
            self.ask()
        except OSError:
            return False
        return True

    def draw(
        self,
        window: str,
        traces: Sequence[Trace],
        title: str,
        xaxis: Mapping[str, Any],
        **look: Any,
    ) -> None:
        """Draw curves in a window, instead of those that it has."""
        layout = {
            "showlegend": len(traces) > 1,
            "margin": {"l": 50, "r": 15, "t": 30, "b": 40},
            "xaxis": xaxis,
            "yaxis": {"rangemode": "tozero", "exponentformat": "e"},
            "legend": {
                **{"x": 1, "xanchor": "right", "bgcolor": "rgba(255,255,255,0.6)"},
                **legend_place(traces),
            },
        }
        opts = {"title": title, **look}
        self.post("events", {"win": window, "data": traces, "layout": layout, "opts": opts})

    def append(self, window: str, traces: Sequence[Trace], **layout: Any) -> None:
        """Add points at the end of the curves of a window, in the order in which it has them.

        `layout` is what changes of its layout. Without it a window that the user has closed is an
        error of the server, so that it is drawn again as a whole.
        """
        changes = {"layout": layout} if layout else {}
        self.post("update", {"win": window, "data": traces, "append": True, **changes})

    def say(self, window: str, text: str, title: str, **look: Any) -> None:
        """Show a text, which is HTML, in a window."""
        data = [{"type": "text", "content": text}]
        self.post("events", {"win": window, "data": data, "opts": {"title": title, **look}})

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
