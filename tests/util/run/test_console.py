"""A console that is gone or full ends no program, also at exit."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

from util.run.session import _outlasting, run_program

ROOT = Path(__file__).parents[3]
FULL = Path("/dev/full")
PROGRAM = """
import logging, multiprocessing, os, sys
if sys.argv[1] == "pipe":
    read, write = os.pipe()
    os.close(read)
else:
    write = os.open(sys.argv[1], os.O_WRONLY)
for number in (1, 2) if sys.argv[2] == "both" else (1,):
    os.dup2(write, number)
from util.errors import UserError
from util.run.session import run_program, start_logging

def main():
    start_logging()
    logging.info("x" * 10_000)
    multiprocessing.util._flush_std_streams()  # as before each fork
    raise UserError("told on stderr")

sys.exit(run_program(main))
"""
CONSOLES = [
    pytest.param("pipe", marks=pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")),
    pytest.param(str(FULL), marks=pytest.mark.skipif(not FULL.exists(), reason="/dev/full")),
]


def stream_to(where: str) -> io.TextIOWrapper:
    """Return a stream to a pipe that nobody reads, or to a full disk."""
    if where != "pipe":
        return Path(where).open("w", encoding="utf-8")
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", encoding="utf-8")


@pytest.mark.parametrize("where", CONSOLES)
def test_what_a_stream_cannot_write_is_dropped(where: str) -> None:
    with stream_to(where) as stream:
        with pytest.raises(OSError):
            os.write(stream.fileno(), b"x")
        outlasting = _outlasting(stream)
        outlasting.write(100_000 * "x")
        outlasting.flush()
        outlasting.close()


def test_a_stream_that_can_be_written_is_written(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii", errors="backslashreplace") as stream:
        stream.write("before ")
        outlasting = _outlasting(stream)
        outlasting.write("caf\u00e9\n")
        outlasting.flush()
        assert (outlasting.encoding, outlasting.isatty()) == ("ascii", False)
    assert (tmp_path / "out").read_text() == "before caf\\xe9\n"


@pytest.mark.slow
@pytest.mark.parametrize("where", CONSOLES)
def test_a_program_keeps_its_exit_code(where: str) -> None:
    which = "both" if where == "pipe" else "stdout"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, where, which],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr == ("error: told on stderr\n" if which == "stdout" else "")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="closes a descriptor")
def test_a_program_without_console() -> None:
    program = PROGRAM.replace("os.dup2(write, number)", "pass")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", program, os.devnull, "both"],
        cwd=ROOT,
        timeout=PATIENCE,
    )
    assert done.returncode == 1


def test_names_that_the_console_cannot_show_are_escaped() -> None:
    code = "import sys; from util.run.session import run_program; "
    code += "sys.exit(run_program(lambda: print('\\u017c\\udcff') or 0))"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip() == b"\\u017c\\udcff"


def test_a_missing_permission_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise PermissionError(13, "Permission denied", "images/a")

    assert run_program(main) == 1
    expected = "error: images/a: Permission denied; change its permissions or choose another\n"
    assert capsys.readouterr().err == expected


def test_a_file_that_another_program_uses_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        error = PermissionError(13, "It is being used by another process", "images/a")
        error.winerror = 32  # type: ignore[attr-defined]
        raise error

    assert run_program(main) == 1
    assert capsys.readouterr().err.endswith("another process; close what uses it\n")


def test_errors_name_their_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("util.ranks.world", lambda: 2)
    monkeypatch.setattr("util.ranks.rank", lambda: 1)
    monkeypatch.setattr("util.ranks.leave", lambda _together: None)

    def main() -> int:
        raise MemoryError

    assert run_program(main) == 1
    assert capsys.readouterr().err.startswith("error: process 1: out of memory")
