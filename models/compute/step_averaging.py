"""Averaging gradients over processes, once before each step of an optimizer, whoever makes it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.optim import Optimizer

from util import global_batch, ranks

from .optimizer_state import gradients_of, weights_of

_watched: "WeakKeyDictionary[Optimizer, StepAveraging]" = WeakKeyDictionary()


class StepAveraging:
    """Averages the gradients of optimizers over the processes, once for each step.

    `Optimization` calls `average` and `finish`. For a model that steps its optimizers itself, they
    are called as it does so; where it has a GradScaler of its own, before that looks at gradients,
    so that it finds the same infinities on all processes and all of them skip the step, or none.
    """

    def __init__(self) -> None:
        self._averaged: set[Optimizer] = set()

    def watch(self, optimizers: Sequence[Optimizer]) -> None:
        """Average before the steps that a model makes itself, where there are several processes."""
        if ranks.world() == 1:
            return
        _extend_scalers()
        for optimizer in optimizers:
            _watched[optimizer] = self
            optimizer.register_step_pre_hook(self._before_step)
            optimizer.register_step_post_hook(self._after_step)

    def average(self, optimizer: Optimizer, weighted: bool) -> None:
        """Average the gradients, unless that was done for this step.

        `weighted`: they are those of losses that are weighted by `global_batch.factor`.
        """
        if optimizer in self._averaged:
            return
        if not weighted and global_batch.factor() != 1:
            for gradient in gradients_of(optimizer):
                gradient.mul_(global_batch.factor())
        global_batch.average_gradients(weights_of(optimizer))
        self._averaged.add(optimizer)

    def finish(self, optimizer: Optimizer) -> None:
        """Note that the step is made, or skipped: the next one has other gradients."""
        self._averaged.discard(optimizer)

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.average(optimizer, weighted=False)

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.finish(optimizer)


@functools.cache
def _extend_scalers() -> None:
    """Have every GradScaler of this process average the gradients of watched optimizers first.

    It has no hooks, and skips a step without a call of the optimizer.
    """
    scaler: Any = torch.amp.GradScaler
    scaler.unscale_ = _averaging_first(scaler.unscale_, is_step=False)
    scaler.step = _averaging_first(scaler.step, is_step=True)


def _averaging_first(method: Callable[..., Any], is_step: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def averaging(self: Any, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        averages = _watched.get(optimizer)
        if averages is not None:
            averages.average(optimizer, weighted=False)
        result = method(self, optimizer, *args, **kwargs)
        if averages is not None and is_step:
            averages.finish(optimizer)
        return result

    return averaging
