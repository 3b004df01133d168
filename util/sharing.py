"""Work of several processes: done by one for all of them, or by each its share.

An exception of any process ends all of them at the same place, so that none waits for it. Where one
process computes alone it does all the work, and nothing here communicates.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from . import ranks
from .errors import UserError

T = TypeVar("T")
Key = TypeVar("Key")
Value = TypeVar("Value")


def on_main(function: Callable[[], T]) -> T:
    """Call a function on rank 0 alone, and return its result, or raise its error, on all."""
    if ranks.world() == 1:
        return function()
    result: Any = None
    error: Exception | None = None
    if ranks.is_main():
        result, error = _tried(function)
    result, told = ranks.from_main((result, _told(error)))
    _raise_first(error, [told])
    return result


def on_each_machine(function: Callable[[], T]) -> T:
    """Call a function on one process of each machine; return its result on all processes there.

    The error of any is raised on all.
    """
    if ranks.world() == 1:
        return function()
    result: Any = None
    error: Exception | None = None
    if ranks.is_first_here():
        result, error = _tried(function)
    _raise_first(error, ranks.gather_objects(_told(error)))
    return ranks.from_first_here(result)


def on_all(function: Callable[[], T]) -> T:
    """Call a function on all processes and return the result of this one.

    The error of any is raised on all.
    """
    if ranks.world() == 1:
        return function()
    result, error = _tried(function)
    _raise_first(error, ranks.gather_objects(_told(error)))
    return result


def share(items: Sequence[T], block: int = 1) -> list[T]:
    """Return what this process has to do: of blocks of so many items, every W-th of W processes.

    Each item is in the share of one process, and the shares differ by at most `block` items.
    """
    every, own = ranks.world(), ranks.rank()
    return [item for place, item in enumerate(items) if place // block % every == own]


def merged(part: Mapping[Key, Value]) -> dict[Key, Value]:
    """Return what the processes have found for their shares, in one mapping, on all of them."""
    return {key: value for found in ranks.gather_objects(part) for key, value in found.items()}


def leave_message(name: str, text: str) -> None:
    """Leave a message that the other processes can look up at any time, by its name."""
    if (store := ranks.store()) is not None:
        store.set(name, text)


def message(name: str) -> str | None:
    """Return the message of that name which a process has left, or None."""
    store = ranks.store()
    return store.get(name).decode() if store is not None and store.check([name]) else None


def _tried(function: Callable[[], T]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # whatever it is: the others wait to hear of it
        return None, error


def _told(error: Exception | None) -> UserError | None:
    """Return what the other processes raise, as an error that pickle can send."""
    if error is None or isinstance(error, UserError):
        return error
    return UserError(f"process {ranks.rank()} failed: {type(error).__name__}: {error}")


def _raise_first(own: Exception | None, told: Sequence[UserError | None]) -> None:
    """Raise an error that is not the user's where it happened, and else the first one told."""
    if own is not None and not isinstance(own, UserError):
        raise own
    for error in told:
        if error is not None:
            raise ranks.everywhere(error)
