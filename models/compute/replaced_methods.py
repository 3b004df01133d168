"""Finds overridden methods of the reference that nothing here calls."""

from collections.abc import Mapping
from types import FunctionType

from util.errors import UsageError


def refuse_unused_methods(cls: type, base: type) -> None:
    """Raise UsageError if a class overrides a method that `replaced_methods` of its parents names.

    It may do so where it also overrides the method that does this work here, or
    `optimize_parameters`, which then calls it. The method `initialize`, by which models were made
    before 2019, needs an `__init__` that calls it.
    """
    made_by = [vars(owner)["__init__"] for owner in cls.__mro__ if "__init__" in vars(owner)]
    called = any("initialize" in _names_in(function) for function in made_by)
    for owner in cls.__mro__[: cls.__mro__.index(base)]:
        own = vars(owner) if issubclass(owner, base) else {}
        if "initialize" in own and "__init__" not in own and not called:
            raise UsageError(
                f"{owner.__module__}.{owner.__name__} overrides initialize, which "
                f"{base.__name__} never calls: override __init__ instead"
            )
    for owner in cls.__mro__[1:]:
        replaced: Mapping[str, str] = vars(owner).get("replaced_methods", {})
        steps_itself = _overrides(cls, owner, "optimize_parameters")
        for name, instead in replaced.items():
            if steps_itself or not _overrides(cls, owner, name):
                continue
            if not _overrides(cls, owner, instead):
                raise UsageError(
                    f"{cls.__module__}.{cls.__name__} overrides {name}, which {owner.__name__} "
                    f"never calls: override {instead} instead, or optimize_parameters too"
                )


def _names_in(function: object) -> tuple[str, ...]:
    """Return the names of the attributes and globals that the code of a function uses."""
    return function.__code__.co_names if isinstance(function, FunctionType) else ()


def _overrides(cls: type, owner: type, name: str) -> bool:
    return getattr(cls, name, None) is not getattr(owner, name, None)
