"""The one exception that means: the user can mend this."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A foreseeable mistake, told in one or two lines that name the flag or file and the remedy.

    The entry scripts print it without a traceback and exit with 1.
    """


class DataError(UserError):
    """A mistake in the data that is found between two steps, so that what was trained is whole."""


class UsageError(UserError):
    """A wrong command line: as UserError, with exit code 2."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint `; did you mean X?` for a misspelt word, empty where nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
