"""The `opt` that every package reads: our own code replaces it, a user's script may assign."""

import difflib
from argparse import Namespace
from typing import Any

import torch

from .old_names import RENAMED


class Options(Namespace):
    """All options of a run.

    A script may assign an option, which then counts as given on the command line; an unknown name
    is an AttributeError that lists near ones. Our own code makes a copy with `replace`, which
    tests/options/test_assigning.py checks.
    """

    __slots__ = ("script", "unsettled")  # no options: they are not in vars()

    given: frozenset[str]
    """The names of the options that were typed on the command line, or assigned by a script."""
    script: Any
    """The util.run.script_run.ScriptRun of a script in the reference's manner, else None."""
    unsettled: set[str]
    """The names of the options that a script has assigned and `script` has not yet looked at."""

    def __init__(self, given: frozenset[str] = frozenset(), **values: Any) -> None:
        vars(self).update(values, given=given)
        object.__setattr__(self, "script", None)
        object.__setattr__(self, "unsettled", set())

    def __setattr__(self, name: str, value: object) -> None:
        if name == "device":
            value = torch.device(str(value))
        name = self._known(name)
        vars(self)[name] = value
        if name != "given":
            vars(self)["given"] = self.given | {name}
            self.unsettled.add(name)

    def __getattr__(self, name: str) -> Any:  # only where there is no such attribute
        if name.startswith("_"):
            raise AttributeError(name)
        return vars(self)[self._known(name)]

    def _known(self, name: str) -> str:
        """Return the name of an option as it is called today, or raise AttributeError."""
        name = name if name in vars(self) else RENAMED.get(name, name)
        if name not in vars(self):
            near = difflib.get_close_matches(name, list(vars(self)), n=3)
            hint = f" (near ones: {', '.join(near)})" if near else ""
            raise AttributeError(
                f"opt has no option {name!r}{hint}; a new option is a flag, added in "
                "modify_commandline_options of a model or data set"
            )
        return name

    @property
    def device(self) -> torch.device | None:
        """The device to compute on, None until it is chosen by `gpu_ids` or assigned."""
        script_of(self)  # which has assigned gpu_ids, perhaps
        return vars(self)["device"]

    def replace(self, **changes: Any) -> "Options":
        """Return a copy with some options changed; it belongs to no script."""
        return Options(**{**vars(self), **changes})

    def values(self) -> dict[str, Any]:
        """Return all options by name, without `given`."""
        return {name: value for name, value in vars(self).items() if name != "given"}

    def belong_to(self, script: Any) -> None:
        """Make these the options that a script reads and assigns."""
        object.__setattr__(self, "script", script)

    def settle(self, settled: "Options") -> None:
        """Take over all values of `settled`, which were completed from those that were assigned."""
        vars(self).update(vars(settled))
        self.unsettled.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (dict(vars(self)),)


def _rebuild(values: dict[str, Any]) -> Options:
    return Options(**values)


def script_of(opt: Namespace) -> Any:
    """Return the run of the script that `opt` belongs to, None in our own programs.

    In a script, the options that it has assigned are completed and checked first.
    """
    script = opt.script if isinstance(opt, Options) else None
    if script is not None:
        script.settle()
    return script
