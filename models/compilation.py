"""torch.compile, as `--compile` asks for it."""

import argparse
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from util.errors import UserError

log = logging.getLogger(__name__)

COMPILE_MODES = ("off", "default", "reduce-overhead", "max-autotune")
CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")
"""On GPUs these give their results in memory that the next call writes over."""

WORTH_COMPILING = 300.0
"""Seconds of work left: compiling takes 10 to 60 s and saves 2 % of them on CPUs, more on GPUs."""
ENOUGH_TO_JUDGE = 2.0
"""Seconds of work before the speed counts as known."""


def add_compile_flag(parser: argparse._ActionsContainer) -> None:
    """`--compile [MODE]`."""
    parser.add_argument(
        "--compile",
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE_MODES,
        help="torch.compile the networks, which takes a minute: in training at the first step, in "
        "inference once five minutes of work are left without it. reduce-overhead: CUDA graphs, "
        "for small networks; max-autotune: try out kernels for some minutes",
    )


def compile_network(net: nn.Module, mode: str, fixed_shapes: bool) -> None:
    """Have calls of `net` compiled; its class, keys and weights stay as they are."""
    if mode == "off":
        return
    import torch._dynamo.config  # slow to import
    import torch._inductor.config

    # the networks share code, and each size, each number of images and each mode is compiled
    torch._dynamo.config.cache_size_limit = max(64, torch._dynamo.config.cache_size_limit)
    if not fixed_shapes:  # a graph of its own for every size would fill the memory of a GPU
        torch._inductor.config.triton.cudagraph_skip_dynamic_graphs = True
    net.compile(mode=mode, dynamic=False if fixed_shapes else None)


class CompilationThatPays:
    """Compiles a network once the images that are to come would take long enough without.

    `images` is their number; None where it is not known: then the first call is compiled.
    """

    def __init__(self, net: nn.Module, mode: str, images: int | None) -> None:
        self.net, self.mode, self.left = net, mode, images
        self.pending = mode != "off"
        self._calls, self._since = 0, 0.0

    def before_call(self, images: int) -> None:
        """Take note that so many go through the network next, and compile it where that pays."""
        now = time.perf_counter()
        if self._calls <= 1:
            self._since = now  # the first call warms up: it tells nothing
        if self.pending and self._pays(now - self._since, images):
            self.pending = False
            compile_network(self.net, self.mode, fixed_shapes=False)
        self._calls += 1
        self.left = None if self.left is None else self.left - images

    def _pays(self, seconds: float, images: int) -> bool:
        if self.left is None:
            return True
        seconds_left = self.left / images * seconds / max(1, self._calls - 1)
        if seconds < ENOUGH_TO_JUDGE or seconds_left < WORTH_COMPILING:
            return False
        log.info("compiling: without, %d images take %.0f more s", self.left, seconds_left)
        return True


@contextmanager
def compiler_errors_for_users(mode: str) -> Iterator[None]:
    """Raise UserError where torch.compile fails inside, as it does without a C++ compiler."""
    try:
        yield
    except RuntimeError as error:
        if mode == "off" or not _is_of_the_compiler(error):
            raise
        first, *more = str(error).strip().splitlines()
        reason = f"{first} {more[0]}" if first.endswith("raised:") and more else first
        raise UserError(
            f"--compile: torch.compile cannot compile here ({reason}); leave the flag out"
        ) from error


def _is_of_the_compiler(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    return isinstance(error, TorchDynamoException)
