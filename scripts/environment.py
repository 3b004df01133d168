"""A virtual environment with the packages of the toolkit, made with the standard library alone."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return environment / folder


def make_environment(environment: Path, requirement_files: list[Path]) -> Path:
    """Make or complete an environment; returns its interpreter.

    visdom's set-up imports pkg_resources, which setuptools 81 and later lack: so the build
    tools are installed first, and nothing is built in an isolated environment of its own.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - this runs before anything is installed
        sys.exit(f"Python 3.10 or later is needed; this is {sys.version.split()[0]}")
    python = python_in(environment)
    done = environment / "complete.txt"
    wanted = "\n".join(file.read_text(encoding="utf-8") for file in requirement_files)
    if done.is_file() and python.is_file() and done.read_text(encoding="utf-8") == wanted:
        return python
    if not python.is_file():
        venv.create(environment, with_pip=True)
    pip(python, "setuptools<81", "wheel")
    files = [word for file in requirement_files for word in ("-r", str(file))]
    pip(python, "--no-build-isolation", *files)
    done.write_text(wanted, encoding="utf-8")
    return python


def pip(python: Path, *words: str) -> None:
    """`pip install ...`, ending the program with pip's words where it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", *words]
    if subprocess.run(command).returncode:
        sys.exit(f"error: pip could not install: {' '.join(words)} (see above)")
