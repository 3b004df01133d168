"""The quickstart: its environment, Ctrl-C, and what it prints at the end."""

import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE
from script_modules import script

from util.errors import command


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("", ""),
        (
            "no kernels for V100: pip install torch\n",
            "\nNot on the GPU: no kernels for V100: .venv/python -m pip install torch\n",
        ),
    ],
)
def test_the_command_installs_into_the_environment_of_the_quickstart(
    problem: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert words[0] == ".venv/python" and "gpu_problem" in words[2]
        return subprocess.CompletedProcess(words, 0, problem)

    quickstart = script("quickstart")
    monkeypatch.setattr(subprocess, "run", run)
    quickstart.say_how_to_use_the_gpu(".venv/python")
    assert capsys.readouterr().out == said


def test_the_question_is_a_program_that_runs() -> None:
    quickstart = script("quickstart")
    asked: list[subprocess.CompletedProcess[str]] = []
    run = subprocess.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", lambda *a, **k: asked.append(run(*a, **k)) or asked[-1])
        quickstart.say_how_to_use_the_gpu(sys.executable)
    assert asked[0].returncode == 0, asked[0].stderr


SLOW_TO_END = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (time.sleep(1), print("saved", flush=True), sys.exit(130)))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends Ctrl-C to a group of processes")
def test_ctrl_c_waits_for_the_step_that_saves() -> None:
    # ignored where the tests run in the background of a shell, and inherited
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from script_modules import script; quickstart = script('quickstart'); "
    code += "quickstart.take_steps = lambda *_: quickstart.run([sys.executable, '-c', sys.argv[1]])"
    code += "; sys.exit(quickstart.main([]))"
    words = [sys.executable, "-c", code, SLOW_TO_END]
    folder = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        os.killpg(program.pid, signal.SIGINT)
        output, _ = program.communicate(timeout=PATIENCE)
    assert output == b"saved\n\nstopped; scripts/quickstart.py starts again from the beginning\n"
    assert program.returncode == 130


def test_an_interpreter_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script("quickstart").main(["--python", "no/such/python"])
    assert "--python no/such/python: there is no such interpreter" in capsys.readouterr().err


def test_commands_can_be_typed_where_paths_have_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    quickstart = script("quickstart")
    quickstart.say_what_next("/home/John Smith/python")
    assert f"{command(['/home/John Smith/python'])} 01_train.py" in capsys.readouterr().out


@pytest.mark.slow
def test_an_environment_that_was_interrupted_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = script("environment")
    venv.create(tmp_path / "new", with_pip=False)
    mine = tmp_path / "new" / "mine.txt"
    mine.write_text("x")
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(environment, "pip", lambda python, *words: installed.append(words))
    (tmp_path / "packages.txt").write_text("numpy\n")
    python = environment.make_environment(tmp_path / "new", [tmp_path / "packages.txt"])
    assert subprocess.run([python, "-m", "pip", "--version"]).returncode == 0
    assert mine.read_text() == "x"
    assert len(installed) == 2


def test_a_python_that_makes_no_environments_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of Debian without python3-venv."""

    def fails(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(venv, "create", fails)
    with pytest.raises(SystemExit, match=r"^error: .* cannot make environments with pip: install"):
        script("environment").make_environment(tmp_path / "new", [])


def test_a_path_that_the_console_cannot_show() -> None:
    code = "from script_modules import script; quickstart = script('quickstart'); "
    code += "quickstart.take_steps = lambda *_: quickstart.say(1, '\\u017c') or 0; "
    code += "quickstart.main([])"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    folder = Path(__file__).resolve().parents[1]
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u017c" in done.stdout
