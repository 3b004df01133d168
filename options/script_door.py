"""The door for scripts in the reference's manner: `opt = TrainOptions().parse()` begins the run."""

from collections.abc import Callable
from typing import Any, Protocol

from models.inference.translator import translators_around_test
from util.options import Options
from util.run.script_run import ScriptRun, print_user_errors_in_one_line

from .validation import validate


class Completing(Protocol):
    """What TrainOptions and TestOptions provide."""

    def follow(self, opt: Options) -> Options:
        """Return the options with those that follow from others."""

    def complete(self, opt: Options) -> Options:
        """Return the options, completed from the run on disk."""


def begin_script(
    options: Completing, parsed: Options, defaults: Callable[[Any, Options], dict[str, Any]]
) -> Options:
    """Start logging, complete the options from their run, seed; return what a script may assign.

    Raises UsageError for flags that do not fit the run; any other UserError ends the script with
    one line, here and later.
    """
    print_user_errors_in_one_line()
    run = ScriptRun(
        options.complete,
        options.follow,
        validate,
        lambda opt: defaults(options, opt),
        translators_around_test,
    )
    return run.begin(parsed)
