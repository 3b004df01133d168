"""The frozen `opt` that every package reads."""

from argparse import Namespace
from typing import Any


class Options(Namespace):
    """All options of a run. Setting an attribute raises AttributeError; `replace` makes a copy."""

    given: frozenset[str]
    """The names of the options that were typed on the command line."""

    def __init__(self, given: frozenset[str] = frozenset(), **values: Any) -> None:
        vars(self).update(values, given=given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"opt is frozen: use opt.replace({name}=...), or change the default in "
            "modify_commandline_options"
        )

    def replace(self, **changes: Any) -> "Options":
        """Return a copy with some options changed."""
        return Options(**{**vars(self), **changes})

    def values(self) -> dict[str, Any]:
        """Return all options by name, without `given`."""
        return {name: value for name, value in vars(self).items() if name != "given"}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (dict(vars(self)),)


def _rebuild(values: dict[str, Any]) -> Options:
    return Options(**values)
