"""util/sinks/dashboard: how the server is started and what is logged; addresses of the client."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE

from util.sinks.dashboard import server as visdom_server
from util.sinks.dashboard.client import VisdomClient

ROOT = Path(__file__).resolve().parents[4]


class Process:
    """Stands for a process that is not started."""

    pid = 4711

    def __init__(self, command: list[str], **settings: Any) -> None:
        self.command, self.settings = command, settings


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(visdom_server, "started", [])
    monkeypatch.setattr(visdom_server, "visdom_folder", lambda: Path("visdom"))
    monkeypatch.setattr(visdom_server, "missing_assets", lambda _: [])
    monkeypatch.delenv("NO_VISDOM_SERVER", raising=False)


def test_the_output_of_the_server_goes_to_a_file_and_not_to_a_pipe(
    no_process: None, tmp_path: Path
) -> None:
    process: Any = visdom_server.start_server(8097, tmp_path)
    assert process.settings["stdout"].name == str(tmp_path / "visdom_server_8097.log")
    assert process.settings["stderr"] == subprocess.STDOUT
    assert process.settings["stdin"] == subprocess.DEVNULL
    assert process.settings["start_new_session"]
    assert process.command[2:5] == ["-port", "8097", "-bind_local"]
    assert (tmp_path / "visdom_server.pid").read_text() == "4711\n"


def test_missing_assets_are_logged_with_the_command(
    no_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(visdom_server, "missing_assets", lambda _: [1, 2])
    visdom_server.warn_of_missing_assets()
    assert "2 of visdom's scripts" in caplog.text
    assert "python scripts/install_visdom_assets.py" in caplog.text


def test_without_visdom_one_line_is_logged(
    no_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(visdom_server, "visdom_folder", lambda: None)
    assert visdom_server.start_server(8097, tmp_path) is None
    assert len(caplog.records) == 1
    for part in ('"setuptools<81" wheel && ', '--no-build-isolation "visdom>=0.2.4"'):
        assert f"pip install {part}" in caplog.text


def test_address_tunnel_and_stop_command_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        link = "http://localhost:8123/env/mine"
        visdom_server.log_address(link, 8123, 4711, tmp_path)
    lines = [record.message for record in caplog.records]
    assert lines[0].startswith("dashboard: http://localhost:8123/env/mine ")
    assert f"ssh -L 8123:localhost:8123 {socket.gethostname()}" in lines[1]
    assert lines[2].endswith("taskkill /F /PID 4711" if os.name == "nt" else "kill 4711")


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("http://localhost", "http://localhost:8097"),
        ("http://box:8000/vis/", "http://box:8000/vis"),
        ("https://box", "https://box:8097"),
        ("box", "http://box:8097"),
        ("http://[::1]", "http://[::1]:8097"),
    ],
)
def test_addresses_as_users_write_them(server: str, address: str) -> None:
    client = VisdomClient(server, 8097, "main")
    assert client.address == address
    client.close()


@pytest.mark.parametrize(
    ("env", "link"),
    [
        ("monet", "monet"),
        ("my env/ü name", "my%20env_%C3%BC%20name"),  # as visdom's server calls it
        ("a+b&c'd\\e%f#g?", "a_b_c_d_e_f_g_"),  # its page does not find these
    ],
)
def test_links_lead_to_environments_of_any_name(env: str, link: str) -> None:
    client = VisdomClient("http://localhost", 8097, env)
    assert client.link == f"http://localhost:8097/env/{link}"
    client.close()


def test_another_program_that_answers_is_no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    client = VisdomClient("localhost", 8097, "run")
    for answer, answers in (("<html>", False), ("true", True), ("false", True)):
        monkeypatch.setattr(client, "post", lambda *_, answer=answer: answer)
        assert client.answers() is answers
    monkeypatch.setattr(client, "post", lambda *_: "<html>")
    with pytest.raises(ConnectionError, match="no visdom server"):
        client.ask()


def test_a_host_that_does_not_answer_is_an_os_error() -> None:
    client = VisdomClient("http://localhost", 1, "main", timeout=0.5)
    assert not client.answers()
    with pytest.raises(OSError, match=r"\w"):
        client.save()


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        words = [sys.executable, ROOT / "scripts/serve_visdom.py", "-bind_local", "-port"]
        words += [str(other.getsockname()[1]), "-env_path", str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "error: a program uses this port, perhaps another dashboard: choose one by -port"
    assert "Traceback" not in done.stderr
