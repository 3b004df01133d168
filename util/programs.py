"""How a user starts the programs, from a checkout or installed by pip, and what they print."""

import io
import sys
from pathlib import Path

INSTALLED = Path(__file__).resolve().parent.parent.name == "cyclegan_toolkit"
"""Whether `pip install .` has installed this code."""
COMMANDS = {"01_train.py": "cyclegan-train", "02_inference.py": "cyclegan-infer"}


def words_of(file: str) -> list[str]:
    """Return the words that start a program, such as 01_train.py or scripts/evaluate.py."""
    if not INSTALLED:
        return ["python", file]
    return [COMMANDS[file]] if file in COMMANDS else ["cyclegan-script", Path(file).stem]


def name_in_messages() -> str:
    """Return the name of this program, as messages about its command line begin with it."""
    file = Path(sys.argv[0]).name
    return COMMANDS.get(file, file) if INSTALLED else file


def escape_on_stdout() -> None:
    """Have stdout print what its encoding lacks, such as letters of a file name, as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
