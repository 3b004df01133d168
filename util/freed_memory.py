"""Freed memory kept for the next step, instead of being given back to the system at once."""

import ctypes
import sys

# of mallopt, in glibc's malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4

FOR_TRAINING = 2**31 - 1
"""Bytes; the most that mallopt takes."""
FOR_INFERENCE = 2**29
"""Bytes; what is kept is missing where a large picture is to be computed."""


def keep_freed_memory(most: int) -> None:
    """Let the CPU's tensors reuse up to `most` bytes that were freed, where libc is glibc.

    By default each large tensor is a mapping of its own, whose pages the system clears one by one
    when they are first written to: 5 to 10 % of a training step.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(MMAP_MAX, 0)
        set_option(TRIM_THRESHOLD, most)
        set_option(TOP_PAD, 64 << 20)
