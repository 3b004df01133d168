"""Randomness as a pure function of where it is used.

A choice made for one image depends on (seed, epoch, index) alone, so that it is the same with any
number of workers. What must be a stream (the image pools) has a `random.Random` of its own, whose
state is saved.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream(seed: int, *key: int | str) -> random.Random:
    """Return a generator that depends on `seed` and `key` only, and is equal on every platform."""
    text = "/".join(str(part) for part in (seed, *key))
    return random.Random(text.encode(errors="surrogatepass"))  # names of files may not be UTF-8


@contextmanager
def global_streams(seed: int, *key: int | str) -> Iterator[None]:
    """Seed the streams of `random`, `numpy.random` and `torch` (CPU) by `seed` and `key` alone.

    They are restored on leaving, so that whatever else draws from them is not disturbed. They are
    those of the whole process: no other thread may draw from them meanwhile.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seeds = stream(seed, *key)
    random.seed(seeds.getrandbits(64))
    np.random.seed(seeds.getrandbits(32))
    torch.default_generator.manual_seed(seeds.getrandbits(63))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def permutation(n: int, seed: int, *key: int | str) -> list[int]:
    """Return `range(n)` in a random order that depends on `seed` and `key` only."""
    generator = torch.Generator().manual_seed(stream(seed, *key).getrandbits(63))
    return torch.randperm(n, generator=generator).tolist()


@contextmanager
def own_random_streams(seed: int, *key: int | str) -> Iterator[None]:
    """Random streams that begin at `seed`, with a `key` at what both of them give.

    Those of the caller are as they were afterwards.
    """
    seed = stream(seed, *key).getrandbits(63) if key else seed
    python, numpy = random.getstate(), np.random.get_state()
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(gpus)):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed_all(seed)
        if mps is not None:
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            if mps is not None:
                torch.mps.set_rng_state(mps)


def draw_seed() -> int:
    """Return a seed in [0, 2**31) from the operating system, small enough to type."""
    return random.SystemRandom().randrange(2**31)
