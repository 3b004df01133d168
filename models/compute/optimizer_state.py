"""The state of optimizers, as it is restored, and their weights."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..parts.spectral_norm import has_spectral_norm, improve_estimates


def with_memory_layout_of(weight: Tensor, value: Tensor) -> Tensor:
    """Return the value in the memory layout, on the device and in the type of a weight."""
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Restore an optimizer, fused as it is now, with moments in the layout of the weights.

    A fused step reads weights and moments as they lie in memory, and a run may be resumed in
    another memory layout.
    """
    fused = [group.get("fused") for group in optimizer.param_groups]
    optimizer.load_state_dict(stored)
    for group, value in zip(optimizer.param_groups, fused, strict=True):
        group["fused"] = value
    for weight, of_weight in optimizer.state.items():
        for name, value in of_weight.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                of_weight[name] = with_memory_layout_of(weight, value)


def weights_of(optimizer: Optimizer) -> list[Tensor]:
    """Return all weights that an optimizer steps."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the gradients of the weights that have one."""
    return [weight.grad for weight in weights_of(optimizer) if weight.grad is not None]


def after_steps(
    net: nn.Module, optimizers: Iterable[Optimizer], function: Callable[[], None]
) -> None:
    """Call a function from now on after each step of the optimizers of the weights of a network."""
    for optimizer in optimizers:
        stepped = {id(weight) for weight in weights_of(optimizer)}
        if any(id(weight) in stepped for weight in net.parameters()):
            optimizer.register_step_post_hook(lambda *_: function())


def improve_spectral_norms(nets: Iterable[nn.Module], optimizers: Sequence[Optimizer]) -> None:
    """Improve the estimates of spectral norms from now on after each step of the optimizers."""
    for net in filter(has_spectral_norm, nets):
        after_steps(net, optimizers, partial(improve_estimates, net))


def apply_flags(
    optimizers: Sequence[Optimizer], as_made: list[list[dict[str, Any]]], plateau: bool
) -> None:
    """Set learning rates and momenta as the optimizers were made with by the flags of now.

    `plateau`: the cuts that the schedule has made so far stay, relative to the new rate.
    """
    for optimizer, of_groups in zip(optimizers, as_made, strict=True):
        for group, made in zip(optimizer.param_groups, of_groups, strict=True):
            initial = made.get("initial_lr", made["lr"])
            if plateau:  # a factor of exactly 1 where --lr is what it was
                group["lr"] *= initial / group.get("initial_lr", initial)
            else:
                group["lr"] = made["lr"]
            group["initial_lr"] = initial
            if "betas" in made:
                group["betas"] = made["betas"]
