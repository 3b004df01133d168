"""Starting a visdom server on this machine, as a process that outlives the run."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..visdom_assets import INSTALL_COMMAND, missing_assets, visdom_folder

log = logging.getLogger(__name__)

LOCAL = ("localhost", "127.0.0.1", "::1")
NEVER_START = "NO_VISDOM_SERVER"
"""Set to anything, this variable of the environment keeps runs from starting servers."""
PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "serve_visdom.py"
FLAGS = ("-bind_local", "-logging_level", "WARNING")
"""Reachable from this machine alone; silent, as its output grows for as long as it runs."""
started: list["subprocess.Popen[bytes]"] = []
"""Kept, so that a server is not reported as forgotten when its handle goes."""


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    return host in LOCAL or host == socket.gethostname()


def start_server(host: str, port: int, env: str, folder: Path) -> "subprocess.Popen[bytes] | None":
    """Start a server for `port` and say how to reach and to stop it; None where that cannot be."""
    visdom = visdom_folder()
    if visdom is None or os.environ.get(NEVER_START):
        why = "the package is missing: pip install visdom" if visdom is None else NEVER_START
        log.warning("no dashboard at port %d (%s); --display_id 0 turns it off", port, why)
        return None
    output = _output_file(folder, port)
    with output.open("ab") as file:  # a pipe that nobody reads would fill up and stop the server
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "-port", str(port), *FLAGS],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            **_detached(),  # type: ignore[call-overload]
        )
    started.append(process)
    (folder / "visdom_server.pid").write_text(f"{process.pid}\n", encoding="utf-8")
    _tell(host, port, env, process.pid, output)
    if missing := missing_assets(visdom):
        log.warning(
            "the dashboard stays empty: %d of visdom's scripts are not installed; run: %s",
            len(missing),
            INSTALL_COMMAND,
        )
    return process


def wait_until(answers: Callable[[], bool], process: "subprocess.Popen[bytes]") -> bool:
    """Poll for 30 s, or as long as the process lives."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if answers():
            return True
        if process.poll() is not None:
            return answers()  # another run may have started one for the same port meanwhile
        time.sleep(0.3)
    return False


def _tell(host: str, port: int, env: str, pid: int, output: Path) -> None:
    stop = f"taskkill /F /PID {pid}" if os.name == "nt" else f"kill {pid}"
    log.info("dashboard: http://%s:%d/env/%s (output in %s)", host, port, env, output)
    log.info("  from another machine: ssh -L %d:localhost:%d %s", port, port, socket.gethostname())
    log.info("  it stays up after the run; stop it with: %s", stop)


def _output_file(folder: Path, port: int) -> Path:
    # On Windows an open file would keep the folder of the run from being moved aside.
    folder = Path(tempfile.gettempdir()) if os.name == "nt" else folder
    return folder / f"visdom_server_{port}.log"


def _detached() -> dict[str, object]:
    """Ctrl-C and the end of the terminal do not reach the server."""
    if os.name == "nt":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS  # type: ignore[attr-defined]
        return {"creationflags": flags}
    return {"start_new_session": True}
