"""The share of a process in the images of an epoch and in an image pool."""

import random
from itertools import chain

import pytest
import torch

from data.epoch_order import EpochOrder
from util import ranks
from util.image_pool import ImagePool


def shares(world: int, size: int, start: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The indices that each of the processes reads of an epoch of 23 images."""
    found = []
    for rank in range(world):
        monkeypatch.setattr(ranks._here, "rank", rank)
        monkeypatch.setattr(ranks._here, "world", world)
        order = EpochOrder(23, seed=3, shuffle=True, batch_size=size)
        order.epoch, order.start = 2, start
        keys = [index for _epoch, index in order]
        assert len(keys) == len(order)
        taken = iter(keys)
        batches = [[next(taken) for _ in range(max(1, own))] for own, _ in order.batch_sizes()]
        sizes = [own for own, _ in order.batch_sizes()]
        found.append([batch[:own] for batch, own in zip(batches, sizes, strict=True)])
    return found


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("start", [0, 6])
def test_global_batches_are_those_of_one_process(
    world: int, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = shares(1, 2 * world, start, monkeypatch)
    many = shares(world, 2, start, monkeypatch)
    assert [list(chain(*parts)) for parts in zip(*many, strict=True)] == one
    assert len(list(chain(*one))) == 23 - start


def test_a_pool_without_a_stream_follows_the_seed() -> None:
    results = []
    for _ in range(2):
        random.seed(5)
        pool = ImagePool(2)
        images = torch.arange(40.0).reshape(40, 1, 1, 1)
        results.append(pool.query(images))
    assert torch.equal(*results)
