"""Steps of optimizers: gradients of several batches, scaled where the precision needs it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

FIRST_SCALE = 2.0**10
"""PyTorch's, 2^16, overflows with the weights of the cycle loss: the first steps would be lost."""


class Descent:
    """Every `accumulate` calls of `descend` are one step, down the mean of their losses.

    `scaled`: losses are scaled for half-precision gradients (arXiv 1710.03740, section 3.2), with
    a scale for each optimizer.
    """

    def __init__(self, device: torch.device, accumulate: int = 1, scaled: bool = False) -> None:
        self.device, self.accumulate, self.scaled = device, accumulate, scaled
        self._pending: dict[Optimizer, int] = {}
        self._scalers: dict[Optimizer, torch.amp.GradScaler] = {}

    def descend(self, optimizer: Optimizer, loss: Tensor) -> None:
        """Add the gradients of a loss, and step where it is the last of `accumulate`."""
        pending = self._pending.get(optimizer, 0)
        if pending == 0:
            optimizer.zero_grad()
        self._scaler(optimizer).scale(loss / self.accumulate).backward()
        self._pending[optimizer] = pending + 1
        if pending + 1 == self.accumulate:
            self._step(optimizer)

    def finish(self) -> None:
        """Step with the gradients that there are, though they be of fewer batches."""
        for optimizer, pending in self._pending.items():
            if pending:
                for gradient in _gradients(optimizer):
                    gradient.mul_(self.accumulate / pending)
                self._step(optimizer)

    def _step(self, optimizer: Optimizer) -> None:
        scaler = self._scaler(optimizer)
        if self.scaled:  # a restored scaler needs a first call
            scaler.scale(torch.zeros((), device=self.device))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()  # their memory is free for the next forward pass
        self._pending[optimizer] = 0

    def _scaler(self, optimizer: Optimizer) -> torch.amp.GradScaler:
        if optimizer not in self._scalers:
            self._scalers[optimizer] = torch.amp.GradScaler(
                self.device.type, init_scale=FIRST_SCALE, enabled=self.scaled
            )
        return self._scalers[optimizer]

    def state_dict(self, optimizers: Sequence[Optimizer]) -> list[dict[str, Any]]:
        """The scale and the gradients that wait for a step, of each optimizer."""
        return [
            {
                "scaler": self._scaler(optimizer).state_dict(),
                "window": self._window(),
                "pending": self._pending.get(optimizer, 0),
                "gradients": [w.grad for w in _weights(optimizer)]
                if self._pending.get(optimizer)
                else [],
            }
            for optimizer in optimizers
        ]

    def load_state_dict(
        self, optimizers: Sequence[Optimizer], state: Sequence[dict[str, Any]]
    ) -> None:
        """The inverse of `state_dict`.

        With another `accumulate` or scale the gradients that waited no longer fit: the window
        begins anew.
        """
        for optimizer, stored in zip(optimizers, state, strict=True):
            if self.scaled and stored["scaler"]:
                self._scaler(optimizer).load_state_dict(stored["scaler"])
            if stored.get("window") == self._window():
                self._pending[optimizer] = stored["pending"]
                for weight, gradient in zip(_weights(optimizer), stored["gradients"], strict=False):
                    weight.grad = None if gradient is None else laid_out_as(weight, gradient)

    def _window(self) -> list[int | bool]:
        """What gradients that wait depend on."""
        return [self.accumulate, self.scaled]


def laid_out_as(weight: Tensor, value: Tensor) -> Tensor:
    """The value in the memory layout, on the device and in the type of a weight of its shape."""
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [weight.grad for weight in _weights(optimizer) if weight.grad is not None]
