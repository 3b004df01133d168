"""Optimizers: gradient accumulation, loss scaling, learning rates, and their state."""

import logging
import math
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from util import global_batch, ranks
from util.errors import UsageError

from ..parts.schedules import get_scheduler
from .optimizer_state import (
    apply_flags,
    gradients_of,
    load_optimizer,
    weights_of,
    with_memory_layout_of,
)
from .precision import check_loss_scaling
from .scalars import read_scalars
from .step_averaging import StepAveraging

log = logging.getLogger(__name__)

FIRST_SCALE = 2.0**10
"""PyTorch's default, 2^16, overflows with the weights of the cycle loss: first steps are lost."""


class Optimization:
    """The optimizers of a model, their schedulers, and the metric of `--lr_policy plateau`.

    Gradient accumulation: every `accumulate` calls of `minimize` are one step, with the gradients
    of the mean of their losses. `scaled`: losses are scaled so that gradients in half precision do
    not underflow (arXiv 1710.03740, section 3.2), by a factor for each optimizer.

    Where several processes train together, gradients are averaged over them once per step, before
    the scaler looks for infinities; for a model that steps its optimizers itself, as they step.
    """

    def __init__(self, device: torch.device, accumulate: int = 1, scaled: bool = False) -> None:
        self.device, self.accumulate, self.scaled = device, accumulate, scaled
        if scaled:
            check_loss_scaling(device)
        self.optimizers: list[Optimizer] = []
        self.schedulers: list[Any] = []
        self.best_metric = math.inf
        self._observed_sum: Tensor | float = 0.0
        self._observed_steps = 0
        self._stepping = False
        self._pending: dict[Optimizer, int] = {}
        self._updates: dict[Optimizer, int] = {}
        self._scalers: dict[Optimizer, torch.amp.GradScaler] = {}
        self._averaging = StepAveraging()

    def make_optimizer(self, nets: Sequence[nn.Module], lr: float, beta1: float) -> Optimizer:
        """Make an Adam optimizer of all weights of the networks and append it to `optimizers`."""
        parameters = [parameter for net in nets for parameter in net.parameters()]
        betas = (beta1, 0.999)
        # on MPS the fused kernel of many versions ignores the scale of the loss
        fused = not (self.scaled and self.device.type == "mps")
        try:
            optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas, fused=fused)
        except RuntimeError:  # this PyTorch has no fused kernel for the device, as 2.4 on MPS
            optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas)
        self.optimizers.append(optimizer)
        return optimizer

    def make_schedulers(self, opt: Namespace) -> None:
        """Make the scheduler of each optimizer, as `--lr_policy` says.

        Of several processes, make also all optimizers average their gradients.
        """
        self.schedulers = [get_scheduler(optimizer, opt) for optimizer in self.optimizers]
        if self.accumulate > 1 or self.scaled:
            for optimizer in self.optimizers:
                optimizer.register_step_pre_hook(self._refuse_foreign_step)
        self._averaging.watch(self.optimizers)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first optimizer."""
        return self.optimizers[0].param_groups[0]["lr"]

    def is_due(self, optimizer: Optimizer, every: int) -> bool:
        """Return whether the update that an optimizer makes next is the last of each `every`."""
        return (self._updates.get(optimizer, 0) + 1) % every == 0

    def minimize(
        self, optimizer: Optimizer, losses: Mapping[str, Tensor], due: bool = True
    ) -> Tensor:
        """Add the gradients of the sum of the losses; every `accumulate`-th call steps.

        Returns the sum; where it is not `due`, does no more than that.
        """
        total = torch.stack(list(losses.values())).sum()
        if not due:
            return total
        pending = self._pending.get(optimizer, 0)
        if pending == 0:
            optimizer.zero_grad()
        loss = total / self.accumulate
        if global_batch.factor() != 1:  # this process has another share of a short last batch
            loss = loss * global_batch.factor()
        self._scaler(optimizer).scale(loss).backward()
        self._pending[optimizer] = pending + 1
        if pending + 1 == self.accumulate:
            self._step(optimizer)
        return total

    def finish(self) -> None:
        """Step with pending gradients, though they are of fewer than `accumulate` batches."""
        for optimizer, pending in self._pending.items():
            if pending:
                for gradient in gradients_of(optimizer):
                    gradient.mul_(self.accumulate / pending)
                self._step(optimizer)

    def observe(self, metric: Tensor) -> None:
        """Add a step's value, a scalar, to the mean that `--lr_policy plateau` watches."""
        self._observed_sum = self._observed_sum + metric.detach() * global_batch.factor()
        self._observed_steps += 1

    def epoch_metric(self, losses: Mapping[str, Tensor]) -> float | None:
        """Return the mean of what steps observed since the last call.

        If they observed nothing, the sum of `losses`, those of the last step; None without any.
        """
        if self._observed_steps == 0:
            scalars = global_batch.mean_of(read_scalars(losses, self.device))
            return sum(scalars.values()) if losses else None
        mean = self._mean_of_ranks() / self._observed_steps
        self._observed_sum, self._observed_steps = 0.0, 0
        return mean

    def end_epoch(self, losses: Mapping[str, Tensor], metric: float | None = None) -> None:
        """Step with pending gradients, and set the learning rates of the next epoch.

        `metric` is that of the epoch if the model has one of its own, else what the steps observed,
        or the sum of the `losses` of the last step. A run that
        is resumed after the last step of an epoch may have neither: then `plateau` skips the epoch.
        """
        self.finish()
        before, observed = self.learning_rate, self.epoch_metric(losses)
        metric = observed if metric is None else metric
        if metric is not None:
            self.best_metric = min(self.best_metric, metric)
            self._log_objective(metric)
        self.step_schedulers(metric)
        if self.learning_rate not in (before, 0):  # 0: after the last epoch
            log.info("learning rate %.7f -> %.7f", before, self.learning_rate)

    def _log_objective(self, metric: float) -> None:
        """Log what --lr_policy plateau decides by; other policies do not look at it."""
        if any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in self.schedulers):
            log.info(
                "mean objective of the epoch %.4f, lowest so far %.4f (--lr_policy plateau lowers "
                "the learning rate when it has not fallen by 1 %% for 5 epochs)",
                *(metric, self.best_metric),
            )

    def step_schedulers(self, metric: float | None) -> None:
        """Set the learning rates of the next epoch; without a metric `plateau` skips the epoch."""
        for scheduler in self.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                if metric is not None:
                    # a share of the best metric, which is below 0 for some objectives
                    scheduler.threshold = math.copysign(scheduler.threshold, scheduler.best)
                    scheduler.step(metric)
            else:
                with warnings.catch_warnings():
                    # torch warns if a run was resumed at the very end of an epoch, without a step
                    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
                    scheduler.step()

    def _refuse_foreign_step(self, *_: Any) -> None:
        """Raise UsageError where a model steps an optimizer by itself: its loss was not scaled."""
        if not self._stepping:
            flag = "--precision fp16" if self.scaled else f"--accumulate {self.accumulate}"
            instead = "bf16 or tf32" if self.scaled else "a larger --batch_size"
            raise UsageError(
                f"{flag} scales losses, which a model that calls loss.backward() and "
                f"optimizer.step() itself does not have done; use {instead}, or self.minimize in "
                "the model"
            )

    def _mean_of_ranks(self) -> float:
        """Return the sum of what steps observed, as the mean over processes."""
        return float(ranks.all_reduce(torch.tensor(float(self._observed_sum), dtype=torch.double)))

    def _step(self, optimizer: Optimizer) -> None:
        self._averaging.average(optimizer, weighted=True)
        scaler = self._scaler(optimizer)
        if self.scaled:  # a restored scaler makes its factor, a tensor, at its first call
            scaler.scale(torch.zeros((), device=self.device))
        self._stepping = True
        scaler.step(optimizer)
        self._stepping = False
        scaler.update()
        self._averaging.finish(optimizer)
        optimizer.zero_grad()  # their memory is free for the next forward pass
        self._pending[optimizer] = 0
        self._updates[optimizer] = self._updates.get(optimizer, 0) + 1

    def _scaler(self, optimizer: Optimizer) -> torch.amp.GradScaler:
        if optimizer not in self._scalers:
            self._scalers[optimizer] = torch.amp.GradScaler(
                self.device.type, init_scale=FIRST_SCALE, enabled=self.scaled
            )
        return self._scalers[optimizer]

    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming exactly needs, as tensors and plain containers.

        All processes call it together.
        """
        plateaus = [s.state_dict() for s in self.schedulers if isinstance(s, ReduceLROnPlateau)]
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "descent": self._pending_state(),
            "plateaus": plateaus,
            "observed": [self._mean_of_ranks(), self._observed_steps],
            "best_metric": self.best_metric,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, but for learning rates and momenta.

        They follow from the flags, which may have changed since the state was stored.
        """
        as_made = [[dict(group) for group in o.param_groups] for o in self.optimizers]
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            load_optimizer(optimizer, stored)
        if "descent" in state:  # not in states of the first version
            self._load_pending(state["descent"])
        plateaus = [s for s in self.schedulers if isinstance(s, ReduceLROnPlateau)]
        if plateaus and len(plateaus) == len(state["plateaus"]):
            for scheduler, stored in zip(plateaus, state["plateaus"], strict=True):
                scheduler.load_state_dict(stored)
            apply_flags(self.optimizers, as_made, plateau=True)
        else:
            apply_flags(self.optimizers, as_made, plateau=False)
        self._observed_sum, self._observed_steps = state["observed"]
        self.best_metric = state["best_metric"]

    def _pending_state(self) -> list[dict[str, Any]]:
        """Return the loss scale, pending gradients and number of updates of each optimizer."""
        for optimizer, pending in self._pending.items():
            if pending:  # the mean again is the same, so that averaging them here changes no step
                global_batch.average_gradients(weights_of(optimizer))
        return [
            {
                "scaler": self._scaler(optimizer).state_dict(),
                "updates": self._updates.get(optimizer, 0),
                "window": self._window(),
                "pending": self._pending.get(optimizer, 0),
                "gradients": [w.grad for w in weights_of(optimizer)]
                if self._pending.get(optimizer)
                else [],
            }
            for optimizer in self.optimizers
        ]

    def _load_pending(self, state: Sequence[dict[str, Any]]) -> None:
        """Restore what `_pending_state` returned.

        With another `accumulate` or scaling pending gradients no longer fit and are dropped.
        """
        for optimizer, stored in zip(self.optimizers, state, strict=True):
            if self.scaled and stored["scaler"]:
                self._scaler(optimizer).load_state_dict(stored["scaler"])
            self._updates[optimizer] = stored.get("updates", 0)  # not in older states
            if stored.get("window") == self._window():
                self._pending[optimizer] = stored["pending"]
                for weight, gradient in zip(
                    weights_of(optimizer), stored["gradients"], strict=False
                ):
                    weight.grad = (
                        None if gradient is None else with_memory_layout_of(weight, gradient)
                    )

    def _window(self) -> list[int | bool]:
        """Return the settings that pending gradients depend on."""
        return [self.accumulate, self.scaled]
