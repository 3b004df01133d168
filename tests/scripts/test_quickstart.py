"""The quickstart says what to install where PyTorch cannot use the GPU."""

import subprocess
import sys
from typing import Any

import pytest
from script_modules import script


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
