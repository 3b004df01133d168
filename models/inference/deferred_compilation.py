"""Compiles a network in inference once that pays."""

import logging
import time

from torch import nn

from ..compute.compilation import compile_network

log = logging.getLogger(__name__)

MIN_SECONDS_LEFT = 300.0
"""Work that must be left: compiling takes 10 to 60 s and saves 2 % of it on CPUs, more on GPUs."""
MIN_SECONDS_MEASURED = 2.0
"""Seconds of work after which the measured speed is reliable."""


class DeferredCompilation:
    """Compiles a network once enough work is left for compiling to pay.

    `images` is the number of images, or copies of images, to come; None, unknown: then the first
    call is compiled.
    """

    def __init__(self, net: nn.Module, mode: str, images: int | None) -> None:
        self.net, self.mode, self.left = net, mode, images
        self.pending = mode != "off"
        self._calls, self._since = 0, 0.0

    def before_call(self, images: int) -> None:
        """Count the images of the next call, and compile the network if that pays now."""
        now = time.perf_counter()
        if self._calls <= 1:
            self._since = now  # the first call is a warm-up and not measured
        if self.pending and self._pays(now - self._since, images):
            self.pending = False
            compile_network(self.net, self.mode, fixed_shapes=False)
        self._calls += 1
        self.left = None if self.left is None else self.left - images

    def _pays(self, seconds: float, images: int) -> bool:
        if self.left is None:
            return True
        seconds_left = self.left / images * seconds / max(1, self._calls - 1)
        if seconds < MIN_SECONDS_MEASURED or seconds_left < MIN_SECONDS_LEFT:
            return False
        log.info("compiling: without, the rest takes %.0f more s", seconds_left)
        return True
