"""What `pip install .` installs as `cyclegan_toolkit`: the commands, and `load_generator`.

The packages of the toolkit are below this one, and import each other by the names that they have in
a checkout. Importing this package therefore puts its folder on `sys.path`.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER / "programs"
SCRIPTS = FOLDER / "scripts"
OF_A_CHECKOUT = {"quickstart", "run_tests", "benchmark_inference"}
"""Scripts that need a checkout, or are started by others."""

if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))


def __getattr__(name: str) -> Any:
    """Import what a Python program uses when it is first asked for: PyTorch takes seconds."""
    if name == "load_generator":
        return importlib.import_module("models").load_generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train() -> int:
    """The command cyclegan-train: 01_train.py."""
    return _run("01_train")


def infer() -> int:
    """The command cyclegan-infer: 02_inference.py."""
    return _run("02_inference")


def script() -> None:
    """The command cyclegan-script NAME ...: a program of scripts/, for example evaluate."""
    programs = (path for path in SCRIPTS.glob("*.py") if "__main__" in path.read_text())
    names = sorted({path.stem for path in programs} - OF_A_CHECKOUT)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"usage: cyclegan-script NAME [flags of that program]; NAME: {', '.join(names)}")
    program = SCRIPTS / f"{sys.argv[1]}.py"
    sys.argv[:2] = [str(program)]
    sys.path.insert(0, str(SCRIPTS))
    runpy.run_path(str(program), run_name="__main__")


def _run(program: str) -> int:
    """Run a program as if its file had been started; several processes start that file again."""
    sys.argv[0] = str(PROGRAMS / f"{program}.py")
    paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    module = importlib.import_module(f"{__name__}.programs.{program}")
    return importlib.import_module("util.run.session").run_program(module.main)
