"""Shares of several processes, and errors of one of them that all raise."""

from collections.abc import Callable

import pytest

from util import ranks, sharing
from util.errors import UserError


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def be(rank: int, world: int) -> None:
        monkeypatch.setattr(ranks._here, "rank", rank)
        monkeypatch.setattr(ranks._here, "world", world)

    return be


@pytest.mark.parametrize(("items", "world", "block"), [(7, 2, 1), (7, 3, 2), (2, 4, 1), (0, 2, 3)])
def test_each_item_is_in_one_share(
    items: int, world: int, block: int, process: Callable[[int, int], None]
) -> None:
    shares = []
    for rank in range(world):
        process(rank, world)
        shares.append(sharing.share(range(items), block))
    assert sorted(item for share in shares for item in share) == list(range(items))
    assert all(share == sorted(share) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= block


def test_blocks_are_the_batches_of_one_process(process: Callable[[int, int], None]) -> None:
    process(1, 2)
    assert sharing.share("abcdefg", block=2) == ["c", "d", "g"]


def test_an_error_of_one_process_is_raised_on_all(
    process: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[UserError | None] = []

    def exchange(error: UserError | None) -> list[UserError | None]:
        sent.append(error)
        return [error, sent[0]]

    monkeypatch.setattr(ranks, "gather_objects", exchange)

    def fail() -> None:
        raise ZeroDivisionError("of nothing")

    process(1, 2)
    with pytest.raises(ZeroDivisionError):  # here with its traceback
        sharing.on_all(fail)
    process(0, 2)
    with pytest.raises(UserError, match="process 1 failed: ZeroDivisionError: of nothing") as told:
        sharing.on_all(lambda: 1)
    assert told.value.everywhere
