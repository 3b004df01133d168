"""The order of the items of an epoch, and which of them each process takes."""

from collections.abc import Iterator, Sequence

import torch.utils.data

from util import ranks
from util.random_streams import permutation

Key = tuple[int, int]
"""(epoch, index) of an item."""


class EpochOrder(torch.utils.data.Sampler[Key]):
    """Yields the keys of an epoch in the order of that epoch.

    Of W processes with batches of B images each takes B consecutive ones of every W B. A process
    without one in the last W B takes the first of them, so that all have as many batches.
    """

    def __init__(self, length: int, seed: int, shuffle: bool, batch_size: int) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.batch_size = batch_size
        self.epoch, self.start = 1, 0

    def __len__(self) -> int:
        return sum(max(1, own) for own, _ in self.batch_sizes())

    def batch_sizes(self) -> Iterator[tuple[int, int]]:
        """Yield how many images each batch has for this process, and how many for all."""
        everyones = self.batch_size * ranks.world()
        before = self.batch_size * ranks.rank()
        for first in range(self.start, self.length, everyones):
            total = min(everyones, self.length - first)
            yield min(max(0, total - before), self.batch_size), total

    def __iter__(self) -> Iterator[Key]:
        order: Sequence[int] = range(self.length)
        if self.shuffle:
            order = permutation(self.length, self.seed, "order", self.epoch)
        return ((self.epoch, order[place]) for place in self._own_places())

    def _own_places(self) -> Iterator[int]:
        first = self.start
        for own, total in self.batch_sizes():
            begin = first + self.batch_size * ranks.rank() if own else first
            yield from range(begin, begin + max(1, own))
            first += total
