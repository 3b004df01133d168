"""Models and data sets by name: `--model foo_bar` is the class FooBarModel of its own file."""

import importlib
import inspect
import pkgutil
import traceback
from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .errors import UsageError, did_you_mean


def plugin_names(package: ModuleType, ending: str) -> list[str]:
    """Return what `--model` or `--dataset_mode` accepts, from the files `<name>_<ending>.py`."""
    suffix = f"_{ending}"
    files = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(
        f.removesuffix(suffix) for f in files if f.endswith(suffix) and f != f"base{suffix}"
    )


def find_plugin(
    package: ModuleType,
    name: str,
    ending: str,
    base: type,
    flag: str,
    listed: list[str] | None = None,
) -> type:
    """Return the subclass of `base` in `<package>/<name>_<ending>.py` that is named after the file.

    Names are compared in lower case, without underscores. Raises UsageError where there is no such
    file or no such class in it, listing the names in `listed`, by default all; an exception while
    the file is imported passes unchanged.
    """
    known = plugin_names(package, ending)
    if name not in known:
        listed = known if listed is None else listed
        raise UsageError(
            f"{flag} {name}: there is no such {ending}{did_you_mean(name, listed)} "
            f"(there are: {', '.join(listed)})"
        )
    module = importlib.import_module(f"{package.__name__}.{name}_{ending}")
    class_name = name.replace("_", "") + ending
    for attribute, value in vars(module).items():
        if attribute.lower() == class_name and isinstance(value, type) and issubclass(value, base):
            return value
    raise UsageError(
        f"{flag} {name}: {module.__file__} must hold a subclass of {base.__name__} "
        f"whose lower-cased name is {class_name}"
    )


def add_flags(
    setter: Callable[[ArgumentParser, bool], Any], parser: ArgumentParser, training: bool, who: str
) -> None:
    """Let `modify_commandline_options` of a plug-in, named `who`, add its flags to the parser.

    Raises UsageError, naming the line of the plug-in, where it adds a flag that exists or fails.
    """
    try:
        setter(parser, training)
    except UsageError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == inspect.getsourcefile(setter)]
        where = own[-1] if own else frames[-1]
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        if isinstance(error, ArgumentError):
            reason = f"{error}; rename that flag, or call parser.set_defaults for a new default"
        raise UsageError(
            f"{who}: modify_commandline_options fails in {where.filename}, line {where.lineno} "
            f"({reason})"
        ) from error
