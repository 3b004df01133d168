"""The order of an epoch over tar shards: random, and read from few shards at a time.

Legend: N images lie in S shards. A stream is one of L equal parts of the shards, which are put into
a random order and behind each other first; L <= S. Item i of an epoch is item i // L of stream
i mod L, hence batches mix all streams. Inside a stream, each block of consecutive images is
permuted.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from util.random_streams import permutation


class ShardOrder:
    """Where item i of an epoch is stored, as a pure function of (seed, side, epoch, i).

    `counts` are the images of each shard, all above 0. An item past the last image begins another
    turn over the stream, in another order. Where L is a multiple of the number of processes x batch
    size x workers, each stream is read by one worker of one process.
    """

    def __init__(self, counts: Sequence[int], streams: int, block: int, *key: int | str) -> None:
        self.counts, self.streams, self.block, self.key = tuple(counts), streams, block, key
        self.first_of_shard = (0, *accumulate(counts))

    def index(self, epoch: int, item: int) -> int:
        """Return the index of the image, in [0, N), of an item >= 0 of an epoch."""
        stream, step = item % self.streams, item // self.streams
        start, size = self._part(stream)
        turn, step = divmod(step, size)
        block, step = divmod(step, self.block)
        length = min(self.block, size - block * self.block)
        key = (*self.key, epoch, turn)
        place = start + block * self.block + int(_permuted(length, *key, stream, block)[step])
        shards, first = _shards(self.counts, *key)
        order = bisect_right(first, place) - 1
        return self.first_of_shard[shards[order]] + place - first[order]

    def _part(self, stream: int) -> tuple[int, int]:
        """Return the first place of a stream, in [0, N), and its number of images."""
        size, longer = divmod(self.first_of_shard[-1], self.streams)
        return stream * size + min(stream, longer), size + (stream < longer)


@lru_cache(maxsize=256)
def _permuted(n: int, seed: int, *key: int | str) -> npt.NDArray[np.int32]:
    return np.array(permutation(n, seed, "block", *key), np.int32)


@lru_cache(maxsize=8)
def _shards(
    counts: tuple[int, ...], seed: int, *key: int | str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shards in the order of an epoch, and the place of the first image of each."""
    shards = tuple(permutation(len(counts), seed, "shards", *key))
    return shards, tuple(accumulate((counts[shard] for shard in shards[:-1]), initial=0))
