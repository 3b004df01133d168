"""Optimizers and how they step: accumulation, loss scaling, learning rates, and their state."""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

log = logging.getLogger(__name__)

FIRST_SCALE = 2.0**10
"""PyTorch's, 2^16, overflows with the weights of the cycle loss: the first steps would be lost."""


class Optimization:
    """The optimizers of a model, their schedules, and the metric that plateaus are found in.

    Every `accumulate` calls of `descend` are one step, down the mean of their losses. `scaled`:
    losses are scaled for half-precision gradients (arXiv 1710.03740, section 3.2), with
    a scale for each optimizer.
    """

    def __init__(self, device: torch.device, accumulate: int = 1, scaled: bool = False) -> None:
        self.device, self.accumulate, self.scaled = device, accumulate, scaled
        self.optimizers: list[Optimizer] = []
        self.schedulers: list[Any] = []
        self.best_metric = math.inf
        self._observed_sum: Tensor | float = 0.0
        self._observed_steps = 0
        self._pending: dict[Optimizer, int] = {}
        self._scalers: dict[Optimizer, torch.amp.GradScaler] = {}

    def make_optimizer(self, nets: Sequence[nn.Module], lr: float, beta1: float) -> Optimizer:
        """Adam over all weights of the networks, the last of `optimizers` from now on."""
        parameters = [parameter for net in nets for parameter in net.parameters()]
        betas = (beta1, 0.999)
        try:
            optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)
        except RuntimeError:  # this PyTorch has no fused kernel for the device, as 2.4 on MPS
            optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas)
        self.optimizers.append(optimizer)
        return optimizer

    @property
    def learning_rate(self) -> float:
        """The rate of the first optimizer."""
        return self.optimizers[0].param_groups[0]["lr"]

    def minimize(self, optimizer: Optimizer, loss: Tensor) -> None:
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

    def observe(self, metric: Tensor) -> None:
        """Add a step's value of what `--lr_policy plateau` watches, the lower the better."""
        self._observed_sum = self._observed_sum + metric.detach()
        self._observed_steps += 1

    def epoch_metric(self, otherwise: Callable[[], float | None]) -> float | None:
        """The mean of what steps observed since the last call; `otherwise()` if nothing."""
        if self._observed_steps == 0:
            return otherwise()
        mean = float(self._observed_sum) / self._observed_steps
        self._observed_sum, self._observed_steps = 0.0, 0
        return mean

    def end_epoch(self, otherwise: Callable[[], float | None]) -> None:
        """Step with what is pending, and set the learning rates of the next epoch.

        `otherwise` gives the metric of the epoch where no step observed one. Where it gives None
        too, plateaus are not looked for.
        """
        self.finish()
        before, metric = self.learning_rate, self.epoch_metric(otherwise)
        if metric is not None:
            self.best_metric = min(self.best_metric, metric)
            lowest = self.best_metric
            log.info("mean objective of the epoch %.4f, lowest so far %.4f", metric, lowest)
        for scheduler in self.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                if metric is not None:
                    scheduler.step(metric)
            else:
                with warnings.catch_warnings():
                    # torch warns where a run goes on from the very end of an epoch
                    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
                    scheduler.step()
        if self.learning_rate not in (before, 0):  # 0: after the last epoch
            log.info("learning rate %.7f -> %.7f", before, self.learning_rate)

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

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on exactly needs, as tensors and plain containers."""
        plateaus = [s.state_dict() for s in self.schedulers if isinstance(s, ReduceLROnPlateau)]
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "descent": self._pending_state(),
            "plateaus": plateaus,
            "observed": [float(self._observed_sum), self._observed_steps],
            "best_metric": self.best_metric,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, but for learning rates and momenta.

        They follow from the flags, which may have changed since the state was stored.
        """
        as_made = [[dict(group) for group in o.param_groups] for o in self.optimizers]
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            _load_optimizer(optimizer, stored)
        if "descent" in state:  # not in states of the first version
            self._load_pending(state["descent"])
        plateaus = [s for s in self.schedulers if isinstance(s, ReduceLROnPlateau)]
        if plateaus and len(plateaus) == len(state["plateaus"]):
            for scheduler, stored in zip(plateaus, state["plateaus"], strict=True):
                scheduler.load_state_dict(stored)
            self._apply_flags(as_made, plateau=True)
        else:
            self._apply_flags(as_made, plateau=False)
        self._observed_sum, self._observed_steps = state["observed"]
        self.best_metric = state["best_metric"]

    def _apply_flags(self, as_made: list[list[dict[str, Any]]], plateau: bool) -> None:
        """Set learning rates and momenta as the optimizers were made with by the flags of now.

        `plateau`: the cuts that the schedule has made so far stay, relative to the new rate.
        """
        for optimizer, of_groups in zip(self.optimizers, as_made, strict=True):
            for group, made in zip(optimizer.param_groups, of_groups, strict=True):
                initial = made.get("initial_lr", made["lr"])
                if plateau:  # a factor of exactly 1 where --lr is what it was
                    group["lr"] *= initial / group.get("initial_lr", initial)
                else:
                    group["lr"] = made["lr"]
                group["initial_lr"] = initial
                if "betas" in made:
                    group["betas"] = made["betas"]

    def _pending_state(self) -> list[dict[str, Any]]:
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
            for optimizer in self.optimizers
        ]

    def _load_pending(self, state: Sequence[dict[str, Any]]) -> None:
        """The inverse of `_pending_state`.

        With another `accumulate` or scale the gradients that waited no longer fit: the window
        begins anew.
        """
        for optimizer, stored in zip(self.optimizers, state, strict=True):
            if self.scaled and stored["scaler"]:
                self._scaler(optimizer).load_state_dict(stored["scaler"])
            if stored.get("window") == self._window():
                self._pending[optimizer] = stored["pending"]
                for weight, gradient in zip(_weights(optimizer), stored["gradients"], strict=False):
                    weight.grad = (
                        None if gradient is None else with_memory_layout_of(weight, gradient)
                    )

    def _window(self) -> list[int | bool]:
        """What gradients that wait depend on."""
        return [self.accumulate, self.scaled]


def with_memory_layout_of(weight: Tensor, value: Tensor) -> Tensor:
    """The value in the memory layout, on the device and in the type of a weight of its shape."""
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def _load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Restore it as it computes now: fused or not, its moments in the layout of the weights.

    A fused step takes both as they lie in memory, and the run may go on in another layout.
    """
    fused = [group.get("fused") for group in optimizer.param_groups]
    optimizer.load_state_dict(stored)
    for group, value in zip(optimizer.param_groups, fused, strict=True):
        group["fused"] = value
    for weight, of_weight in optimizer.state.items():
        for name, value in of_weight.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                of_weight[name] = with_memory_layout_of(weight, value)


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [weight.grad for weight in _weights(optimizer) if weight.grad is not None]
