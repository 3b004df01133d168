"""Errors that a user can correct, and hints at what was meant."""

import difflib
import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence


class UserError(ValueError):
    """A foreseeable mistake; its one or two lines name the flag or the file and the remedy.

    The entry scripts print it without a traceback and exit with 1.
    """

    everywhere = False
    """Whether all processes of a run raise it at the same place, so that one of them tells it."""


class DataError(UserError):
    """A mistake in the data, raised between two training steps, so that the state can be saved."""


class TransientDataError(DataError):
    """A batch that was not loaded and can be loaded again; the state is saved before."""


class UnreadableImageError(UserError):
    """An image file that cannot be read: `path` is its path, `reason` the decoder's message."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # the arguments with which pickle makes it again
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"cannot read the image {printable(self.path)} ({printable(self.reason)}): repair it "
            "or remove it from the folder"
        )


class UsageError(UserError):
    """A wrong command line, for which the entry scripts exit with 2."""


def command(words: Sequence[str]) -> str:
    """Return a command line, or a part of one, as it is typed in the shell of this machine."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def new_run_from(name: str) -> str:
    """Return the flags that start a new run from the weights of the run `name`."""
    return command(["--name", "NEW", "--start_from", name])


def printable(text: object) -> str:
    """Return a text, such as a file name, as one line without control characters.

    They are shown as Python escapes (`\\x1b`), since a terminal would obey them.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def printable_lines(text: object) -> str:
    """Return a text of several lines as `printable` does, which leaves ends of lines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in str(text).split("\n"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for a misspelt word, or "" where no known word is close."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
