"""Starts a visdom server on this machine, as a process that outlives the training."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .assets import INSTALL_COMMAND, INSTALL_VISDOM, missing_assets, visdom_folder

log = logging.getLogger(__name__)

LOCAL = ("localhost", "127.0.0.1", "::1")
NEVER_START = "NO_VISDOM_SERVER"
"""An environment variable that prevents starting servers, whatever its value."""
PROGRAM = Path(__file__).with_name("serve.py")
FLAGS = ("-bind_local", "-logging_level", "WARNING")
"""Reachable from this machine alone; silent, because its output grows as long as it runs."""
START_SECONDS = 30
"""A server that does not answer within that time has failed to start."""
started: list["subprocess.Popen[bytes]"] = []
"""References, without which Python warns that a running process was not waited for."""


def is_local(host: str) -> bool:
    """Return whether a host is this machine."""
    return host in LOCAL or host == socket.gethostname()


def is_taken(host: str, port: int) -> bool:
    """Return whether a program listens on a port."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def start_server(port: int, folder: Path) -> "subprocess.Popen[bytes] | None":
    """Start a server on `port` and return its process; None, with a warning, where that fails."""
    visdom = visdom_folder()
    if visdom is None or os.environ.get(NEVER_START):
        why = f"the package is missing: {INSTALL_VISDOM}" if visdom is None else NEVER_START
        log.warning("no dashboard at port %d (%s); --display_id 0 turns it off", port, why)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with output_file(folder, port).open(
        "ab"
    ) as file:  # a pipe that nobody reads would fill up and block the server
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "-port", str(port), *FLAGS],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            **_detached(),  # type: ignore[call-overload]
        )
    started.append(process)
    (folder / "visdom_server.pid").write_text(f"{process.pid}\n", encoding="utf-8")
    return process


def warn_of_missing_assets() -> None:
    """Warn where the installed visdom lacks the scripts of its page, and say what fetches them."""
    visdom = visdom_folder()
    if missing := missing_assets(visdom) if visdom else []:
        log.warning(
            "the page of the dashboard stays blank: %d of visdom's scripts are missing; run: %s, "
            "then reload the page",
            len(missing),
            INSTALL_COMMAND,
        )


def wait_until(answers: Callable[[], bool], process: "subprocess.Popen[bytes]") -> bool:
    """Return whether the server answers before it ends or START_SECONDS have passed."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if answers():
            return True
        if process.poll() is not None:
            return answers()  # another run may have started one for the same port meanwhile
        time.sleep(0.3)
    return False


def log_address(link: str, port: int, pid: int, folder: Path) -> None:
    """Log how to reach and how to stop the server that was started."""
    stop = f"taskkill /F /PID {pid}" if os.name == "nt" else f"kill {pid}"
    output = output_file(folder, port)
    log.info("dashboard: %s (output in %s)", link, output)
    log.info("  from another machine: ssh -L %d:localhost:%d %s", port, port, socket.gethostname())
    log.info("  it stays up after the run; stop it with: %s", stop)


def output_file(folder: Path, port: int) -> Path:
    """Return the path of the file that takes the output of the server."""
    # On Windows the folder of a run cannot be moved aside while a file in it is open.
    folder = Path(tempfile.gettempdir()) if os.name == "nt" else folder
    return folder / f"visdom_server_{port}.log"


def _detached() -> dict[str, object]:
    """Return the arguments that shield the server from Ctrl-C and the end of the terminal."""
    if os.name == "nt":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS  # type: ignore[attr-defined]
        return {"creationflags": flags}
    return {"start_new_session": True}
