"""Finds overridden methods of the reference that nothing here calls."""

from collections.abc import Mapping

from util.errors import UsageError

OF_OLD_MODELS: Mapping[str, str] = {"initialize": "__init__"}
"""What models were made by before 2019."""


def refuse_unused_methods(cls: type, base: type) -> None:
    """Raise UsageError if a class overrides a method that `replaced_methods` of its parents names.

    It may do so where it also overrides the method that does this work here, or
    `optimize_parameters`, which then calls it.
    """
    for owner in cls.__mro__[1:]:
        replaced: Mapping[str, str] = vars(owner).get("replaced_methods", {})
        replaced = OF_OLD_MODELS if owner is base else replaced
        steps_itself = owner is not base and _overrides(cls, owner, "optimize_parameters")
        for name, instead in replaced.items():
            if steps_itself or not _overrides(cls, owner, name):
                continue
            if not _overrides(cls, owner, instead):
                also = "" if owner is base else ", or optimize_parameters too"
                raise UsageError(
                    f"{cls.__module__}.{cls.__name__} overrides {name}, which {owner.__name__} "
                    f"never calls: override {instead} instead{also}"
                )


def _overrides(cls: type, owner: type, name: str) -> bool:
    return getattr(cls, name, None) is not getattr(owner, name, None)
