"""Create a virtual environment with the packages of the toolkit, by the standard library alone."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_in(environment: Path) -> Path:
    """Return the path of the interpreter of a virtual environment."""
    folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return environment / folder


def make_environment(environment: Path, requirement_files: list[Path]) -> Path:
    """Create or complete an environment; return its interpreter.

    visdom's build imports pkg_resources, which setuptools 81 and later lack. Therefore an older
    setuptools is installed first, and packages are built without isolation.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - this runs before anything is installed
        sys.exit(f"Python 3.10 or later is needed; this is {sys.version.split()[0]}")
    python = python_in(environment)
    complete = environment / "complete.txt"
    requirements = "\n".join(file.read_text(encoding="utf-8") for file in requirement_files)
    stored = complete.read_text(encoding="utf-8") if complete.is_file() else None
    if python.is_file() and stored == requirements:
        return python
    create(environment, python)
    pip(python, "setuptools<81", "wheel")
    files = [word for file in requirement_files for word in ("-r", str(file))]
    pip(python, "--no-build-isolation", *files)
    complete.write_text(requirements, encoding="utf-8")
    return python


def create(environment: Path, python: Path) -> None:
    """Create an environment, or put pip into one without, as after an interruption.

    Ends the program where that is not possible.
    """
    if not python.is_file():
        try:
            venv.create(environment, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit(
                f"error: {sys.executable} cannot make environments with pip: install its package "
                f"for them (python3-venv on Debian and Ubuntu), remove {environment}, and try again"
            )
        return
    has_pip = subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True)
    if has_pip.returncode and subprocess.run([str(python), "-m", "ensurepip"]).returncode:
        sys.exit(f"error: {environment} has no pip (see above): remove it, and try again")


def pip(python: Path, *words: str) -> None:
    """Run `pip install` with these arguments; end the program where it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", *words]
    if subprocess.run(command).returncode:
        sys.exit(f"error: pip could not install: {' '.join(words)} (see above)")
