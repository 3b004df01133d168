"""Randomness as a pure function of where it is used.

A choice made for one picture depends on (seed, epoch, index) alone, so it is the same whatever
the number of workers or processes. What must be a stream (the image pools) holds its own
`random.Random`, whose state can be saved.
"""

import random

import torch


def stream(seed: int, *place: int | str) -> random.Random:
    """A generator that depends on `seed` and `place` only, alike on every platform."""
    return random.Random("/".join(str(part) for part in (seed, *place)))


def permutation(n: int, seed: int, *place: int | str) -> list[int]:
    """A shuffled `range(n)` that depends on `seed` and `place` only."""
    generator = torch.Generator().manual_seed(stream(seed, *place).getrandbits(63))
    return torch.randperm(n, generator=generator).tolist()


def draw_seed() -> int:
    """A fresh seed from the operating system, small enough to type."""
    return random.SystemRandom().randrange(2**31)
