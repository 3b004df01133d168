"""Finding a plug-in by its name: `--model foo_bar` is the class FooBarModel in models/."""

import importlib
import pkgutil
from types import ModuleType

from .errors import UsageError, did_you_mean


def plugin_names(package: ModuleType, ending: str) -> list[str]:
    """Names that `--model` or `--dataset_mode` accepts: the files `<name>_<ending>.py`, sorted."""
    tail = f"_{ending}"
    files = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(f.removesuffix(tail) for f in files if f.endswith(tail) and f != f"base{tail}")


def find_plugin(
    package: ModuleType,
    name: str,
    ending: str,
    base: type,
    flag: str,
    listed: list[str] | None = None,
) -> type:
    """The subclass of `base` in `<package>/<name>_<ending>.py` whose lower-cased name fits.

    Raises UsageError where there is no such file or no such class in it. The message lists the
    names in `listed`, by default all. An error while the plug-in itself is imported is passed on
    as it is.
    """
    known = plugin_names(package, ending)
    if name not in known:
        listed = known if listed is None else listed
        raise UsageError(
            f"{flag} {name}: there is no such {ending}{did_you_mean(name, listed)} "
            f"(there are: {', '.join(listed)})"
        )
    module = importlib.import_module(f"{package.__name__}.{name}_{ending}")
    wanted = name.replace("_", "") + ending
    for attribute, value in vars(module).items():
        if attribute.lower() == wanted and isinstance(value, type) and issubclass(value, base):
            return value
    raise UsageError(
        f"{flag} {name}: {module.__file__} must hold a subclass of {base.__name__} "
        f"whose lower-cased name is {wanted}"
    )
