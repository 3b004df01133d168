"""Randomness as a pure function of where it is used.

A choice made for one image depends on (seed, epoch, index) alone, so that it is the same with any
number of workers. What must be a stream (the image pools) has a `random.Random` of its own, whose
state is saved.
"""

import random

import torch


def stream(seed: int, *key: int | str) -> random.Random:
    """Return a generator that depends on `seed` and `key` only, and is equal on every platform."""
    return random.Random("/".join(str(part) for part in (seed, *key)))


def permutation(n: int, seed: int, *key: int | str) -> list[int]:
    """Return `range(n)` in a random order that depends on `seed` and `key` only."""
    generator = torch.Generator().manual_seed(stream(seed, *key).getrandbits(63))
    return torch.randperm(n, generator=generator).tolist()


def draw_seed() -> int:
    """Return a seed in [0, 2**31) from the operating system, small enough to type."""
    return random.SystemRandom().randrange(2**31)
